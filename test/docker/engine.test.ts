/** What the driver says when the engine, the image or the room is not as it has to be, and what others' sandboxes are to it. */
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import Docker from 'dockerode';
import { expect, test } from 'vitest';
import { USERS } from '../../src/sandbox/engine/container-options.ts';
import { createEngine } from '../../src/sandbox/engine/engine.ts';
import { ensureSandboxImage } from '../../src/sandbox/image/ensure-image.ts';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';
import { createVolumes } from '../../src/sandbox/volumes.ts';
import { spawnChild } from '../support/child.ts';
import { silentLog } from '../support/log.ts';
import { createDockerStage, outputOf, specOf } from '../support/docker.ts';

test('an engine that is not there is told of with what to do', async () => {
  const engine = await createEngine({ host: 'unix:///nowhere/docker.sock' });
  await expect(engine.version()).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('set DOCKER_HOST') as string,
  });
  await using stage = await createDockerStage();
  await expect(stage.driver({ image: 'atelier-sandbox:none' })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('atelier-sandbox:none') as string,
  });
});

test('the image that is there is not built again, and another one is never built', async () => {
  const engine = await createEngine();
  const lines: string[] = [];
  const name = imageName(await imageInputs());
  const deps = { engine, log: silentLog, onLine: (line: string) => lines.push(line) };
  expect(await ensureSandboxImage(deps)).toBe(name);
  expect(await ensureSandboxImage({ ...deps, image: name })).toBe(name);
  await expect(ensureSandboxImage({ ...deps, image: 'localhost:1/none' })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('SANDBOX_IMAGE') as string,
  });
  expect(lines).toEqual([]);
});

test('an image without an agent, or whose agent cannot reach this server, is told of, and nothing is left', async () => {
  await using stage = await createDockerStage();
  const { engine } = stage;
  for (const [name, agent, reason] of [
    ['atelier-test:deaf', 'setInterval(() => {}, 1000)', 'cannot reach'],
    ['atelier-test:dead', 'process.exit(7)', 'ended with code 7'],
  ] as const) {
    const files = new Map([
      ['Dockerfile', `FROM ${imageName(await imageInputs())}\nCOPY main.js /opt/atelier/agent/sandbox/agent/main.js\n`],
      ['main.js', agent],
    ]);
    await engine.buildImage({ files, name, buildArgs: {} });
    try {
      const driver = await stage.driver({ image: name });
      const spec = specOf({ volume: 'e'.repeat(24) });
      const message = expect.stringContaining(reason) as string;
      await expect(driver.start(spec)).rejects.toMatchObject({ code: 'unavailable', message });
      expect(await driver.find()).toEqual([]);
      await driver.removeVolume('e'.repeat(24));
      expect(await readdir(stage.sandboxDir)).toEqual(driver.volumes === 'quota' ? ['volumes'] : []);
    } finally {
      await new Docker().getImage(name).remove({ force: true });
    }
  }
}, 60_000);

test('what a server that has crashed leaves is found by its deployment, and by no other', async () => {
  await using stage = await createDockerStage();
  await using other = await createDockerStage();
  const spec = specOf({ kind: 'run' });
  const sandbox = await stage.sandbox(spec);
  const next = await stage.driver();
  expect(await next.find()).toMatchObject([{ id: spec.id, kind: 'run', state: 'running' }]);
  const stranger = await other.driver();
  expect(await stranger.find()).toEqual([]);
  await stranger.remove(spec.id);
  await expect(stranger.adopt(spec.id, 9)).rejects.toMatchObject({ code: 'not_found' });
  expect(await outputOf(sandbox, 'echo still')).toBe('still\n');
  await next.remove(spec.id);
  expect(await next.find()).toEqual([]);
});

test('many sandboxes that start at once have each another user', async () => {
  await using stage = await createDockerStage();
  // The same user is wanted by all.
  const ids = [1, 2, 3, 4].map((n) => `000000000000000${n}`);
  const sandboxes = await Promise.all(ids.map((id) => stage.sandbox({ id })));
  expect(new Set(sandboxes.map(({ owner }) => owner?.uid)).size).toBe(4);
});

test('a volume is one container’s at a time, keeps its user, and can be given to another', async ({ skip }) => {
  await using stage = await createDockerStage();
  const driver = await stage.driver();
  skip(driver.volumes !== 'quota', 'Volumes with a limit need root and loop devices');
  const volume = 'f'.repeat(24);
  const first = await driver.start(specOf({ volume }));
  await outputOf(first, 'mkdir d; echo mine > d/file; ln -s /etc/passwd link');
  await expect(driver.start(specOf({ volume }))).rejects.toMatchObject({
    code: 'unavailable',
    message: 'The volume is in use',
  });
  const image = join(stage.sandboxDir, 'volumes', `${volume}.ext4`);
  // The space is there: a full disk cannot lose what is written.
  const { blocks, size } = await stat(image);
  expect(blocks * 512).toBeGreaterThanOrEqual(size);
  await first.remove();
  const second = await driver.start(specOf({ volume }));
  expect(second.owner).toEqual(first.owner);
  await second.remove();
  // Somebody else has its user now.
  const wanted = ((first.owner?.uid ?? 0) - USERS.first).toString(16).padStart(6, '0');
  const squatter = await driver.start(specOf({ id: `${wanted}0000000001` }));
  expect(squatter.owner).toEqual(first.owner);
  const third = await driver.start(specOf({ volume }));
  expect(third.owner).not.toEqual(first.owner);
  expect(await outputOf(third, 'cat d/file; echo more >> d/file; cat d/file; stat -c %u link')).toBe(
    `mine\nmine\nmore\n${third.owner?.uid}\n`,
  );
  await squatter.remove();
  await third.remove();
});

test('a volume that the disk has no room for is refused', async ({ skip }) => {
  await using stage = await createDockerStage();
  const volumes = await createVolumes(join(stage.sandboxDir, 'volumes'));
  skip(!volumes, 'Volumes with a limit need root and loop devices');
  await expect(volumes?.mount('large', 2 ** 50)).rejects.toMatchObject({
    code: 'unavailable',
    message: 'The disk has no room for a volume',
  });
  expect(await readdir(join(stage.sandboxDir, 'volumes'))).toEqual([]);
});

test('a server that is killed while it mounts a volume leaves nothing mounted', async ({ skip }) => {
  await using stage = await createDockerStage();
  const directory = join(stage.sandboxDir, 'volumes');
  skip(!(await createVolumes(directory)), 'Volumes with a limit need root and loop devices');
  const program = `
    import { createVolumes } from './src/sandbox/volumes.ts';
    const volumes = await createVolumes(process.argv[1]);
    for (let i = 0; i < 100; i++) {
      console.log('mounting');
      await (await volumes.mount('v', 4194304)).release();
    }`;
  for (let round = 0; round < 5; round++) {
    const args = ['--import', './test/support/typescript.mjs', '--input-type=module', '-e', program, directory];
    const child = spawnChild(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let mounts = 0;
    // Now and then, amid it.
    child.stdout?.on('data', (text: Buffer) => {
      mounts += text.toString().split('mounting').length - 1;
      if (mounts > round) setTimeout(() => child.kill('SIGKILL'), round * 4);
    });
    await exited;
    const mounted = async (): Promise<boolean> => (await readFile('/proc/self/mountinfo', 'utf8')).includes(directory);
    await expect.poll(mounted, { timeout: 5_000 }).toBe(false);
  }
}, 60_000);
