/** `/yjs` and awareness on a whole server: stock providers and Socket.IO clients in one document. */
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import * as Y from 'yjs';
import { call, heard } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { openPlain, openStock, synced } from '../support/yjs.ts';

let server: TestServer;
let ada: Person;
let grace: Person;
let projectId: string;
let fileId: string;

beforeAll(async () => {
  server = await startServer();
  [ada, grace] = await Promise.all([server.person('Ada'), server.person('Grace')]);
  const socket = await server.socket(ada);
  projectId = (await call(socket, 'project:create', { name: 'Engine', template: 'empty' })).project.id;
  await call(socket, 'project:add-member', { projectId, userId: grace.id, role: 'viewer' });
  fileId = (await call(socket, 'file:create', { projectId, path: 'notes.txt', content: 'Hello' })).file.id;
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ticketOf = async (person: Person): Promise<string> =>
  (await call(await server.socket(person), 'doc:ticket', { fileId })).ticket;

test('[DC-41] a stock provider and a Socket.IO client edit one text', async () => {
  const stock = await synced(openStock(server.url, fileId, await ticketOf(ada)));
  expect(stock.text.toJSON()).toBe('Hello');
  const socket = await server.socket(ada);
  const doc = new Y.Doc();
  const { updates } = await call(socket, 'doc:open', { fileId });
  for (const update of updates) Y.applyUpdate(doc, new Uint8Array(update));
  socket.on('doc:updated', ({ update }: { update: Uint8Array }) => Y.applyUpdate(doc, new Uint8Array(update)));
  stock.text.insert(5, ' you');
  await expect.poll(() => doc.getText('content').toJSON()).toBe('Hello you');
  const before = Y.encodeStateVector(doc);
  doc.getText('content').insert(0, '> ');
  await call(socket, 'doc:update', { docId: fileId, update: Y.encodeStateAsUpdate(doc, before) });
  await expect.poll(() => stock.text.toJSON()).toBe('> Hello you');
});

test('[DC-36] by either way everybody sees who is there, also who may only read', async () => {
  const stock = openStock(server.url, fileId, await ticketOf(ada));
  await synced(stock);
  stock.provider.awareness.setLocalState({ name: 'Ada' });
  const socket = await server.socket(grace);
  const updates = heard(socket, 'doc:awareness-changed');
  await call(socket, 'doc:open', { fileId });
  await expect.poll(() => updates.length).toBeGreaterThan(0);
  const doc = new Y.Doc();
  const awareness = new Awareness(doc);
  onTestFinished(() => awareness.destroy());
  for (const { update } of updates) applyAwarenessUpdate(awareness, new Uint8Array(update), 'server');
  expect([...awareness.getStates().values()]).toContainEqual({ name: 'Ada' });
  awareness.setLocalState({ name: 'Grace' });
  const update = encodeAwarenessUpdate(awareness, [doc.clientID]);
  await call(socket, 'doc:awareness', { docId: fileId, update });
  const names = (): unknown[] => [...stock.provider.awareness.getStates().values()].map((state) => state['name']);
  await expect.poll(() => new Set(names())).toEqual(new Set(['Ada', 'Grace']));
  await call(socket, 'doc:close', { docId: fileId });
  await expect.poll(names).toEqual(['Ada']);
  await expect(call(socket, 'doc:awareness', { docId: fileId, update })).rejects.toMatchObject({ code: 'not_found' });
});

test('[DC-34] what is no awareness update is invalid', async () => {
  const socket = await server.socket(ada);
  await call(socket, 'doc:open', { fileId });
  const update = new Uint8Array([9, 9]);
  await expect(call(socket, 'doc:awareness', { docId: fileId, update })).rejects.toMatchObject({ code: 'invalid' });
});

test('[DC-44] [DC-43] with its session a ticket ends, and whoever came by it', async () => {
  const { body } = await server.request('POST', '/api/auth/login', {
    body: { email: ada.email, password: ada.password },
  });
  const other = { ...ada, ...(body as unknown as Person) };
  const ticket = await ticketOf(other);
  const stock = await synced(openStock(server.url, fileId, ticket));
  const byToken = await synced(openStock(server.url, fileId, other.accessToken));
  await server.request('POST', '/api/auth/logout', { body: { refreshToken: other.refreshToken } });
  for (const { closedFor } of [stock, byToken]) await expect.poll(() => closedFor).toEqual([4401]);
  const late = await openPlain(server.url, `/yjs/${fileId}?token=${ticket}`);
  expect(await late.closed).toBe(4401);
});

test('[DC-44] [DC-45] a member may read or write, and somebody else knows of nothing', async () => {
  const reader = await synced(openStock(server.url, fileId, await ticketOf(grace)));
  const stranger = await server.person('Stranger');
  const outside = await openPlain(server.url, `/yjs/${fileId}?token=${stranger.accessToken}`);
  expect(await outside.closed).toBe(4404);
  await expect(call(await server.socket(stranger), 'doc:ticket', { fileId })).rejects.toMatchObject({
    code: 'not_found',
  });
  const owner = await server.socket(ada);
  await call(owner, 'project:remove-member', { projectId, userId: grace.id });
  await expect.poll(() => reader.closedFor).toEqual([4403]);
});

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
