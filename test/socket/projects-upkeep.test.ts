/** The end of projects and what becomes of them when their owner goes; the database itself says what is left. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS } from '../../src/protocol/index.ts';
import { call, heard } from '../support/calls.ts';
import type { Person, TestServer } from '../support/server.ts';
import {
  idOf,
  JOB_WAIT,
  openWatchedServers,
  type WatchedServer,
  type WatchedServers,
} from '../support/watched-server.ts';

let servers: WatchedServers;
let world: WatchedServer;
let server: TestServer;
beforeAll(async () => {
  servers = await openWatchedServers();
});
afterAll(() => servers[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await servers.start();
  ({ server } = world);
});
afterEach(() => world[Symbol.asyncDispose]());

const rows = (name: string, filter: object = {}) => world.rows(name, filter);
const eventually = <T>(read: () => T) => expect.poll(read, JOB_WAIT);

async function create(owner: Person, members: [Person, 'editor' | 'viewer'][] = []): Promise<string> {
  const { body } = await server.request('POST', '/api/projects', { as: owner, body: { name: 'A project' } });
  const projectId = (body as unknown as { data: { project: { id: string } } }).data.project.id;
  for (const [{ id: userId }, role] of members) {
    await server.request('POST', `/api/projects/${projectId}/members`, { as: owner, body: { userId, role } });
  }
  await server.request('POST', `/api/projects/${projectId}/invites`, { as: owner, body: {} });
  return projectId;
}

const statusOf = async (person: Person, projectId: string) =>
  (await server.request('GET', `/api/projects/${projectId}`, { as: person })).status;

const remains = async (projectId: string) => [
  await rows('projects', { _id: idOf(projectId) }),
  await rows('projectMembers', { projectId: idOf(projectId) }),
  await rows('projectInvites', { projectId: idOf(projectId) }),
];

async function endAccount({ id: userId, password, ...person }: Person): Promise<void> {
  const as = { id: userId, password, ...person };
  expect((await server.request('DELETE', '/api/users/me', { as, body: { password } })).status).toBe(200);
  const done = await rows('jobs', { kind: 'account:end', state: 'done' });
  await world.advance(10_000);
  await eventually(() => rows('jobs', { kind: 'account:end', state: 'done' })).toBe(done + 1);
}

test(
  '[PJ-11] a project that was deleted goes with everything once nobody can restore it',
  { timeout: 120_000 },
  async () => {
    let [ada, ben] = [await server.person('Ada'), await server.person('Ben')];
    const [gone, stays] = [await create(ada, [[ben, 'editor']]), await create(ada, [[ben, 'viewer']])];
    await server.request('DELETE', `/api/projects/${gone}`, { as: ada });
    await world.advance(29 * DAY_MS);
    ada = await world.again(ada);
    expect((await server.request('GET', '/api/projects?status=deleted', { as: ada })).body).toMatchObject({
      data: { items: [{ id: gone }] },
    });
    expect(await remains(gone)).toEqual([1, 2, 1]);
    await world.advance(2 * DAY_MS);
    ada = await world.again(ada);
    expect((await server.request('POST', `/api/projects/${gone}/restore`, { as: ada })).status).toBe(404);
    await eventually(() => remains(gone)).toEqual([0, 0, 0]);
    expect((await remains(stays)).slice(0, 2)).toEqual([1, 2]);
    ben = await world.again(ben);
    expect([await statusOf(ben, gone), await statusOf(ben, stays)]).toEqual([404, 200]);
    await expect.poll(() => rows('audit', { action: 'project.purge', projectId: idOf(gone) })).toBe(1);
  },
);

test(
  '[PJ-15] who ends their account is followed by the longest-standing editor, else viewer; else the project goes',
  { timeout: 120_000 },
  async () => {
    const [ada, ben, eve, tom] = [
      await server.person('Ada'),
      await server.person('Ben'),
      await server.person('Eve'),
      await server.person('Tom'),
    ];
    const edited = await create(ada, [
      [ben, 'viewer'],
      [eve, 'editor'],
      [tom, 'editor'],
    ]);
    const viewed = await create(ada, [
      [tom, 'viewer'],
      [ben, 'viewer'],
    ]);
    const deleted = await create(ada, [[ben, 'editor']]);
    await server.request('DELETE', `/api/projects/${deleted}`, { as: ada });
    const [alone, joined] = [await create(ada), await create(eve, [[ada, 'editor']])];
    const socket = await server.socket(eve);
    const [left, updated] = [heard(socket, 'project:member-left'), heard(socket, 'project:updated')];

    await endAccount(ada);
    expect(await remains(alone)).toEqual([0, 0, 0]);
    expect(await rows('projects', { ownerId: idOf(ada.id) })).toBe(0);
    expect(await rows('projectMembers', { userId: idOf(ada.id), state: 'active' })).toBe(0);
    await expect.poll(() => left.map(({ projectId }) => projectId).toSorted()).toEqual([edited, joined].toSorted());
    await expect.poll(() => updated).toMatchObject([{ project: { id: edited, owner: eve.id } }]);
    expect((await call(socket, 'project:get', { projectId: edited })).project).toMatchObject({
      role: 'owner',
      members: [
        { userId: ben.id, role: 'viewer' },
        { userId: eve.id, role: 'owner' },
        { userId: tom.id, role: 'editor' },
      ],
    });
    expect((await server.request('GET', `/api/projects/${viewed}`, { as: tom })).body).toMatchObject({
      data: { project: { owner: tom.id, role: 'owner' } },
    });
    // Who inherits a deleted project may restore it.
    expect((await server.request('POST', `/api/projects/${deleted}/restore`, { as: ben })).body).toMatchObject({
      data: { project: { owner: ben.id } },
    });
    await endAccount(ben);
    expect(await remains(deleted)).toEqual([0, 0, 0]);
  },
);

test('[PJ-16] a project whose creation was given up is seen by nobody and removed', { timeout: 120_000 }, async () => {
  const ada = await server.person('Ada');
  const [whole, half] = [await create(ada), await create(ada)];
  // As a server leaves it that dies while it puts the files in.
  await world.connection
    .collection('projects')
    .updateOne({ _id: idOf(half) }, { $set: { filling: { since: new Date(world.nowMs()) } } });
  const list = async (person: Person) =>
    (
      (await server.request('GET', '/api/projects', { as: person })).body as unknown as {
        data: { items: { id: string }[] };
      }
    ).data.items.map((project) => project.id);
  expect(await list(ada)).toEqual([whole]);
  await world.advance(3 * HOUR_MS);
  await eventually(() => rows('projects', { _id: idOf(half) })).toBe(0);
  expect(await list(await world.again(ada))).toEqual([whole]);
});
