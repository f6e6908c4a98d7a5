/** The driver of containers whose agents are run through the engine. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createDockerExecDriver } from '../../src/sandbox/drivers/docker-exec.ts';
import { Demultiplexer } from '../../src/sandbox/engine/demultiplexer.ts';
import { createDockerStage, runIn, specOf, type DockerStage } from '../support/docker.ts';
import { randomOf } from '../support/random.ts';
import { driverContract } from './driver-contract.ts';

const createStage = (): Promise<DockerStage> => createDockerStage(undefined, createDockerExecDriver);

driverContract(createStage);

test('a sandbox ends with its server, and one whose agent has gone tells of it', async () => {
  await using stage = await createStage();
  const driver = await stage.driver();
  const left = await driver.start(specOf());
  await left.leave();
  expect(await driver.find()).toEqual([]);

  const sandbox = await driver.start(specOf());
  await driver.remove(sandbox.id);
  expect(await sandbox.ended).toBe('exited');
  await sandbox.remove();
});

test('much output comes whole', async () => {
  await using stage = await createStage();
  const sandbox = await stage.sandbox();
  const viewer = await runIn(sandbox, 't', 'read line; seq 200000; read line');
  sandbox.link.input('t', Buffer.from('\n'));
  await viewer.sees('\r\n200000\r\n');
  expect(viewer.snapshots).toEqual([]);
  expect(viewer.text()).toBe(`\r\n${Array.from({ length: 200_000 }, (_, i) => `${i + 1}\r\n`).join('')}`);
});

test('output and errors are told apart, in whatever pieces they come', async () => {
  const random = randomOf(7);
  const [output, errors]: [Buffer[], Buffer[]] = [[], []];
  const frames = Array.from({ length: 500 }, () => {
    const isError = random(3) === 0;
    const content = Buffer.from(Array.from({ length: random(4) === 0 ? 0 : random(300) }, () => random(256)));
    (isError ? errors : output).push(content);
    const header = Buffer.from([isError ? 2 : 1, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(content.length, 4);
    return Buffer.concat([header, content]);
  });
  const all = Buffer.concat(frames);
  const [got, gotErrors]: [Buffer[], Buffer[]] = [[], []];
  const splitter = new Demultiplexer((bytes) => gotErrors.push(bytes));
  splitter.on('data', (bytes: Buffer) => got.push(bytes));
  for (let at = 0; at < all.length;) {
    const size = 1 + random(random(2) === 0 ? 10 : 1_000);
    splitter.write(all.subarray(at, at + size));
    at += size;
  }
  splitter.end();
  await once(splitter, 'end');
  expect(Buffer.concat(got).equals(Buffer.concat(output))).toBe(true);
  expect(Buffer.concat(gotErrors).equals(Buffer.concat(errors))).toBe(true);
});
