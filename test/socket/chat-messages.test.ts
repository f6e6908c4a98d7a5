/** What can be done to messages after they were sent, and what they may refer to. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Message } from '../../src/features/chat/contract.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { call, heard, heardOfLog } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let clientId = 0;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

interface Group {
  chatId: string;
  people: [Person, Person, Person];
  sockets: [Socket, Socket, Socket];
}

/** Ada owns it. */
async function group(): Promise<Group> {
  const people: Group['people'] = [
    await server.person('Ada'),
    await server.person('Grace'),
    await server.person('Joan'),
  ];
  const chatId = await server.chat(people);
  const [a, b, c] = people;
  return { chatId, people, sockets: [await server.socket(a), await server.socket(b), await server.socket(c)] };
}

const send = (socket: Socket, chatId: string, content: string, more: object = {}) =>
  call(socket, 'message:send', { chatId, clientId: `m${clientId++}`, content, ...more });

test('[CH-21] an edit, a reaction and a deletion are told at their rev, with the message as it is then', async () => {
  const { chatId, people, sockets } = await group();
  const [ada, grace] = sockets;
  const log = heardOfLog(sockets[2], chatId);
  const { id, seq, createdAt } = await send(ada, chatId, 'teh word');
  const edited = await call(ada, 'message:edit', { chatId, messageId: id, content: 'the word' });
  expect(edited.message).toMatchObject({
    id,
    seq,
    rev: 2,
    content: 'the word',
    createdAt,
    editedAt: expect.any(String),
  });
  const reacted = await call(grace, 'message:react', { chatId, messageId: id, emoji: '👍' });
  expect(reacted.message).toMatchObject({ rev: 3, reactions: [{ emoji: '👍', userIds: [people[1].id], count: 1 }] });
  await call(ada, 'message:delete', { chatId, messageId: id });
  await expect.poll(() => log).toHaveLength(4);
  expect(log.map(({ event, rev }) => [event, rev])).toEqual([
    ['message:created', 1],
    ['message:updated', 2],
    ['message:updated', 3],
    ['message:deleted', 4],
  ]);
  const tombstone = { id, seq, rev: 4, content: '', reactions: [], attachments: [], deletedAt: expect.any(String) };
  expect(log[3]?.data).toMatchObject({ message: tombstone });
  const page = await call(grace, 'chat:sync', { chatId, after: 0 });
  expect(page).toMatchObject({ position: 4, more: false, membersChanged: false, head: { rev: 4, seq: 1 } });
  expect(page.items).toMatchObject([tombstone]);
});

test('[CH-22] a deletion leaves no trace of what was said; history is kept until then', async () => {
  const { chatId, sockets } = await group();
  const [ada, grace] = sockets;
  const { id } = await send(ada, chatId, 'first secret', { metadata: { secret: true } });
  await call(ada, 'message:edit', { chatId, messageId: id, content: 'second secret' });
  await call(ada, 'message:edit', { chatId, messageId: id, content: 'third secret' });
  const { items } = await call(grace, 'message:history', { chatId, messageId: id });
  expect(items.map(({ content }) => content)).toEqual(['first secret', 'second secret']);
  await call(ada, 'message:delete', { chatId, messageId: id });
  await call(ada, 'message:delete', { chatId, messageId: id });
  expect(await call(grace, 'message:history', { chatId, messageId: id })).toEqual({ items: [] });
  expect(await call(grace, 'chat:search', { query: 'secret' })).toEqual({ items: [], next: null });
  expect(JSON.stringify(await call(grace, 'message:list', { chatId }))).not.toContain('secret');
  expect((await call(grace, 'chat:heads', { chatIds: [chatId] })).items).toMatchObject([{ rev: 4, seq: 1 }]);
  const conflict = { code: 'conflict' };
  await expect(call(ada, 'message:edit', { chatId, messageId: id, content: 'again' })).rejects.toMatchObject(conflict);
  await expect(call(ada, 'message:react', { chatId, messageId: id, emoji: '👍' })).rejects.toMatchObject(conflict);
});

test('[CH-23] one edits only what is one’s own; its sender, the owner and admins delete', async () => {
  const { chatId, people, sockets } = await group();
  const [ada, grace, joan] = sockets;
  const { id } = await send(grace, chatId, 'by Grace');
  const forbidden = { code: 'forbidden' };
  await expect(call(ada, 'message:edit', { chatId, messageId: id, content: 'x' })).rejects.toMatchObject(forbidden);
  await expect(call(joan, 'message:delete', { chatId, messageId: id })).rejects.toMatchObject(forbidden);
  await call(ada, 'chat:set-role', { chatId, userId: people[2].id, role: 'admin' });
  expect((await call(joan, 'message:delete', { chatId, messageId: id })).message.deletedAt).toBeDefined();
  const stranger = await server.socket(await server.person());
  for (const refused of [
    () => call(stranger, 'message:edit', { chatId, messageId: id, content: 'x' }),
    () => call(stranger, 'message:delete', { chatId, messageId: id }),
    () => call(stranger, 'message:react', { chatId, messageId: id, emoji: 'x' }),
    () => call(stranger, 'message:history', { chatId, messageId: id }),
    () => call(stranger, 'message:thread', { chatId, messageId: id }),
    () => call(stranger, 'message:receipts', { chatId, messageId: id }),
    () => call(stranger, 'message:read', { chatId, seq: 1 }),
    () => call(stranger, 'chat:search', { chatId, query: 'by' }),
    () => call(ada, 'message:edit', { chatId, messageId: chatId, content: 'x' }),
  ]) {
    await expect(refused()).rejects.toMatchObject({ code: 'not_found' });
  }
});

test('[CH-24] a reaction counts once however often it is sent, and can be taken back', async () => {
  const { chatId, people, sockets } = await group();
  const [ada, grace] = sockets;
  const { id: messageId } = await send(ada, chatId, 'react to me');
  const react = (socket: Socket, emoji: string, on = true) =>
    call(socket, 'message:react', { chatId, messageId, emoji, on });
  await Promise.all([react(ada, '🎉'), react(grace, '🎉'), react(grace, '🎉'), react(grace, '👍')]);
  const { message } = await react(ada, '🎉');
  const byEmoji = new Map(message.reactions.map((one) => [one.emoji, one]));
  expect(byEmoji.get('🎉')).toMatchObject({ count: 2, userIds: expect.arrayContaining([people[0].id, people[1].id]) });
  expect(byEmoji.get('👍')).toMatchObject({ count: 1 });
  expect((await react(grace, '👍', false)).message.reactions).toHaveLength(1);
  expect((await react(grace, '👍', false)).message.reactions).toHaveLength(1);
  for (let kind = 1; kind < LIMITS.reactionKinds; kind++) await react(ada, `e${kind}`);
  await expect(react(ada, 'one too many')).rejects.toMatchObject({ code: 'quota_exceeded' });
  expect((await react(grace, 'e1')).message.reactions).toHaveLength(LIMITS.reactionKinds);
});

test('[CH-25] replies, threads and mentions refer to messages and members of the chat', async () => {
  const { chatId, people, sockets } = await group();
  const [ada, grace, joan] = sockets;
  const mentions = heard(joan, 'mention:created');
  const root = await send(ada, chatId, 'root');
  const other = await server.chat([people[0]]);
  const foreign = await send(ada, other, 'elsewhere');
  const replies: string[] = [];
  for (let n = 0; n < 3; n++)
    replies.push((await send(grace, chatId, `reply ${n}`, { threadRoot: root.id, replyTo: root.id })).id);
  const first = await call(joan, 'message:thread', { chatId, messageId: root.id, limit: 2 });
  expect(first.root.id).toBe(root.id);
  const rest = await call(joan, 'message:thread', { chatId, messageId: root.id, cursor: first.next ?? '' });
  expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(replies);
  expect(rest.next).toBeNull();
  const sent = await send(ada, chatId, 'hello Joan', { mentions: [people[2].id, people[2].id, people[0].id] });
  await expect.poll(() => mentions).toHaveLength(1);
  expect(mentions[0]).toMatchObject({ chatId, message: { id: sent.id, mentions: [people[2].id, people[0].id] } });
  const stranger = await server.person();
  for (const wrong of [
    { replyTo: foreign.id },
    { threadRoot: foreign.id },
    { threadRoot: replies[0] },
    { mentions: [stranger.id] },
  ]) {
    await expect(send(ada, chatId, 'x', wrong)).rejects.toMatchObject({
      code: 'invalid',
      detail: [{ path: Object.keys(wrong)[0] }],
    });
  }
});

test('[CH-26] what a message is made of fits its type; an encrypted one is opaque', async () => {
  const { chatId, sockets } = await group();
  const [ada, grace] = sockets;
  for (const wrong of [{ type: 'image' }, { type: 'voice' }, { type: 'encrypted' }, { type: 'system' }, {}]) {
    await expect(send(ada, chatId, '', wrong)).rejects.toMatchObject({ code: 'invalid' });
  }
  const created = heard(grace, 'message:created');
  const content = Buffer.from('ciphertext of a whisper').toString('base64');
  const { id } = await send(ada, chatId, content, { type: 'encrypted' });
  await expect.poll(() => created).toHaveLength(1);
  expect(created[0]?.message).toMatchObject({ id, type: 'encrypted', content });
  expect((await call(ada, 'chat:search', { query: content })).items).toEqual([]);
});

test('[CH-27] search finds words in any case and accent, by beginning, sender, type and time, in own chats only', async () => {
  const { chatId, people, sockets } = await group();
  const [ada, grace] = sockets;
  const found = async (socket: Socket, query: string, more: object = {}) =>
    (await call(socket, 'chat:search', { query, ...more })).items.map(({ content }) => content);
  const cafe = await send(ada, chatId, 'Rendez-vous au Café Zürich');
  await send(grace, chatId, 'The cafeteria is closed');
  await send(grace, chatId, '東京タワーで会いましょう');
  expect(await found(ada, 'CAFE zurich')).toEqual(['Rendez-vous au Café Zürich']);
  expect(await found(ada, 'cafe')).toEqual(['The cafeteria is closed', 'Rendez-vous au Café Zürich']);
  expect(await found(ada, 'cafe rendez')).toEqual(['Rendez-vous au Café Zürich']);
  expect(await found(ada, '東京')).toEqual(['東京タワーで会いましょう']);
  expect(await found(ada, 'cafe', { senderId: people[1].id })).toEqual(['The cafeteria is closed']);
  expect(await found(ada, 'cafe', { type: 'image' })).toEqual([]);
  expect(await found(ada, 'cafe', { to: cafe.createdAt })).toEqual([]);
  expect(await found(ada, 'cafe', { from: cafe.createdAt, chatId })).toHaveLength(2);
  expect(await found(ada, '... !')).toEqual([]);
  const stranger = await server.socket(await server.person());
  expect(await found(stranger, 'cafe')).toEqual([]);
  await call(ada, 'message:edit', { chatId, messageId: cafe.id, content: 'Rendez-vous at noon' });
  expect(await found(ada, 'zurich')).toEqual([]);
  expect(await found(ada, 'noon')).toEqual(['Rendez-vous at noon']);
  for (let n = 0; n < 5; n++) await send(ada, chatId, `pageable ${n}`);
  const pages: Message[] = [];
  let cursor: string | null = null;
  do {
    const page: { items: Message[]; next: string | null } = await call(ada, 'chat:search', {
      query: 'pageable',
      limit: 2,
      ...(cursor === null ? {} : { cursor }),
    });
    pages.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  expect(pages.map(({ content }) => content)).toEqual([4, 3, 2, 1, 0].map((n) => `pageable ${n}`));
});

test('[CH-28] many who change a message at once see it end alike, and nothing of it is lost', async () => {
  const { chatId, sockets } = await group();
  const [ada] = sockets;
  const logs = sockets.map((socket) => heardOfLog(socket, chatId));
  const { id: messageId } = await send(ada, chatId, 'draft');
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => {
      const socket = sockets[n % 3] as Socket;
      if (n % 3 === 0) return call(socket, 'message:edit', { chatId, messageId, content: `draft ${n}` });
      return call(socket, 'message:react', { chatId, messageId, emoji: `e${n % 7}`, on: n % 5 !== 0 });
    }),
  );
  const { items, head } = await call(ada, 'chat:sync', { chatId, after: 0 });
  expect(items).toHaveLength(1);
  expect(items[0]?.rev).toBe(head.rev);
  for (const log of logs) {
    await expect.poll(() => log.at(-1)?.rev).toBe(head.rev);
    expect(log.map(({ rev }) => rev)).toEqual(Array.from({ length: head.rev }, (_, n) => n + 1));
    const newest = log
      .map(({ data }) => (data as { message: Message }).message)
      .reduce((best, message) => (message.rev > best.rev ? message : best));
    expect(newest).toEqual(items[0]);
  }
  const { items: history } = await call(ada, 'message:history', { chatId, messageId });
  expect(history).toHaveLength(10);
});

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
