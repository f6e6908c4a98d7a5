/** What the SDK knows of who is there and who types: against a scripted server, and through the real one. */
import { expect, onTestFinished, test, vi } from 'vitest';
import type { AtelierClient, Presence } from '../../src/client/index.ts';
import { LIMITS } from '../../src/protocol/limits.ts';
import { startServer as startRealServer } from '../support/server.ts';
import { startTcpCutter } from '../support/tcp-cutter.ts';
import { newId, type ScriptedServer } from './sdk-scripted-server.ts';
import { startClient, startServer } from './sdk-setup.ts';

/** A server where these are to be seen, as the map says now. */
async function watched(): Promise<{ server: ScriptedServer; people: Map<string, Presence['status']> }> {
  const server = await startServer();
  const people = new Map<string, Presence['status']>();
  server.handlers['presence:watch'] = ({ userIds }) => ({
    items: (userIds as string[]).flatMap((userId) => {
      const status = people.get(userId);
      return status ? [{ userId, status, lastSeen: null }] : [];
    }),
  });
  return { server, people };
}

function heardBy(client: AtelierClient): string[] {
  const heard: string[] = [];
  client.on('presence:changed', ({ userId, status }) => heard.push(`${userId} ${status}`));
  return heard;
}

const asked = (server: ScriptedServer): unknown[] => server.callsOf('presence:watch').map(({ input }) => input.userIds);

test('[SD-20] those who are watched are known, and what changes is told', async () => {
  const { server, people } = await watched();
  const [ada, ben, stranger] = [newId(), newId(), newId()];
  people.set(ada, 'online').set(ben, 'offline');
  const client = startClient(server);
  const heard = heardBy(client);
  client.presence.watch([ada]);
  client.presence.watch([ben, stranger]);
  expect(client.presence.get(ada)).toBeUndefined();
  await expect.poll(() => heard).toEqual([`${ada} online`, `${ben} offline`]);
  expect(client.presence.get(ada)).toEqual({ userId: ada, status: 'online', lastSeen: null });
  expect(client.presence.get(stranger)).toBeUndefined();
  expect(asked(server)).toEqual([[ada, ben, stranger]]);
  for (const status of ['busy', 'busy'] as const) {
    server.emit('presence:changed', { userId: ada, status, lastSeen: null });
  }
  await expect.poll(() => client.presence.get(ada)?.status).toBe('busy');
  server.emit('presence:changed', { userId: ben, status: 'away', lastSeen: null });
  await expect.poll(() => heard.slice(2)).toEqual([`${ada} busy`, `${ben} away`]);
});

test('[SD-20] each is watched until all who asked have ended it', async () => {
  const { server, people } = await watched();
  const [ada, ben] = [newId(), newId()];
  people.set(ada, 'online').set(ben, 'online');
  const client = startClient(server);
  const ends = [client.presence.watch([ada, ben]), client.presence.watch([ada])];
  await expect.poll(() => client.presence.get(ben)).toBeDefined();
  ends[0]?.();
  ends[0]?.();
  await expect.poll(() => asked(server).at(-1)).toEqual([ada]);
  expect([client.presence.get(ada)?.status, client.presence.get(ben)]).toEqual(['online', undefined]);
  ends[1]?.();
  await expect.poll(() => asked(server).at(-1)).toEqual([]);
});

test('[SD-20] a new connection watches the same, tells what changed, and shows as absent who is not to be seen any more', async () => {
  const { server, people } = await watched();
  const [ada, ben, eve] = [newId(), newId(), newId()];
  for (const id of [ada, ben, eve]) people.set(id, 'online');
  const client = startClient(server);
  client.presence.watch([ada, ben, eve]);
  await expect.poll(() => client.presence.get(eve)).toBeDefined();
  const heard = heardBy(client);
  people.set(ada, 'away').delete(ben);
  server.cut();
  await expect.poll(() => heard).toEqual([`${ada} away`, `${ben} offline`]);
  expect(asked(server)).toEqual([
    [ada, ben, eve],
    [ada, ben, eve],
  ]);
});

test('[SD-20] what the application asks itself is watched beside', async () => {
  const { server, people } = await watched();
  const [ada, ben] = [newId(), newId()];
  people.set(ada, 'online').set(ben, 'busy');
  const client = startClient(server);
  client.presence.watch([ada]);
  await expect.poll(() => client.presence.get(ada)).toBeDefined();
  await client.call('presence:watch', { userIds: [ben] });
  expect(client.presence.get(ben)?.status).toBe('busy');
  await expect.poll(() => asked(server).at(-1)).toEqual([ben, ada]);
});

test('[SD-20] of too many the newest are watched', async () => {
  const { server, people } = await watched();
  const ids = Array.from({ length: 201 }, newId);
  for (const id of ids) people.set(id, 'online');
  const client = startClient(server);
  client.presence.watch(ids);
  await expect.poll(() => client.presence.get(ids[200] ?? '')).toBeDefined();
  expect(asked(server)).toEqual([ids.slice(1)]);
});

test('[SD-20] presence through the real server: watched, cut, blocked', async () => {
  await using server = await startRealServer();
  const [ada, ben] = [await server.person(), await server.person()];
  await server.chat([ada, ben]);
  const cable = await startTcpCutter({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
  onTestFinished(() => cable[Symbol.asyncDispose]());
  const client = startClient({ url: `http://127.0.0.1:${cable.port}` }, { token: ada.accessToken });
  client.presence.watch([ben.id]);
  await expect.poll(() => client.presence.get(ben.id)?.status).toBe('offline');
  const other = await server.client(ben);
  await expect.poll(() => client.presence.get(ben.id)?.status).toBe('online');
  cable.cut();
  await client.once('state', ({ state }) => state === 'reconnecting');
  await client.ready();
  await other.call('presence:set', { status: 'busy' });
  await expect.poll(() => client.presence.get(ben.id)?.status).toBe('busy');
  await other.call('user:block', { userId: ada.id });
  await expect.poll(() => client.presence.get(ben.id)?.status).toBe('offline');
  expect(server.errors).toEqual([]);
});

function typingOf(client: AtelierClient): string[] {
  const heard: string[] = [];
  client.on('typing:changed', ({ userId, typing }) => heard.push(`${userId} ${typing}`));
  return heard;
}

test('[SD-21] who types is known until they stop, write, or fall silent; each beginning and end is told once', async () => {
  const server = await startServer();
  const chat = server.addChat();
  const [ben, eve] = [newId(), newId()];
  const client = startClient(server);
  await client.ready();
  const heard = typingOf(client);
  const tell = (userId: string, typing: boolean): void =>
    server.emit('typing:changed', { chatId: chat.id, userId, typing });
  for (const userId of [ben, eve, ben, server.userId]) tell(userId, true);
  await expect.poll(() => heard).toEqual([`${ben} true`, `${eve} true`, `${server.userId} true`]);
  // Oneself on another device is no news to oneself.
  expect(client.typing.of(chat.id)).toEqual([ben, eve]);
  expect(client.typing.of(newId())).toEqual([]);
  tell(ben, false);
  tell(ben, false);
  await expect.poll(() => client.typing.of(chat.id)).toEqual([eve]);
  server.post(chat.id, 'a message of oneself');
  await expect.poll(() => heard.slice(3)).toEqual([`${ben} false`, `${server.userId} false`]);
  await vi.waitFor(() => expect(client.typing.of(chat.id)).toEqual([]), { timeout: 2 * LIMITS.typingExpiryMs });
  expect(heard.slice(5)).toEqual([`${eve} false`]);
});

test('[SD-22] typing is told at once, then from time to time while it goes on, and anew after a message', async () => {
  const server = await startServer();
  const chat = server.addChat();
  for (const name of ['typing:start', 'typing:stop']) server.handlers[name] = () => ({});
  const client = startClient(server);
  client.typing.start(chat.id);
  await client.ready();
  const names = (): string[] => server.calls.map(({ name }) => name).filter((name) => /typing|send/.test(name));
  const told: string[] = [];
  for (let i = 0; i < 5; i++) client.typing.start(chat.id);
  told.push('typing:start');
  await expect.poll(() => names()).toEqual(told);
  await client.send(chat.id, 'done');
  client.typing.stop(chat.id);
  client.typing.start(chat.id);
  told.push('message:send', 'typing:start');
  await expect.poll(() => names()).toEqual(told);
  client.typing.stop(chat.id);
  client.typing.stop(chat.id);
  client.typing.start(chat.id);
  told.push('typing:stop', 'typing:start');
  await expect.poll(() => names()).toEqual(told);
  server.cut();
  await client.once('state', ({ state }) => state === 'reconnecting');
  await client.ready();
  client.typing.start(chat.id);
  told.push('typing:start');
  await expect.poll(() => names()).toEqual(told);
  // Keys are pressed all the time.
  await vi.waitFor(
    () => {
      client.typing.start(chat.id);
      expect(names()).toEqual([...told, 'typing:start']);
    },
    { timeout: 2 * LIMITS.typingThrottleMs },
  );
});

test('[SD-21] typing through the real server', async () => {
  await using server = await startRealServer();
  const [ada, ben] = [await server.person(), await server.person()];
  const chatId = await server.chat([ada, ben]);
  const [a, b] = [await server.client(ada), await server.client(ben)];
  await a.call('chat:join', { chatId });
  b.typing.start(chatId);
  await expect.poll(() => a.typing.of(chatId)).toEqual([ben.id]);
  await b.send(chatId, 'done');
  await expect.poll(() => a.typing.of(chatId)).toEqual([]);
  b.typing.start(chatId);
  await expect.poll(() => a.typing.of(chatId)).toEqual([ben.id]);
  b.typing.stop(chatId);
  await expect.poll(() => a.typing.of(chatId)).toEqual([]);
});
