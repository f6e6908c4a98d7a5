/** Sandboxes of projects in containers, through whole server processes that stop, die and come back. */
import Docker from 'dockerode';
import { describe, expect, test, vi } from 'vitest';
import { call, heard } from '../support/calls.ts';
import type { ClusterOptions } from '../support/cluster.ts';
import { hasRedis } from '../support/redis.ts';
import { startDockerCluster, type DockerCluster } from './deployments.ts';
import { exec, projectOf, statusOf } from './projects.ts';

const docker = new Docker();

// Containers, databases and servers start and die here.
vi.setConfig({ testTimeout: 120_000 });

/** A deployment with volumes that are made in a moment. */
const stage = (options: ClusterOptions) =>
  startDockerCluster({ ...options, env: { SANDBOX_VOLUME_MIB: '64', ...options.env } });

test('[SB-1] a sandbox starts with its first use, stops when told, and keeps its files', async () => {
  await using world = await stage({ nodes: 1, redis: false });
  const people = world.cluster.world();
  const ada = await people.socket(await people.person('Ada'));
  const projectId = await projectOf(ada);
  const changes = heard(ada, 'sandbox:changed');
  expect(await statusOf(ada, projectId)).toBe('stopped');
  expect(await exec(ada, projectId, 'echo kept > /home/dev/note; id -un')).toBe('dev\n');
  expect((await call(ada, 'sandbox:status', { projectId })).sandbox).toMatchObject({
    status: 'running',
    driver: 'docker',
    isolated: true,
    survives: true,
    files: 'quota',
  });
  expect((await call(ada, 'sandbox:stop', { projectId })).sandbox.status).toBe('stopped');
  expect(await world.containers()).toEqual([]);
  expect(await exec(ada, projectId, 'cat /home/dev/note')).toBe('kept\n');
  expect(changes.map(({ status }) => status)).toEqual([
    'starting',
    'running',
    'stopping',
    'stopped',
    'starting',
    'running',
  ]);
  expect((await call(ada, 'sandbox:restart', { projectId })).sandbox.status).toBe('running');
});

/** A project whose sandbox has a file that only this sandbox has. */
async function withNote({ cluster }: DockerCluster) {
  const people = cluster.world();
  const person = await people.person('Ada');
  const ada = await people.socket(person);
  const projectId = await projectOf(ada);
  await exec(ada, projectId, 'echo here > /tmp/note');
  return { node: cluster.nodes[0], people, person, projectId };
}

test.each(['kill', 'end'] as const)(
  '[SB-2] a server that comes back after its %s has its sandboxes again',
  async (how) => {
    await using world = await stage({ nodes: 1, redis: false, env: { SANDBOX_WARM: '1' } });
    const { node, people, person, projectId } = await withNote(world);
    await node?.[how]();
    await node?.restart();
    const again = await people.socket(person);
    // A node that was killed is known to be dead after some seconds.
    await expect.poll(() => statusOf(again, projectId).catch(() => ''), { timeout: 25_000 }).toBe('running');
    expect(await exec(again, projectId, 'cat /tmp/note')).toBe('here\n');
    // Its own and those that are ready: nothing is left of the life before.
    await expect.poll(async () => (await world.containers()).length, { timeout: 20_000 }).toBe(3);
  },
);

test('[SB-2] one that stood still when the server went goes on with the next', async () => {
  await using world = await stage({ nodes: 1, redis: false });
  const { node, people, person, projectId } = await withNote(world);
  const [id = ''] = await world.containers();
  await node?.end();
  await docker.getContainer(id).pause();
  await node?.restart();
  const again = await people.socket(person);
  await expect.poll(() => statusOf(again, projectId), { timeout: 25_000 }).toBe('running');
  expect(await exec(again, projectId, 'cat /tmp/note')).toBe('here\n');
  expect(await world.containers()).toEqual([id]);
});

test('[SB-3] one that nobody uses is paused, goes on when it is used, and is stopped in the end', async () => {
  await using world = await stage({ nodes: 1, redis: false, env: { SANDBOX_IDLE_MINUTES: '0.03' } });
  const people = world.cluster.world();
  const ada = await people.socket(await people.person('Ada'));
  const projectId = await projectOf(ada);
  const changes = heard(ada, 'sandbox:changed');
  await call(ada, 'sandbox:start', { projectId });
  // Not the last of them for long.
  await expect.poll(() => changes.map(({ status }) => status), { timeout: 20_000 }).toContain('paused');
  expect(await exec(ada, projectId, 'echo awake')).toBe('awake\n');
  await expect.poll(() => changes.at(-1), { timeout: 20_000 }).toMatchObject({ status: 'stopped', reason: 'idle' });
  expect(await world.containers()).toEqual([]);
});

test('[SB-4] one that ends by itself is told of', async () => {
  await using world = await stage({ nodes: 1, redis: false });
  const people = world.cluster.world();
  const ada = await people.socket(await people.person('Ada'));
  const projectId = await projectOf(ada);
  await call(ada, 'sandbox:start', { projectId });
  const changes = heard(ada, 'sandbox:changed');
  const [id = ''] = await world.containers();
  await docker.getContainer(id).kill();
  await expect.poll(() => changes.at(-1)).toMatchObject({ status: 'stopped', reason: 'exited' });
  expect((await call(ada, 'sandbox:start', { projectId })).sandbox.status).toBe('running');
});

test('[SB-4] one that has used up its memory for good ends, and is told of with the reason', async () => {
  await using world = await stage({ nodes: 1, redis: false, env: { SANDBOX_MEMORY_MIB: '128' } });
  const people = world.cluster.world();
  const ada = await people.socket(await people.person('Ada'));
  const projectId = await projectOf(ada);
  const changes = heard(ada, 'sandbox:changed');
  // These folders are memory, together as much as there is, and stay when programs are ended for it, as this one is
  // before the agent: it goes on where it was.
  const command = 'for folder in /tmp /dev/shm; do cat /dev/zero >> $folder/all; done';
  const stopped = async () => {
    const isOver = changes.some(({ status }) => status === 'stopped');
    if (!isOver) await call(ada, 'sandbox:exec', { projectId, command }).catch(() => {});
    return changes.find(({ status }) => status === 'stopped');
  };
  await expect.poll(stopped, { timeout: 90_000 }).toMatchObject({ reason: 'memory' });
  await call(ada, 'sandbox:restart', { projectId });
  expect(await exec(ada, projectId, 'ls /tmp /dev/shm')).not.toContain('all');
});

test('[SB-5] no more run at once than may, and members only may use one', async () => {
  await using world = await stage({ nodes: 1, redis: false, env: { SANDBOX_PER_USER: '1' } });
  const people = world.cluster.world();
  const [ben, eve] = [await people.person('Ben'), await people.person('Eve')];
  const ada = await people.socket(await people.person('Ada'));
  const [viewer, stranger] = [await people.socket(ben), await people.socket(eve)];
  const [one, two] = [await projectOf(ada), await projectOf(ada)];
  await call(ada, 'project:add-member', { projectId: one, userId: ben.id, role: 'viewer' });
  await call(ada, 'project:update', { projectId: one, visibility: 'public' });
  await call(ada, 'sandbox:start', { projectId: one });
  await expect(call(ada, 'sandbox:start', { projectId: two })).rejects.toMatchObject({ code: 'quota_exceeded' });
  expect(await statusOf(viewer, one)).toBe('running');
  await expect(call(viewer, 'sandbox:stop', { projectId: one })).rejects.toMatchObject({ code: 'forbidden' });
  await expect(call(viewer, 'sandbox:exec', { projectId: one, command: 'ls' })).rejects.toMatchObject({
    code: 'forbidden',
  });
  await expect(call(stranger, 'sandbox:status', { projectId: one })).rejects.toMatchObject({ code: 'forbidden' });
  await expect(call(stranger, 'sandbox:status', { projectId: two })).rejects.toMatchObject({ code: 'not_found' });
  await call(ada, 'sandbox:stop', { projectId: one });
  expect((await call(ada, 'sandbox:start', { projectId: two })).sandbox.status).toBe('running');
});

describe.runIf(hasRedis())('two servers of one machine', () => {
  test('[SB-6] both use the one sandbox of a project, and one takes over what the other leaves when it dies', async () => {
    await using world = await stage({ nodes: 2 });
    const [here, there] = [world.cluster.world(0), world.cluster.world(1)];
    const person = await here.person('Ada');
    const [near, far] = [await here.socket(person), await there.socket(person)];
    const projectId = await projectOf(near);
    await Promise.all([call(near, 'sandbox:start', { projectId }), call(far, 'sandbox:start', { projectId })]);
    expect(await world.containers()).toHaveLength(1);
    await exec(near, projectId, 'echo shared > /tmp/note');
    expect(await exec(far, projectId, 'cat /tmp/note')).toBe('shared\n');
    await world.cluster.nodes[0]?.kill();
    await expect.poll(() => statusOf(far, projectId).catch(() => ''), { timeout: 25_000 }).toBe('running');
    expect(await exec(far, projectId, 'cat /tmp/note')).toBe('shared\n');
    expect(await world.containers()).toHaveLength(1);
    await world.cluster.nodes[1]?.end();
    expect(await world.containers()).toHaveLength(1);
  });
});
