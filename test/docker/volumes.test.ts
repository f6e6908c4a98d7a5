/** Volumes of projects: given up when nobody uses them, and left on machines that are gone. Through whole servers. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mongoose';
import type { Socket } from 'socket.io-client';
import { describe, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { DATABASE_NAME } from '../../src/storage/database.ts';
import { call } from '../support/calls.ts';
import { Ends } from '../support/ends.ts';
import { hasRedis } from '../support/redis.ts';
import type { Person } from '../support/server.ts';
import { startDockerCluster, startDockerServer, type DockerCluster } from './deployments.ts';
import { exec, projectOf, statusOf } from './projects.ts';

// Containers, databases and servers start and die here.
vi.setConfig({ testTimeout: 180_000 });

const run = promisify(execFile);

/** Packages with a lockfile, a repository, a home, and files that the project has or cannot have. */
const FILL = `
set -e
echo kept > ~/note
git init -q; git config user.name A; git config user.email a@example.com; git commit -q --allow-empty -m first
echo '{ "name": "one", "version": "1.0.0", "private": true }' > package.json
npm install --silent is-number@7.0.0; mkdir node_modules/mine
printf text > refused$(printf '\\001'); printf name > $(printf 'a\\377')
mkdir closed; chmod 0 closed
echo said last > last
`;
const LOOK = `
cat ~/note; git log --format=%s; cat node_modules/is-number/package.json | grep '"version"'; ls -d node_modules/mine
cat refused*; echo; cat $(printf 'a\\377'); echo; cat last
`;
const SEEN = `kept
first
  "version": "7.0.0",
ls: cannot access 'node_modules/mine': No such file or directory
text
name
said last
`;

/** A disk of its own, whose size takes no room as long as nothing is in it. */
async function mountDisk(ends: Ends, at: string, sizeMib: number): Promise<void> {
  const image = `${at}.ext4`;
  await mkdir(at);
  await run('truncate', ['-s', `${sizeMib}M`, image]);
  await run('mkfs.ext4', ['-q', '-m', '0', image]);
  await run('mount', ['-o', 'loop', image, at]);
  ends.defer(() => run('umount', [at]));
}

const VOLUME = { SANDBOX_VOLUME_MIB: '64' };

test('[SB-8] a volume that nobody has used for long is archived and removed, and all is there with the next start', async () => {
  await using world = await startDockerCluster({
    nodes: 1,
    redis: false,
    env: { ...VOLUME, SANDBOX_VOLUME_DAYS: '0.00001' },
  });
  const [node] = world.cluster.nodes;
  const people = world.cluster.world();
  const person = await people.person('Ada');
  const ada = await people.socket(person);
  const projectId = await projectOf(ada);
  expect(await exec(ada, projectId, FILL)).toBe('');
  await call(ada, 'sandbox:stop', { projectId });
  const volumes = await world.volumes();
  expect(volumes).toHaveLength(1);
  await node?.end();
  await node?.restart();
  await expect.poll(() => world.volumes(), { timeout: 60_000 }).toEqual([]);
  expect(await world.containers()).toEqual([]);
  const again = await people.socket(person);
  expect(await statusOf(again, projectId)).toBe('stopped');
  expect(await exec(again, projectId, LOOK)).toBe(SEEN);
  expect(await world.volumes()).not.toEqual(volumes);
});

test('[SB-8] one that cannot be archived whole stays', async () => {
  await using ends = new Ends();
  const dataDir = await mkdtemp(join(tmpdir(), 'volumes-'));
  ends.defer(() => rm(dataDir, { recursive: true, force: true }));
  const env = { ...VOLUME, SANDBOX_VOLUME_DAYS: '0.00001' };
  const world = ends.use(
    await startDockerCluster({ nodes: 1, redis: false, env, envOf: () => ({ DATA_DIR: dataDir }) }),
  );
  const [node] = world.cluster.nodes;
  const people = world.cluster.world();
  const person = await people.person('Ada');
  const ada = await people.socket(person);
  const projectId = await projectOf(ada);
  await exec(ada, projectId, 'echo kept > ~/note');
  await writeFile(join(dataDir, 'blobs/sandbox-archives.d'), 'in the way');
  await call(ada, 'sandbox:stop', { projectId });
  const volumes = await world.volumes();
  await node?.end();
  await node?.restart();
  await expect.poll(() => node?.output(), { timeout: 60_000 }).toContain('a volume could not be archived');
  const again = await people.socket(person);
  expect(await exec(again, projectId, 'cat ~/note')).toBe('kept\n');
  expect(await world.volumes()).toEqual(volumes);
});

test('[SB-8] where the disk has no room for another, the one used longest ago goes', async () => {
  await using ends = new Ends();
  const dataDir = await mkdtemp(join(tmpdir(), 'volumes-'));
  ends.defer(() => rm(dataDir, { recursive: true, force: true }));
  const sandboxDir = join(dataDir, 'sandboxes');
  // Besides what a machine keeps for itself, there is room for two volumes and some of a third.
  await mountDisk(ends, sandboxDir, 1_024 + 230);
  const env = { ...VOLUME, DATA_DIR: dataDir, SANDBOX_DIR: sandboxDir, ACCESS_TOKEN_SECONDS: '7200' };
  const server = await startDockerServer(env);
  const person = await server.person('Ada');
  const projects: string[] = [];
  try {
    const ada = await server.socket(person);
    for (const name of ['first', 'second']) {
      const projectId = await projectOf(ada);
      await exec(ada, projectId, `echo ${name} > ~/note`);
      await call(ada, 'sandbox:stop', { projectId });
      projects.push(projectId);
    }
    // What was used last is not what was made last.
    await call(ada, 'sandbox:start', { projectId: projects[0] as string });
    await call(ada, 'sandbox:stop', { projectId: projects[0] as string });
    await expect(call(ada, 'sandbox:start', { projectId: await projectOf(ada) })).rejects.toMatchObject({
      code: 'unavailable',
    });
  } finally {
    await server[Symbol.asyncDispose]();
  }
  const volumes = async (): Promise<string[]> =>
    (await readdir(join(sandboxDir, 'volumes'))).filter((name) => name.endsWith('.ext4'));
  expect(await volumes()).toHaveLength(2);
  const later = ends.use(await startDockerServer(env, { now: () => Date.now() + 15 * 60_000 }));
  await expect.poll(volumes, { timeout: 30_000 }).toHaveLength(1);
  const ada = await later.socket(person);
  const notes = await Promise.all(projects.map((projectId) => exec(ada, projectId, 'cat ~/note')));
  expect(notes).toEqual(['first\n', 'second\n']);
  for (const projectId of projects) await call(ada, 'sandbox:stop', { projectId });
});

test('[SB-5] a machine has no more sandboxes than it takes', async () => {
  await using world = await startDockerCluster({ nodes: 1, redis: false, env: { ...VOLUME, SANDBOX_PER_HOST: '1' } });
  const people = world.cluster.world();
  const [ada, ben] = [await people.socket(await people.person('Ada')), await people.socket(await people.person('Ben'))];
  const [one, two] = [await projectOf(ada), await projectOf(ben)];
  await call(ada, 'sandbox:start', { projectId: one });
  await expect(call(ben, 'sandbox:start', { projectId: two })).rejects.toMatchObject({ code: 'unavailable' });
  expect(await world.volumes()).toHaveLength(1);
  await call(ada, 'sandbox:stop', { projectId: one });
  expect((await call(ben, 'sandbox:start', { projectId: two })).sandbox.status).toBe('running');
});

describe.runIf(hasRedis())('two machines', () => {
  interface Stage {
    world: DockerCluster;
    person: Person;
    /** Theirs, by either server. */
    near: Socket;
    far: Socket;
    projectId: string;
  }

  async function stage(ends: Ends): Promise<Stage> {
    const world = ends.use(await startDockerCluster({ nodes: 2, apart: true, env: VOLUME }));
    const [here, there] = [world.cluster.world(0), world.cluster.world(1)];
    const person = await here.person('Ada');
    const [near, far] = [await here.socket(person), await there.socket(person)];
    const projectId = await projectOf(near);
    await exec(near, projectId, 'echo kept > ~/note; echo text > file');
    await expect.poll(async () => (await call(near, 'file:list', { projectId })).items).toHaveLength(1);
    return { world, person, near, far, projectId };
  }

  /** As if nobody had heard of any machine for long. */
  async function forgetMachines({ cluster }: DockerCluster): Promise<void> {
    const connection = await createConnection(cluster.database?.uri ?? '', { directConnection: true }).asPromise();
    try {
      const seenAt = new Date(Date.now() - 2 * LIMITS.machineAwayMs);
      await connection.useDb(DATABASE_NAME).collection('sandbox_hosts').updateMany({}, { $set: { seenAt } });
    } finally {
      await connection.close();
    }
  }

  test('[SB-9] a project starts where its volume is, and elsewhere when that machine is gone', async () => {
    await using ends = new Ends();
    const { world, person, near, far, projectId } = await stage(ends);
    const here = world.cluster.world(0);
    const [first] = world.cluster.nodes;
    await call(near, 'sandbox:stop', { projectId });
    expect(await exec(far, projectId, 'cat ~/note')).toBe('kept\n');
    expect(await world.volumes()).toHaveLength(1);
    await call(far, 'sandbox:stop', { projectId });
    await first?.kill();
    // All of it is in the archive.
    const look = () => exec(far, projectId, 'cat ~/note file').catch(() => '');
    await expect.poll(look, { timeout: 60_000 }).toBe('kept\ntext\n');
    expect(await world.volumes()).toHaveLength(2);
    // What the first one has is the project's no more.
    await first?.restart();
    expect(await exec(await here.socket(person), projectId, 'cat ~/note file')).toBe('kept\ntext\n');
    expect(await world.containers()).toHaveLength(1);
  });

  test('[SB-9] one that was running when its machine went is waited for, and given up after a while', async () => {
    await using ends = new Ends();
    const { world, far, projectId } = await stage(ends);
    const [first] = world.cluster.nodes;
    const [left = ''] = await world.containers();
    await first?.kill();
    await expect
      .poll(() => call(far, 'sandbox:start', { projectId }).catch((error: Error) => error.message), { timeout: 60_000 })
      .toContain('is away');
    await forgetMachines(world);
    expect(await exec(far, projectId, 'cat file; ls ~')).toBe('text\n');
    const containers = await world.containers();
    expect(containers).toHaveLength(2);
    // It ends what it had: the project goes on elsewhere.
    await first?.restart();
    await expect.poll(() => world.containers(), { timeout: 60_000 }).not.toContain(left);
    expect(await exec(far, projectId, 'echo on')).toBe('on\n');
    expect(await world.volumes()).toHaveLength(2);
  });

  test('[SB-6] machines with one engine leave each other theirs', async () => {
    await using ends = new Ends();
    const { world, near, projectId } = await stage(ends);
    const [, second] = world.cluster.nodes;
    const containers = await world.containers();
    await second?.end();
    await second?.restart();
    expect(await world.containers()).toEqual(containers);
    expect(await exec(near, projectId, 'cat ~/note')).toBe('kept\n');
  });
});
