/** Projects over two servers on one database and one Redis, which is killed and comes back empty. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, codeOf, heard } from '../support/calls.ts';
import { startNodes, type TestNodes } from '../support/nodes.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import type { Person, TestServer } from '../support/server.ts';

describe.runIf(hasRedis())('projects on two nodes', { timeout: 90_000 }, () => {
  let redis: TestRedis;
  let cluster: TestNodes;
  let ada: Person;
  let ben: Person;
  let a: Socket;
  let b: Socket;

  beforeAll(async () => {
    redis = await startRedis();
    cluster = await startNodes(2, { REDIS_URL: redis.url });
    const [here, there] = cluster.nodes as [TestServer, TestServer];
    [ada, ben] = [await here.person('Ada'), await here.person('Ben')];
    [a, b] = [await here.socket(ada), await there.socket(ben)];
  });
  afterAll(async () => {
    const errors = cluster.nodes.flatMap((node) => node.errors);
    await cluster[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
    if (errors.length > 0) throw new AggregateError(errors, `The servers had ${errors.length} errors`);
  });

  const newProject = async (more: object = {}) =>
    (await call(a, 'project:create', { name: 'A project', ...more })).project.id;
  /** What Ben's server says of Ben. */
  const seen = (projectId: string) =>
    call(b, 'project:get', { projectId }).then(
      ({ project }) => project.role ?? 'reader',
      (error: { code: string }) => error.code,
    );
  const rename = (socket: Socket, projectId: string) =>
    codeOf(call(socket, 'project:update', { projectId, name: `Name ${Math.random()}` }));
  const soon = { timeout: 10_000 };

  test('[PJ-5] [PJ-7] who comes, gets another role and goes does so on every server at once', async () => {
    const projectId = await newProject();
    expect(await seen(projectId)).toBe('not_found');
    const [created, updated, deleted, left] = [
      heard(b, 'project:created'),
      heard(b, 'project:updated'),
      heard(b, 'project:deleted'),
      heard(b, 'project:member-left'),
    ];
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    await expect.poll(() => created, soon).toMatchObject([{ project: { id: projectId, role: 'viewer' } }]);
    expect(await rename(b, projectId)).toBe('forbidden');
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'editor' });
    await expect.poll(() => rename(b, projectId), soon).toBe('ok');
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'viewer' });
    await expect.poll(() => rename(b, projectId), soon).toBe('forbidden');
    await rename(a, projectId);
    await expect
      .poll(() => updated.at(-1)?.project.updatedAt, soon)
      .toBe((await call(a, 'project:get', { projectId })).project.updatedAt);
    await call(a, 'project:remove-member', { projectId, userId: ben.id });
    await expect.poll(() => deleted, soon).toEqual([{ projectId }]);
    await expect.poll(() => left, soon).toEqual([{ projectId, userId: ben.id }]);
    expect(await seen(projectId)).toBe('not_found');
    const before = updated.length;
    await rename(a, projectId);
    // What comes after it on the same way would have come after what was not to come.
    const other = await newProject();
    await call(a, 'project:add-member', { projectId: other, userId: ben.id });
    await expect.poll(() => created.at(-1)?.project.id, soon).toBe(other);
    expect(updated).toHaveLength(before);
  });

  test('[PJ-5] [PJ-11] visibility, deletion and restoring take effect on every server at once', async () => {
    const projectId = await newProject({ visibility: 'public' });
    expect(await seen(projectId)).toBe('reader');
    await call(a, 'project:update', { projectId, visibility: 'private' });
    await expect.poll(() => seen(projectId), soon).toBe('not_found');
    await call(a, 'project:update', { projectId, visibility: 'public' });
    await expect.poll(() => seen(projectId), soon).toBe('reader');
    await call(a, 'project:add-member', { projectId, userId: ben.id });
    await expect.poll(() => seen(projectId), soon).toBe('editor');
    const [deleted, created] = [heard(b, 'project:deleted'), heard(b, 'project:created')];
    await call(a, 'project:delete', { projectId });
    await expect.poll(() => deleted, soon).toEqual([{ projectId }]);
    expect(await seen(projectId)).toBe('not_found');
    await call(a, 'project:restore', { projectId });
    await expect.poll(() => created.at(-1), soon).toMatchObject({ project: { id: projectId, role: 'editor' } });
    expect(await seen(projectId)).toBe('editor');
  });

  test('[PJ-3] [PJ-5] ownership is handed over on every server at once', async () => {
    const projectId = await newProject();
    await call(a, 'project:add-member', { projectId, userId: ben.id });
    await expect.poll(() => seen(projectId), soon).toBe('editor');
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'owner' });
    await expect.poll(() => seen(projectId), soon).toBe('owner');
    await call(b, 'project:set-role', { projectId, userId: ada.id, role: 'viewer' });
    await expect.poll(() => rename(a, projectId), soon).toBe('forbidden');
  });

  test('[PJ-5] [PJ-7] what changed while Redis was away is so everywhere when it is back', async () => {
    const [lost, gained, renamed] = [await newProject(), await newProject(), await newProject()];
    for (const projectId of [lost, renamed]) {
      await call(a, 'project:add-member', { projectId, userId: ben.id });
      await expect.poll(() => seen(projectId), soon).toBe('editor');
    }
    const [created, updated, deleted] = [
      heard(b, 'project:created'),
      heard(b, 'project:updated'),
      heard(b, 'project:deleted'),
    ];
    await redis.kill();
    await call(a, 'project:remove-member', { projectId: lost, userId: ben.id });
    await call(a, 'project:add-member', { projectId: gained, userId: ben.id, role: 'viewer' });
    await call(a, 'project:update', { projectId: renamed, name: 'While away' });
    await redis.restart();
    await expect.poll(() => deleted, { timeout: 20_000 }).toEqual([{ projectId: lost }]);
    await expect
      .poll(() => created.map(({ project }) => project), { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ id: gained, role: 'viewer' }));
    await expect
      .poll(() => updated.map(({ project }) => project), { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ id: renamed, name: 'While away' }));
    expect(await seen(lost)).toBe('not_found');
    expect(await seen(gained)).toBe('viewer');
  });

  test('[PJ-6] from `hello` on nothing is missed of a project that is changed on the other server meanwhile', async () => {
    const [, there] = cluster.nodes as [TestServer, TestServer];
    for (let round = 0; round < 5; round++) {
      const projectId = await newProject();
      const joining = call(a, 'project:add-member', { projectId, userId: ben.id });
      const socket = await there.socket(ben);
      const [created, updated] = [heard(socket, 'project:created'), heard(socket, 'project:updated')];
      await joining;
      const listed = (await call(socket, 'project:list', {})).items.map(({ id }) => id);
      await expect.poll(() => listed.includes(projectId) || created.length > 0, soon).toBe(true);
      await call(a, 'project:update', { projectId, name: `Round ${round}` });
      await expect.poll(() => updated.map(({ project }) => project.name), soon).toContain(`Round ${round}`);
      socket.close();
    }
  });
});
