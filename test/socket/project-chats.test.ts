/** Chats of projects: their members are the project's, whatever happens to either. */
import { Types } from 'mongoose';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JobStore } from '../../src/cluster/job-store.ts';
import { DAY_MS, LIMITS } from '../../src/protocol/index.ts';
import { call, heard, heardOfLog } from '../support/calls.ts';
import type { Person, TestServer } from '../support/server.ts';
import { openWatchedServers, type WatchedServer, type WatchedServers } from '../support/watched-server.ts';

let servers: WatchedServers;
let world: WatchedServer;
let server: TestServer;
let count = 0;

beforeAll(async () => {
  servers = await openWatchedServers();
  world = await servers.start();
  ({ server } = world);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await servers[Symbol.asyncDispose]();
});

interface Team {
  owner: Socket;
  editor: Socket;
  viewer: Socket;
  persons: [Person, Person, Person];
  projectId: string;
}

async function team(): Promise<Team> {
  const persons = [await server.person('Owner'), await server.person('Editor'), await server.person('Viewer')] as const;
  const [owner, editor, viewer] = await Promise.all(persons.map((person) => server.socket(person)));
  if (!owner || !editor || !viewer) throw new Error('Somebody is missing');
  const { project } = await call(owner, 'project:create', { name: `Project ${count++}` });
  const projectId = project.id;
  await call(owner, 'project:add-member', { projectId, userId: persons[1].id, role: 'editor' });
  await call(owner, 'project:add-member', { projectId, userId: persons[2].id, role: 'viewer' });
  return { owner, editor, viewer, persons: [...persons], projectId };
}

const send = (socket: Socket, chatId: string, content: string) =>
  call(socket, 'message:send', { chatId, clientId: `m${count++}`, content });
const notFound = { code: 'not_found' };

test('[CH-70] [CH-16] a chat of a project has its members, whatever their role, and nobody else', async () => {
  const { owner, editor, viewer, persons, projectId } = await team();
  const told = heard(viewer, 'chat:created');
  const { chat } = await call(editor, 'chat:create', { kind: 'project', projectId, name: 'Talk', clientId: 'c' });
  expect(chat).toMatchObject({ kind: 'project', projectId, name: 'Talk', memberCount: 3, role: 'member' });
  const chatId = chat.id;
  await expect.poll(() => told).toMatchObject([{ chat: { id: chatId, projectId, role: 'member' } }]);
  expect((await call(editor, 'chat:create', { kind: 'project', projectId, clientId: 'c' })).chat.id).toBe(chatId);
  const { items } = await call(owner, 'chat:members', { chatId });
  const roles = new Map(items.map(({ userId, role }) => [userId, role]));
  expect(persons.map(({ id }) => roles.get(id))).toEqual(['owner', 'member', 'member']);
  const log = heardOfLog(owner, chatId);
  await send(viewer, chatId, 'viewers write');
  await expect.poll(() => log).toHaveLength(1);
  await expect(call(viewer, 'chat:create', { kind: 'project', projectId })).rejects.toMatchObject({
    code: 'forbidden',
  });

  const invalid = { code: 'invalid' };
  const [, second, third] = persons;
  const refusals = [
    call(owner, 'chat:create', { kind: 'project' }),
    call(owner, 'chat:create', { kind: 'group', projectId }),
    call(owner, 'chat:create', { kind: 'project', projectId, memberIds: [second.id] }),
    call(owner, 'chat:add-members', { chatId, userIds: [second.id] }),
    call(owner, 'chat:remove-member', { chatId, userId: second.id }),
    call(viewer, 'chat:remove-member', { chatId, userId: third.id }),
    call(owner, 'chat:set-role', { chatId, userId: second.id, role: 'admin' }),
  ];
  await Promise.all(refusals.map((refused) => expect(refused).rejects.toMatchObject(invalid)));

  const stranger = await server.socket(await server.person());
  await call(owner, 'project:update', { projectId, visibility: 'public' });
  await call(stranger, 'project:get', { projectId });
  expect((await call(stranger, 'chat:list', { projectId })).items).toEqual([]);
  await expect(call(stranger, 'chat:get', { chatId })).rejects.toMatchObject(notFound);
  await expect(call(stranger, 'chat:create', { kind: 'project', projectId })).rejects.toMatchObject({
    code: 'forbidden',
  });
  const other = await call(owner, 'project:create', { name: 'Another' });
  await call(owner, 'chat:create', { kind: 'project', projectId: other.project.id });
  expect((await call(owner, 'chat:list', { projectId })).items.map(({ id }) => id)).toEqual([chatId]);
  const twin = await server.request('GET', `/api/chats?projectId=${projectId}&kind=project`, { as: persons[1] });
  expect(twin.body).toMatchObject({ data: { items: [{ id: chatId }] } });
});

test('[CH-70] [CH-29] [CH-30] who joins the project is in its chats, who leaves is not, and the owner is theirs', async () => {
  const { owner, editor, viewer, persons, projectId } = await team();
  const create = async () => (await call(owner, 'chat:create', { kind: 'project', projectId })).chat.id;
  const chats = [await create(), await create()] as [string, string];
  const log = heardOfLog(owner, chats[0]);
  await send(editor, chats[0], 'before');
  const late = await server.person('Late');
  const socket = await server.socket(late);
  const created = heard(socket, 'chat:created');
  const { token } = await call(owner, 'project:invite', { projectId, role: 'viewer' });
  await call(socket, 'project:accept-invite', { token });
  await expect.poll(() => created.map(({ chat }) => chat.id).sort()).toEqual([...chats].sort());
  expect((await call(socket, 'chat:get', { chatId: chats[0] })).chat).toMatchObject({ unread: 0, memberCount: 4 });
  expect((await call(socket, 'message:list', { chatId: chats[0] })).items.map(({ content }) => content)).toEqual([
    'before',
  ]);
  await send(socket, chats[0], 'hello');

  const gone = heard(editor, 'chat:deleted');
  await call(owner, 'project:remove-member', { projectId, userId: persons[1].id });
  await expect(send(editor, chats[0], 'too late')).rejects.toMatchObject(notFound);
  await expect.poll(() => gone.map(({ chatId }) => chatId).sort()).toEqual([...chats].sort());
  await call(viewer, 'project:leave', { projectId });
  await expect(call(viewer, 'chat:get', { chatId: chats[1] })).rejects.toMatchObject(notFound);

  await call(owner, 'project:set-role', { projectId, userId: late.id, role: 'owner' });
  expect((await call(socket, 'chat:get', { chatId: chats[1] })).chat.role).toBe('owner');
  expect((await call(owner, 'chat:get', { chatId: chats[1] })).chat.role).toBe('member');
  // Back again, as if never away.
  await call(socket, 'project:add-member', { projectId, userId: persons[1].id });
  await send(editor, chats[0], 'back');
  await expect
    .poll(() => log.map(({ event, rev }) => [event, rev]))
    .toEqual([
      ['message:created', 1],
      ['chat:members-changed', 2],
      ['message:created', 3],
      ['chat:members-changed', 4],
      ['chat:members-changed', 5],
      ['chat:members-changed', 6],
      ['chat:members-changed', 7],
      ['message:created', 8],
    ]);
  expect(await call(owner, 'chat:sync', { chatId: chats[0], after: 0 })).toMatchObject({ membersChanged: true });
});

test('[CH-71] chats go with their project, and come back with it and with the members of then', async () => {
  const { owner, editor, viewer, persons, projectId } = await team();
  const create = async () => (await call(owner, 'chat:create', { kind: 'project', projectId })).chat.id;
  const [both, alone] = [await create(), await create()];
  await send(editor, both, 'kept');
  await call(owner, 'chat:delete', { chatId: alone });
  await call(owner, 'project:remove-member', { projectId, userId: persons[2].id });
  const late = await server.person('Late');
  await call(owner, 'project:add-member', { projectId, userId: late.id });
  const gone = heard(editor, 'chat:deleted');
  await call(owner, 'project:delete', { projectId });
  await expect.poll(() => gone).toEqual([{ chatId: both }]);
  await expect(call(owner, 'chat:get', { chatId: both })).rejects.toMatchObject(notFound);
  for (const chatId of [both, alone]) {
    await expect(call(owner, 'chat:restore', { chatId })).rejects.toMatchObject(notFound);
  }
  expect((await call(owner, 'chat:list', { status: 'deleted', projectId })).items.map(({ id }) => id)).toEqual([alone]);
  await call(owner, 'project:restore', { projectId });
  expect((await call(editor, 'message:list', { chatId: both })).items.map(({ content }) => content)).toEqual(['kept']);
  expect((await call(editor, 'chat:get', { chatId: both })).chat.status).toBe('active');
  await expect(call(owner, 'chat:get', { chatId: alone })).rejects.toMatchObject(notFound);

  await call(owner, 'chat:restore', { chatId: alone });
  const { items } = await call(owner, 'chat:members', { chatId: alone });
  expect(items.map(({ userId }) => userId).sort()).toEqual([persons[0].id, persons[1].id, late.id].sort());
  expect((await call(owner, 'chat:get', { chatId: alone })).chat.memberCount).toBe(3);
  await expect(call(viewer, 'chat:get', { chatId: alone })).rejects.toMatchObject(notFound);
  expect((await call(await server.socket(late), 'chat:get', { chatId: alone })).chat.unread).toBe(0);
});

test('[CH-70] whose account ends is in no chat of any project', { timeout: 60_000 }, async () => {
  const { owner, persons, projectId } = await team();
  const { chat } = await call(owner, 'chat:create', { kind: 'project', projectId });
  // Over HTTP: its sockets end with the account.
  const body = { password: persons[1].password };
  expect((await server.request('DELETE', '/api/users/me', { as: persons[1], body })).status).toBe(200);
  const members = async () =>
    (await call(owner, 'chat:members', { chatId: chat.id })).items.map(({ userId }) => userId);
  await world.advance(10_000);
  await expect.poll(members, { timeout: 30_000 }).toEqual([persons[0].id, persons[2].id]);
});

test('[CH-72] what was begun and cut off is done by the job that was stored before', { timeout: 60_000 }, async () => {
  const { owner, editor, persons, projectId } = await team();
  const { chat } = await call(owner, 'chat:create', { kind: 'project', projectId });
  const late = await server.person('Late');
  const { connection } = world;
  const project = new Types.ObjectId(projectId);
  expect(await connection.collection('jobs').countDocuments({ kind: 'chats.project-members' })).toBeGreaterThan(0);
  // As a node leaves it that dies after its write of the project's rows.
  const at = new Date(world.nowMs());
  await connection
    .collection('projectMembers')
    .updateOne(
      { projectId: project, userId: new Types.ObjectId(persons[1].id) },
      { $set: { state: 'left', changedAt: at } },
    );
  await connection.collection('projectMembers').insertOne({
    projectId: project,
    userId: new Types.ObjectId(late.id),
    state: 'active',
    role: 'viewer',
    joinedAt: at,
    changedAt: at,
    starred: false,
  });
  await new JobStore(connection).insert({
    _id: new Types.ObjectId(),
    kind: 'chats.project-members',
    state: 'queued',
    data: { projectId },
    runAt: at,
    attempts: 0,
    fence: 0,
    createdAt: at,
  });
  const socket = await server.socket(late);
  const answer = (reader: Socket) =>
    call(reader, 'chat:get', { chatId: chat.id }).then(
      () => 'there',
      () => 'gone',
    );
  await expect.poll(() => answer(socket), { timeout: 30_000 }).toBe('there');
  await expect.poll(() => answer(editor), { timeout: 30_000 }).toBe('gone');
});

test('[CH-71] a project that goes for ever takes its chats along', { timeout: 90_000 }, async () => {
  const { owner, editor, projectId } = await team();
  const { chat } = await call(owner, 'chat:create', { kind: 'project', projectId });
  await send(editor, chat.id, 'hello');
  await call(owner, 'project:delete', { projectId });
  await world.advance((LIMITS.restoreDays + 1) * DAY_MS);
  await expect.poll(() => world.rows('projects', { _id: new Types.ObjectId(projectId) }), { timeout: 40_000 }).toBe(0);
  const chatId = new Types.ObjectId(chat.id);
  const eventually = { timeout: 40_000 };
  await expect.poll(() => world.rows('chats', { _id: chatId }), eventually).toBe(0);
  expect(await world.rows('entries', { chatId })).toBe(0);
  expect(await world.rows('memberships', { chatId })).toBe(0);
});
