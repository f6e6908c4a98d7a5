/** Servers are killed, and what they had runs on for the next ones. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readUntilKilled } from '../sandbox/killed-server.ts';
import { createDockerStage, specOf, type DockerStage } from '../support/docker.ts';

const LINES = 18_000;
const COUNTER = `for ((i = 1; i <= ${LINES}; i++)); do echo line $i; ((i % 200)) || sleep 0.01; done`;
const COUNTED = Array.from({ length: LINES }, (_, i) => `line ${i + 1}\r\n`).join('');

test('servers are killed amid the output, and the next one gets exactly what is missing', async () => {
  await using stage = await createDockerStage();
  const { id } = specOf();
  let seen = Buffer.alloc(0);
  let fence = 1;
  for (const killAt of [1, 40_000, 120_000, Infinity]) {
    seen = Buffer.concat([seen, await readUntil(stage, id, fence++, seen.length, killAt)]);
    // Of the volume nothing is left on the machine but its file; the container has the rest.
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(stage.sandboxDir);
  }
  expect(seen.toString() === COUNTED).toBe(true);
  const driver = await stage.driver();
  await driver.remove(id);
  await driver.removeVolume('a'.repeat(24));
  const left = await readdir(join(stage.sandboxDir));
  expect(left.filter((name) => name !== 'volumes')).toEqual([]);
}, 60_000);

/** Reads on in a new server process, until it has given so much in all and is killed, or to the end. */
async function readUntil(
  { sandboxDir, instanceId }: DockerStage,
  id: string,
  fence: number,
  after: number,
  killAt: number,
): Promise<Buffer> {
  const args = [sandboxDir, instanceId, id, String(fence), String(after), COUNTER];
  return readUntilKilled('test/docker/server-end.ts', args, { after, killAt });
}
