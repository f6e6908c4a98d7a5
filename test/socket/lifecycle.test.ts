/** What ends: old entries, deleted chats, accounts. What is left of them is counted in the database itself. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS } from '../../src/protocol/index.ts';
import type { Person, TestServer } from '../support/server.ts';
import { PNG, upload } from '../support/uploads.ts';
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

async function send(
  person: Person,
  chatId: string,
  content: string,
  more: object = {},
): Promise<{ id: string; seq: number; rev: number }> {
  const body = { clientId: content, content, ...more };
  const { body: answer } = await server.request('POST', `/api/chats/${chatId}/messages`, { as: person, body });
  return (answer as unknown as { data: { id: string; seq: number; rev: number } }).data;
}

/** A message with a picture, whose row is in the database then. */
async function sendPicture(person: Person, chatId: string): Promise<void> {
  const { attachmentId } = await upload(server, person, { content: PNG, name: 'pic.png', type: 'image/png' });
  await send(person, chatId, 'a picture', { type: 'image', attachmentIds: [attachmentId] });
}

const setRetention = (owner: Person, chatId: string, retentionDays: number | null) =>
  server.request('PUT', `/api/chats/${chatId}`, { as: owner, body: { retentionDays } });

test(
  '[LC-1] [CH-13] entries older than a chat keeps go within the hour; the end stays, and who asks below begins anew',
  { timeout: 60_000 },
  async () => {
    let [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
    const [kept, other] = [await server.chat([ada, grace]), await server.chat([ada, grace])];
    for (const chatId of [kept, other]) for (let n = 1; n <= 5; n++) await send(ada, chatId, `old ${n}`);
    await world.advance(3 * DAY_MS);
    ada = await world.again(ada);
    for (let n = 1; n <= 3; n++) await send(ada, kept, `new ${n}`);
    expect((await setRetention(ada, kept, 2)).status).toBe(200);
    await world.advance(HOUR_MS);
    await eventually(() => rows('entries', { chatId: idOf(kept) })).toBe(3);
    expect(await rows('entries', { chatId: idOf(other) })).toBe(5);

    ada = await world.again(ada);
    const client = await server.client(ada);
    const below = await client.call('chat:sync', { chatId: kept, after: 2 });
    expect(below).toMatchObject({ items: [], reset: true, position: 5, more: true, head: { rev: 8, seq: 8 } });
    const from = await client.call('chat:sync', { chatId: kept, after: below.position });
    expect(from.items.map(({ content }) => content)).toEqual(['new 1', 'new 2', 'new 3']);

    // All of it is old: the last entry still says where the log stands.
    await world.advance(30 * DAY_MS);
    await eventually(() => rows('entries', { chatId: idOf(kept) })).toBe(1);
    [ada, grace] = [await world.again(ada), await world.again(grace)];
    expect(await send(grace, kept, 'and on')).toMatchObject({ seq: 9, rev: 9 });
  },
);

test(
  '[LC-2] a chat that was deleted is removed with all that refers to it once nobody can restore it',
  { timeout: 60_000 },
  async () => {
    let [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
    const [gone, stays] = [await server.chat([ada, grace]), await server.chat([ada, grace])];
    for (const chatId of [gone, stays]) {
      await send(ada, chatId, 'hello');
      await sendPicture(ada, chatId);
    }
    expect(await rows('attachments')).toBe(2);
    await server.request('POST', `/api/chats/${gone}/prompt`, { as: ada, body: { content: 'hello', wait: true } });
    expect(await rows('streams', { chatId: idOf(gone) })).toBe(1);
    expect((await server.request('DELETE', `/api/chats/${gone}`, { as: ada })).status).toBe(200);

    await world.advance(29 * DAY_MS);
    ada = await world.again(ada);
    await eventually(
      async () =>
        (await world.connection.collection('jobs').findOne({ kind: 'chat:purge' }))?.['runAt'] >
        new Date(world.nowMs()),
    ).toBe(true);
    expect(await rows('entries', { chatId: idOf(gone) })).toBeGreaterThan(0);
    await world.advance(DAY_MS + 3 * HOUR_MS);
    await eventually(() => rows('chats', { _id: idOf(gone) })).toBe(0);
    for (const name of ['entries', 'memberships', 'streams']) expect(await rows(name, { chatId: idOf(gone) })).toBe(0);
    expect(await rows('entries', { chatId: idOf(stays) })).toBe(2);
    // Its picture goes too, and the other chat's stays.
    await eventually(() => rows('attachments')).toBe(1);
    expect(await rows('memberships', { chatId: idOf(stays) })).toBe(2);
    grace = await world.again(grace);
    expect((await server.request('GET', `/api/chats/${gone}`, { as: grace })).status).toBe(404);
  },
);

test('[LC-3] ending an account wants the password, or a fresh session of somebody without one', async () => {
  const ada = await server.person('Ada');
  const end = (body: object) => server.request('DELETE', '/api/users/me', { as: ada, body });
  expect((await end({})).status).toBe(400);
  expect((await end({ password: 'not the right one' })).status).toBe(403);
  expect((await server.request('GET', '/api/auth/me', { as: ada })).status).toBe(200);

  // Somebody who came by phone.
  await world.connection.collection('users').updateOne({ _id: idOf(ada.id) }, { $unset: { password: 1 } });
  await world.connection
    .collection('sessions')
    .updateMany({}, { $set: { createdAt: new Date(world.nowMs() - HOUR_MS) } });
  expect((await end({})).status).toBe(403);
  await world.connection.collection('sessions').updateMany({}, { $set: { createdAt: new Date(world.nowMs()) } });
  expect((await end({})).status).toBe(200);
  expect((await server.request('GET', '/api/auth/me', { as: ada })).status).toBe(401);
});

test(
  '[LC-4] an account ends at once and everywhere: what is left are its messages, without a name',
  { timeout: 60_000 },
  async () => {
    const [ada, grace, eve] = [await server.person('Ada'), await server.person('Grace'), await server.person('Eve')];
    const shared = await server.chat([ada, grace]);
    const alone = await server.chat([ada]);
    const { body } = await server.request('POST', '/api/chats', {
      as: ada,
      body: { kind: 'private', memberIds: [grace.id] },
    });
    const pair = (body as unknown as { data: { chat: { id: string } } }).data.chat.id;
    for (const chatId of [shared, alone, pair]) await send(ada, chatId, 'from Ada');
    await server.request('PUT', `/api/users/${eve.id}/block`, { as: ada });
    await server.request('PUT', `/api/users/${ada.id}/block`, { as: eve });
    expect(await rows('blocks')).toBe(2);

    const [socket, witness] = [await server.socket(ada), await server.client(grace)];
    const closed = new Promise((resolve) => socket.once('session:closed', resolve));
    const left: string[] = [];
    witness.on('chat:members-changed', ({ chatId, removed }) => removed.includes(ada.id) && left.push(chatId));
    // Over the very connection that it ends.
    const gone = new Promise((resolve) => socket.once('disconnect', resolve));
    expect(await socket.emitWithAck('user:delete-account', { password: ada.password })).toEqual({ ok: true, data: {} });
    expect(await closed).toMatchObject({ reason: 'revoked' });
    await gone;
    const login = { email: ada.email, password: ada.password };
    expect((await server.request('POST', '/api/auth/login', { body: login })).status).toBe(401);
    expect((await server.request('GET', `/api/users/search?query=${ada.email}`, { as: grace })).body).toMatchObject({
      data: { items: [] },
    });

    await world.advance(10_000);
    await eventually(() => rows('jobs', { kind: 'account:end', state: 'done' })).toBe(1);
    await expect.poll(() => left.toSorted()).toEqual([shared, pair].toSorted());
    // The chat that only Ada was in is gone with all of it.
    expect(await rows('chats', { _id: idOf(alone) })).toBe(0);
    for (const name of ['entries', 'memberships']) expect(await rows(name, { chatId: idOf(alone) })).toBe(0);
    expect(await rows('memberships', { userId: idOf(ada.id), state: { $ne: 'left' } })).toBe(0);
    expect(await rows('memberships', { chatId: idOf(shared), userId: idOf(grace.id), role: 'owner' })).toBe(1);
    for (const name of ['sessions', 'seen', 'key_devices']) {
      expect(await rows(name, { $or: [{ userId: idOf(ada.id) }, { _id: idOf(ada.id) }] })).toBe(0);
    }
    expect(await rows('blocks')).toBe(0);
    const user = await world.connection.collection('users').findOne({ _id: idOf(ada.id) });
    expect(Object.keys(user ?? {}).sort()).toEqual([
      '_id',
      'createdAt',
      'deletedAt',
      'name',
      'searchKeys',
      'updatedAt',
    ]);
    expect(user).toMatchObject({ name: 'Deleted user', searchKeys: [] });

    for (const chatId of [shared, pair]) {
      const { items } = await witness.call('message:list', { chatId });
      expect(items.map(({ content, sender }) => [content, sender.userId])).toEqual([['from Ada', ada.id]]);
    }
    expect(await witness.call('user:get', { userId: ada.id })).toMatchObject({ user: { name: 'Deleted user' } });
    // Nobody can do anything with who is gone, and the address is free again.
    await expect(witness.call('chat:add-members', { chatId: shared, userIds: [ada.id] })).rejects.toMatchObject({
      code: 'not_found',
    });
    const register = { email: ada.email, password: 'another long secret', name: 'Ada' };
    expect((await server.request('POST', '/api/auth/register', { body: register })).status).toBe(200);
  },
);

test('[LC-5] a member can have the whole chat as JSON or Markdown, and nobody else', { timeout: 60_000 }, async () => {
  const [ada, grace, eve] = [
    await server.person('Ada'),
    await server.person('Grace *bold*'),
    await server.person('Eve'),
  ];
  const chatId = await server.chat([ada, grace]);
  const [client, other] = [await server.client(ada), await server.client(grace)];
  await other.send(chatId, 'first\n# no heading');
  // More than one page.
  const sent = await Promise.all(Array.from({ length: 230 }, (_, n) => client.send(chatId, `message ${n}`)));
  const deleted = sent.at(-1)?.id ?? '';
  await client.call('message:delete', { chatId, messageId: deleted });

  const get = (format: string, as: Person) =>
    fetch(`${server.url}/api/chats/${chatId}/export?format=${format}`, {
      headers: { authorization: `Bearer ${as.accessToken}` },
    });
  const json = await get('json', grace);
  expect(json.headers.get('content-disposition')).toBe(`attachment; filename="chat-${chatId}.json"`);
  const { chat, members, messages } = (await json.json()) as {
    chat: object;
    members: { id: string; name: string }[];
    messages: { seq: number; content: string; senderName: string; deletedAt?: string }[];
  };
  expect(chat).toMatchObject({ id: chatId, kind: 'group' });
  expect(members.map(({ name }) => name).sort()).toEqual(['Ada', 'Grace *bold*']);
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 231 }, (_, n) => n + 1));
  expect(messages[0]).toMatchObject({ content: 'first\n# no heading', senderName: 'Grace *bold*' });
  expect(messages.at(-1)).toMatchObject({ content: '', deletedAt: expect.any(String) });

  const markdown = await get('markdown', ada);
  expect(markdown.headers.get('content-type')).toBe('text/markdown; charset=utf-8');
  const text = await markdown.text();
  expect(text).toContain('> first\n> # no heading\n');
  expect(text).toContain(String.raw`**Grace \*bold\***`);
  expect(text).toContain('> message 100\n');
  expect(text.match(/_deleted_/g)).toHaveLength(1);

  expect((await get('json', eve)).status).toBe(404);
  expect((await get('pdf', ada)).status).toBe(400);
  await expect.poll(() => rows('audit', { action: 'chat.export', target: chatId })).toBe(2);
});
