/** Chats through a whole server, by a plain socket.io-client: what every front end can rely on. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Chat, Message } from '../../src/features/chat/contract.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function call<T>(socket: Socket, name: string, input: object): Promise<T> {
  const answer = (await socket.timeout(10_000).emitWithAck(name, input)) as {
    ok: boolean;
    data: T;
    error?: { code: string };
  };
  if (!answer.ok) throw Object.assign(new Error(answer.error?.code), answer.error);
  return answer.data;
}

function heard<T>(socket: Socket, event: string): T[] {
  const all: T[] = [];
  socket.on(event, (data: T) => all.push(data));
  return all;
}

interface Created {
  chatId: string;
  rev: number;
  message: Message;
}

async function pair(): Promise<{ ada: Person; grace: Person; a: Socket; g: Socket; chatId: string }> {
  const [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
  const [a, g] = [await server.socket(ada), await server.socket(grace)];
  const { chat } = await call<{ chat: Chat }>(a, 'chat:create', { kind: 'private', memberIds: [grace.id] });
  return { ada, grace, a, g, chatId: chat.id };
}

test('[CH-16] [CH-8] a new chat is told to its members, who hear its messages from the first on', async () => {
  const [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
  const [a, g] = [await server.socket(ada), await server.socket(grace)];
  const told = heard<{ chat: Chat }>(g, 'chat:created');
  const messages = [heard<Created>(a, 'message:created'), heard<Created>(g, 'message:created')];
  const { chat } = await call<{ chat: Chat }>(a, 'chat:create', {
    kind: 'group',
    name: 'Engines',
    memberIds: [grace.id, grace.id, ada.id],
  });
  expect(chat).toMatchObject({ kind: 'group', name: 'Engines', memberCount: 2, role: 'owner', unread: 0, lastSeq: 0 });
  const sent = await call<{ id: string; seq: number; rev: number }>(a, 'message:send', {
    chatId: chat.id,
    clientId: 'one',
    content: 'hello',
    metadata: { colour: 'red' },
  });
  expect(sent).toMatchObject({ seq: 1, rev: 1 });
  for (const list of messages) {
    await expect.poll(() => list).toHaveLength(1);
    expect(list[0]).toMatchObject({
      chatId: chat.id,
      rev: 1,
      message: {
        id: sent.id,
        seq: 1,
        sender: { type: 'user', userId: ada.id },
        type: 'text',
        content: 'hello',
        metadata: { colour: 'red' },
        reactions: [],
      },
    });
  }
  expect(told.map(({ chat: { id, role } }) => [id, role])).toEqual([[chat.id, 'member']]);
});

test('[CH-15] a private chat is unique per pair, whoever asks and however often at once', async () => {
  const { ada, grace, a, g, chatId } = await pair();
  const again = await Promise.all([
    ...Array.from({ length: 5 }, () =>
      call<{ chat: Chat }>(a, 'chat:create', { kind: 'private', memberIds: [grace.id] }),
    ),
    ...Array.from({ length: 5 }, () =>
      call<{ chat: Chat }>(g, 'chat:create', { kind: 'private', memberIds: [ada.id] }),
    ),
  ]);
  expect(new Set(again.map(({ chat }) => chat.id))).toEqual(new Set([chatId]));
  await expect(call(a, 'chat:create', { kind: 'private', memberIds: [] })).rejects.toMatchObject({ code: 'invalid' });
  await expect(call(a, 'chat:create', { kind: 'private', memberIds: ['0'.repeat(24)] })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('[PR-14] chat:create with a clientId gives the first outcome again', async () => {
  const { grace, a } = await pair();
  const [one, two] = await Promise.all(
    ['First', 'Second'].map((name) =>
      call<{ chat: Chat }>(a, 'chat:create', { kind: 'group', name, memberIds: [grace.id], clientId: 'x' }),
    ),
  );
  expect(one?.chat.id).toBe(two?.chat.id);
  const other = await call<{ chat: Chat }>(a, 'chat:create', { kind: 'group', memberIds: [grace.id], clientId: 'y' });
  expect(other.chat.id).not.toBe(one?.chat.id);
});

test('[CH-3] a repeated message:send gives the first outcome and is told once', async () => {
  const { a, g, chatId } = await pair();
  const messages = heard<Created>(g, 'message:created');
  const acks = await Promise.all(
    ['first', 'second', 'third'].map((content) => call(a, 'message:send', { chatId, clientId: 'same', content })),
  );
  expect(acks[1]).toEqual(acks[0]);
  expect(acks[2]).toEqual(acks[0]);
  await call(a, 'message:send', { chatId, clientId: 'next', content: 'next' });
  await expect.poll(() => messages.map(({ message }) => message.content)).toEqual(['first', 'next']);
});

test('[CH-11] [PR-25] messages of one socket keep their order, and all members hear one order', async () => {
  const { a, g, chatId } = await pair();
  const lists = [heard<Created>(a, 'message:created'), heard<Created>(g, 'message:created')];
  const sends = Array.from({ length: 60 }, (_, n) =>
    call(n % 2 ? a : g, 'message:send', { chatId, clientId: `c${n}`, content: `${n % 2}:${n}` }),
  );
  await Promise.all(sends);
  for (const list of lists) await expect.poll(() => list).toHaveLength(60);
  expect(lists[0]?.map(({ rev }) => rev)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
  expect(lists[0]).toEqual(lists[1]);
  for (const sender of ['0:', '1:']) {
    const own = (lists[0] ?? []).map(({ message }) => message.content).filter((content) => content.startsWith(sender));
    expect(own).toEqual([...own].sort((x, y) => Number(x.slice(2)) - Number(y.slice(2))));
  }
});

test('[CH-14] [CH-13] pages, positions and unread counts', async () => {
  const { ada, a, g, chatId } = await pair();
  for (let n = 1; n <= 7; n++) await call(a, 'message:send', { chatId, clientId: `c${n}`, content: `m${n}` });
  const contents = async (input: object): Promise<string[]> =>
    (await call<{ items: Message[] }>(g, 'message:list', { chatId, ...input })).items.map(({ content }) => content);
  expect(await contents({ limit: 3 })).toEqual(['m5', 'm6', 'm7']);
  expect(await contents({ before: 5, limit: 3 })).toEqual(['m2', 'm3', 'm4']);
  expect(await contents({ after: 5 })).toEqual(['m6', 'm7']);
  expect(await contents({ after: 7 })).toEqual([]);
  await expect(call(g, 'message:list', { chatId, before: 1, after: 1 })).rejects.toMatchObject({ code: 'invalid' });

  const first = await call<{ items: Message[]; position: number; more: boolean }>(g, 'chat:sync', {
    chatId,
    after: 0,
    limit: 4,
  });
  expect([first.items.map(({ content }) => content), first.position, first.more]).toEqual([
    ['m1', 'm2', 'm3', 'm4'],
    4,
    true,
  ]);
  const rest = await call<{ items: Message[]; position: number; more: boolean; head: object }>(g, 'chat:sync', {
    chatId,
    after: 4,
  });
  expect([rest.items.length, rest.position, rest.more, rest.head]).toEqual([3, 7, false, { rev: 7, seq: 7 }]);
  expect(await call(g, 'chat:heads', {})).toEqual({ items: [{ chatId, rev: 7, seq: 7 }] });
  expect(await call(g, 'chat:heads', { chatIds: [chatId, '0'.repeat(24)] })).toEqual({
    items: [{ chatId, rev: 7, seq: 7 }],
  });

  const { items } = await call<{ items: Chat[] }>(g, 'chat:list', {});
  expect(items).toMatchObject([{ id: chatId, unread: 7, lastSeq: 7, lastMessage: { content: 'm7' } }]);
  expect(items[0]?.members?.map(({ userId }) => userId)).toContain(ada.id);
  // What one has sent oneself is read.
  expect((await call<{ chat: Chat }>(a, 'chat:get', { chatId })).chat.unread).toBe(0);
});

test('[CH-17] [PR-15] chat:list pages by newest activity, filters and refuses foreign cursors', async () => {
  const { grace, a } = await pair();
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) {
    const { chat } = await call<{ chat: Chat }>(a, 'chat:create', {
      kind: 'group',
      name: `Room ${n}`,
      memberIds: [grace.id],
    });
    await call(a, 'message:send', { chatId: chat.id, clientId: 'x', content: 'x' });
    ids.unshift(chat.id);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  await expect
    .poll(async () => (await call<{ items: Chat[] }>(a, 'chat:list', { kind: 'group' })).items.map(({ id }) => id))
    .toEqual(ids);
  do {
    const page: { items: Chat[]; next: string | null } = await call(a, 'chat:list', {
      kind: 'group',
      limit: 2,
      ...(cursor ? { cursor } : {}),
    });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.next ?? undefined;
  } while (cursor);
  expect(seen).toEqual(ids);
  const found = await call<{ items: Chat[] }>(a, 'chat:list', { search: 'room 3' });
  expect(found.items.map(({ name }) => name)).toEqual(['Room 3']);
  expect((await call<{ items: Chat[] }>(a, 'chat:list', { search: '.*' })).items).toEqual([]);
  await expect(call(a, 'chat:list', { cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid' });
});

test('[CH-9] [PR-11] whoever is not a member learns nothing and hears nothing', async () => {
  const { a, chatId } = await pair();
  const outsider = await server.socket(await server.person('Eve'));
  const anything: unknown[] = [];
  outsider.onAny((name: string) => anything.push(name));
  for (const [name, input] of [
    ['chat:get', { chatId }],
    ['chat:join', { chatId }],
    ['chat:sync', { chatId, after: 0 }],
    ['message:list', { chatId }],
    ['message:send', { chatId, clientId: 'x', content: 'let me in' }],
    ['typing:start', { chatId }],
    ['ai:prompt', { chatId, content: 'let me in' }],
  ] as const) {
    await expect(call(outsider, name, input)).rejects.toMatchObject({ code: 'not_found' });
  }
  expect(await call(outsider, 'chat:heads', { chatIds: [chatId] })).toEqual({ items: [] });
  await call(a, 'message:send', { chatId, clientId: 'secret', content: 'secret' });
  await call(outsider, 'chat:list', {});
  expect(anything).toEqual([]);
});

test('[CH-18] typing reaches who has the chat open, is throttled, and ends on a message and on disconnect', async () => {
  const { ada, a, g, chatId } = await pair();
  const closed = await server.socket(ada);
  const ignored = heard(closed, 'typing:changed');
  const typing = heard<{ userId: string; typing: boolean }>(g, 'typing:changed');
  await call(g, 'chat:join', { chatId });
  for (let n = 0; n < 5; n++) await call(a, 'typing:start', { chatId });
  await expect.poll(() => typing).toEqual([{ chatId, userId: ada.id, typing: true }]);
  await call(a, 'message:send', { chatId, clientId: 'done', content: 'done' });
  await expect.poll(() => typing.map((one) => one.typing)).toEqual([true, false]);
  await call(a, 'typing:start', { chatId });
  a.close();
  await expect.poll(() => typing.map((one) => one.typing)).toEqual([true, false, true, false]);
  // It ends by itself where a client forgets to say so.
  await call(closed, 'typing:start', { chatId });
  await expect
    .poll(() => typing.map((one) => one.typing), { timeout: 8_000 })
    .toEqual([true, false, true, false, true, false]);
  expect(ignored).toEqual([]);
  await call(g, 'chat:leave', { chatId });
});

test('[CH-20] chat:leave closes the live detail and leaves membership and messages', async () => {
  const { a, g, chatId } = await pair();
  const typing = heard(g, 'typing:changed');
  const messages = heard<Created>(g, 'message:created');
  const joined = await call<{ chat: Chat; messages: Message[]; head: object }>(g, 'chat:join', { chatId });
  expect([joined.chat.id, joined.messages, joined.head]).toEqual([chatId, [], { rev: 0, seq: 0 }]);
  await call(g, 'chat:leave', { chatId });
  await call(a, 'typing:start', { chatId });
  await call(a, 'message:send', { chatId, clientId: 'x', content: 'still here' });
  await expect.poll(() => messages.length).toBe(1);
  expect(typing).toEqual([]);
});

test('[CH-19] a message has at most 32 KiB of UTF-8 and 4 KiB of metadata', async () => {
  const { a, chatId } = await pair();
  const send = (clientId: string, content: string, metadata: object = {}): Promise<Message> =>
    call(a, 'message:send', { chatId, clientId, content, metadata });
  await send('full', 'ä'.repeat(16 * 1024));
  await expect(send('over', `${'ä'.repeat(16 * 1024)}x`)).rejects.toMatchObject({ code: 'invalid' });
  await expect(send('none', '')).rejects.toMatchObject({ code: 'invalid' });
  await send('data', 'x', { a: 'x'.repeat(4_000), b: [1, { c: null }] });
  await expect(send('more', 'x', { a: 'x'.repeat(4_100) })).rejects.toMatchObject({ code: 'invalid' });
  const { items } = await call<{ items: Message[] }>(a, 'message:list', { chatId });
  expect(items.map(({ content }) => content.length)).toEqual([16 * 1024, 1]);
  expect(items[1]?.metadata).toEqual({ a: 'x'.repeat(4_000), b: [1, { c: null }] });
});

test('[PS-1] [PS-3] presence is told to watchers who share a chat, after a moment of calm, with last seen', async () => {
  const { ada, grace, a, g } = await pair();
  const stranger = await server.person('Stranger');
  const changes = heard<{ userId: string; status: string; lastSeen: string | null }>(g, 'presence:changed');
  const watched = await call<{ items: object[] }>(g, 'presence:watch', { userIds: [ada.id, grace.id, stranger.id] });
  expect(watched.items).toEqual([
    { userId: ada.id, status: 'online', lastSeen: null },
    { userId: grace.id, status: 'online', lastSeen: null },
  ]);
  await call(a, 'presence:set', { status: 'busy' });
  await expect.poll(() => changes, { timeout: 5_000 }).toEqual([{ userId: ada.id, status: 'busy', lastSeen: null }]);
  a.close();
  await expect.poll(() => changes.length, { timeout: 5_000 }).toBe(2);
  expect(changes[1]).toMatchObject({ userId: ada.id, status: 'offline', lastSeen: expect.any(String) });
  expect(await call(g, 'presence:get', { userIds: [ada.id] })).toMatchObject({ items: [{ status: 'offline' }] });
});

test('[PS-2] a reconnect within the moment of calm is not told', async () => {
  const { ada, a, g } = await pair();
  const changes = heard(g, 'presence:changed');
  await call(g, 'presence:watch', { userIds: [ada.id] });
  a.close();
  const back = await server.socket(ada);
  await call(back, 'presence:set', { status: 'away' });
  await expect.poll(() => changes.length, { timeout: 5_000 }).toBe(1);
  expect(changes).toMatchObject([{ status: expect.not.stringMatching('offline') }]);
});

test('[AI-20] a prompt is answered to everyone; a late joiner gets exactly the rest', async () => {
  const { a, g, chatId } = await pair();
  const texts = new Map<string, string>();
  const take = ({ streamId, offset, text }: { streamId: string; offset: number; text: string }): void => {
    const known = texts.get(streamId) ?? '';
    expect(offset).toBe(known.length);
    texts.set(streamId, known + text);
  };
  a.on('ai:delta', take);
  const finished = new Promise<{ message: Message }>((resolve) => a.once('ai:finished', resolve));
  const prompted = await call<{ streamId: string; messageId: string; userMessageId: string }>(a, 'ai:prompt', {
    chatId,
    content: 'What is a room?',
    clientId: 'p1',
  });
  // Grace opens the chat while the assistant speaks.
  const joined = await call<{ streams: { streamId: string; offset: number }[] }>(g, 'chat:join', { chatId });
  const live: { offset: number; text: string }[] = heard(g, 'ai:delta');
  const resumed = await call<{ text: string; offset: number }>(g, 'ai:resume', {
    streamId: prompted.streamId,
    offset: 0,
  });
  const { message } = await finished;
  expect(message).toMatchObject({ id: prompted.messageId, sender: { type: 'assistant' } });
  expect(texts.get(prompted.streamId)).toBe(message.content);
  expect(joined.streams.map(({ streamId }) => streamId)).toEqual([prompted.streamId]);
  let rest = resumed.text;
  await expect
    .poll(() => {
      for (const { offset, text } of live.splice(0)) {
        if (offset + text.length <= rest.length) continue;
        expect(offset).toBeLessThanOrEqual(rest.length);
        rest += text.slice(rest.length - offset);
      }
      return rest;
    })
    .toBe(message.content);
  const { items } = await call<{ items: Message[] }>(g, 'message:list', { chatId });
  expect(items.map(({ id }) => id)).toEqual([prompted.userMessageId, prompted.messageId]);
});

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
