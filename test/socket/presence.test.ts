/** Who sees whose presence, through a whole server, by a plain socket.io-client. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type Person, type TestServer } from '../support/server.ts';

interface Presence {
  userId: string;
  status: string;
  lastSeen: string | null;
}

interface End {
  person: Person;
  socket: Socket;
  /** What its socket heard of others. */
  heard: Presence[];
}

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

async function call<T = object>(socket: Socket, name: string, input: object): Promise<T> {
  const answer = (await socket.timeout(5_000).emitWithAck(name, input)) as { ok: boolean; data: T; error: object };
  if (!answer.ok) throw answer.error;
  return answer.data;
}

async function end(person: Person): Promise<End> {
  const socket = await server.socket(person);
  const heard: Presence[] = [];
  socket.on('presence:changed', (presence: Presence) => heard.push(presence));
  return { person, socket, heard };
}

/** People who share a chat (the first owns it), and one socket of each. */
async function inChat(count: number): Promise<{ chatId: string; ends: End[] }> {
  const people = await Promise.all(Array.from({ length: count }, () => server.person()));
  const chatId = await server.chat(people);
  return { chatId, ends: await Promise.all(people.map(end)) };
}

const together = async (count: number): Promise<End[]> => (await inChat(count)).ends;

async function seen({ socket }: End, how: 'get' | 'watch', ...ends: End[]): Promise<string[]> {
  const { items } = await call<{ items: Presence[] }>(socket, `presence:${how}`, {
    userIds: ends.map(({ person }) => person.id),
  });
  return items.map(({ userId }) => userId);
}

const statuses = ({ heard }: End, { person }: End): string[] =>
  heard.filter(({ userId }) => userId === person.id).map(({ status }) => status);

test('[PS-5] people between whom a block stands look absent to each other, from the block on', async () => {
  const [ada, ben, eve] = (await together(3)) as [End, End, End];
  for (const one of [ada, ben, eve]) await seen(one, 'watch', ada, ben, eve);
  await call(ada.socket, 'user:block', { userId: ben.person.id });
  for (const [one, other] of [
    [ada, ben],
    [ben, ada],
  ] as const) {
    await expect.poll(() => statuses(one, other)).toEqual(['offline']);
    expect(one.heard[0]).toEqual({ userId: other.person.id, status: 'offline', lastSeen: null });
    expect(await seen(one, 'get', ada, ben, eve)).toEqual([one.person.id, eve.person.id]);
    expect(await seen(one, 'watch', ada, ben, eve)).toEqual([one.person.id, eve.person.id]);
  }
  await call(ada.socket, 'presence:set', { status: 'busy' });
  await expect.poll(() => statuses(eve, ada), { timeout: 5_000 }).toEqual(['busy']);
  expect(statuses(ben, ada)).toEqual(['offline']);

  // The other's own block would stand; this one ends with whoever set it.
  await call(ben.socket, 'user:unblock', { userId: ada.person.id });
  expect(await seen(ben, 'get', ada)).toEqual([]);
  await call(ada.socket, 'user:unblock', { userId: ben.person.id });
  expect(await seen(ben, 'watch', ada, eve)).toEqual([ada.person.id, eve.person.id]);
  await call(ada.socket, 'presence:set', { status: 'away' });
  await expect.poll(() => statuses(ben, ada), { timeout: 5_000 }).toEqual(['offline', 'away']);
  // Ada has not asked again.
  await call(ben.socket, 'presence:set', { status: 'away' });
  await expect.poll(() => statuses(eve, ben), { timeout: 5_000 }).toEqual(['away']);
  expect(statuses(ada, ben)).toEqual(['offline']);
});

test('[PS-5] every socket of the two stops hearing, and nobody else notices', async () => {
  const [ada, ben, eve] = (await together(3)) as [End, End, End];
  const second = await end(ben.person);
  for (const one of [ada, ben, second, eve]) await seen(one, 'watch', ada, ben);
  await call(ben.socket, 'user:block', { userId: ada.person.id });
  await expect.poll(() => statuses(second, ada)).toEqual(['offline']);
  await expect.poll(() => statuses(ada, ben)).toEqual(['offline']);
  ada.socket.close();
  await expect.poll(() => statuses(eve, ada), { timeout: 5_000 }).toEqual(['offline']);
  expect(eve.heard).toHaveLength(1);
  expect([ben.heard.length, second.heard.length]).toEqual([1, 1]);
});

test('[PS-2] one who begins to watch while a change is waited for is not left behind', async () => {
  const [ada, ben, eve] = (await together(3)) as [End, End, End];
  await seen(ben, 'watch', ada);
  ada.socket.close();
  await expect
    .poll(
      async () => (await call<{ items: Presence[] }>(ben.socket, 'presence:get', { userIds: [ada.person.id] })).items,
    )
    .toMatchObject([{ status: 'offline' }]);
  // Eve is told `offline`, which Ben never hears of.
  await call(eve.socket, 'presence:watch', { userIds: [ada.person.id] });
  await end(ada.person);
  await expect.poll(() => statuses(eve, ada), { timeout: 5_000 }).toEqual(['online']);
  expect(statuses(ben, ada).filter((status) => status !== 'online')).toEqual([]);
});

test('[PS-1] the last of several connections to go leaves the time', async () => {
  const [ada, ben] = (await together(2)) as [End, End];
  const second = await end(ada.person);
  await seen(ben, 'watch', ada);
  await call(second.socket, 'presence:set', { status: 'away' });
  ada.socket.close();
  await expect.poll(() => statuses(ben, ada), { timeout: 5_000 }).toEqual(['away']);
  second.socket.close();
  await expect.poll(() => statuses(ben, ada), { timeout: 5_000 }).toEqual(['away', 'offline']);
  expect(ben.heard.map(({ lastSeen }) => lastSeen)).toEqual([null, expect.any(String)]);
});

test('[PS-6] who is removed from the last shared chat sees nobody of it any more, nor is seen', async () => {
  const { chatId, ends } = await inChat(3);
  const [ada, ben, eve] = ends as [End, End, End];
  // Ben and Eve share another chat.
  await server.chat([ben.person, eve.person]);
  for (const one of ends) await seen(one, 'watch', ada, ben, eve);
  await call(ada.socket, 'chat:remove-member', { chatId, userId: ben.person.id });
  await expect.poll(() => statuses(ben, ada)).toEqual(['offline']);
  await expect.poll(() => statuses(ada, ben)).toEqual(['offline']);
  await call(ben.socket, 'presence:set', { status: 'busy' });
  await expect.poll(() => statuses(eve, ben), { timeout: 5_000 }).toEqual(['busy']);
  await call(ada.socket, 'presence:set', { status: 'busy' });
  await expect.poll(() => statuses(eve, ada), { timeout: 5_000 }).toEqual(['busy']);
  expect([statuses(ben, ada), statuses(ada, ben), statuses(ben, eve)]).toEqual([['offline'], ['offline'], []]);
  expect(await seen(ben, 'get', ada, eve)).toEqual([eve.person.id]);
});

test('[PS-6] a chat that is deleted is shared by nobody', async () => {
  const { chatId, ends } = await inChat(2);
  const [ada, ben] = ends as [End, End];
  await seen(ben, 'watch', ada, ben);
  await call(ada.socket, 'chat:delete', { chatId });
  await expect.poll(() => statuses(ben, ada)).toEqual(['offline']);
  expect(statuses(ben, ben)).toEqual([]);
  expect(await seen(ben, 'get', ada, ben)).toEqual([ben.person.id]);
});
