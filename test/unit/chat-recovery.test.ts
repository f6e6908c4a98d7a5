/** What a node leaves that dies between an entry's durable write and what follows from it. */
import { Types } from 'mongoose';
import { expect, test } from 'vitest';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { ChatLog } from '../../src/features/chat/chat-log.ts';
import { createChat, type ChatFeature } from '../../src/features/chat/index.ts';
import { createChatModels, type MessageEntry } from '../../src/features/chat/model.ts';
import { ensureIndexes } from '../../src/storage/database.ts';
import { openTestDatabase } from '../support/database.ts';
import { createTestLog } from './ai/test-log.ts';
import { createTestRooms, withoutProjects } from './ai/ai-setup.ts';

const [ada, grace, joan] = [new Types.ObjectId(), new Types.ObjectId(), new Types.ObjectId()];

async function setUp() {
  const database = await openTestDatabase();
  const { connection } = database;
  const log = createTestLog();
  const bus = createMemoryBus({ log });
  const rooms = createTestRooms();
  const open = (): ChatFeature =>
    createChat({
      connection,
      rooms,
      bus,
      log,
      audit: { record: () => {}, flush: async () => {} },
      now: Date.now,
      nameOf: async () => new Map(),
      existingUsers: async (ids) => ids,
      blocks: { between: async () => new Set(), of: async () => new Set() },
      attachments: {
        claim: async () => [],
        view: (info) => ({ ...info, url: '', urlExpiresAt: new Date().toISOString() }),
        release: async () => {},
      },
      ...withoutProjects,
    });
  const chat = open();
  const models = createChatModels(connection);
  await ensureIndexes(connection);
  const created = await chat.service.create(ada.toHexString(), { kind: 'group', memberIds: [grace.toHexString()] });
  /** Appends as a node does that dies right after it. */
  const dying = new ChatLog({ entries: models.entries, now: Date.now, onCommitted: () => {} });
  return {
    rooms,
    models,
    chat,
    dying,
    chatId: new Types.ObjectId(created.id),
    post: (content: string) =>
      chat.service.post({ chatId: created.id, sender: { type: 'user', userId: ada.toHexString() }, content }),
    async [Symbol.asyncDispose]() {
      await chat.close();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

test('[CH-37] a change that nobody has folded is folded and told by the next who looks', async () => {
  await using setup = await setUp();
  const { chat, chatId, dying, models, rooms } = setup;
  const { id } = await setup.post('first');
  await setup.post('second');
  const messageId = new Types.ObjectId(id);
  const by = { chatId, userId: ada, messageId };
  await chat.connected({ id: 'socket', userId: ada.toHexString() });
  await dying.append({ _id: new Types.ObjectId(), kind: 'edit', content: 'edited', ...by });
  await dying.append({ _id: new Types.ObjectId(), kind: 'react', emoji: '👍', on: true, ...by });
  await chat.compare();
  const told = rooms.heard.filter(({ event }) => event === 'message:updated');
  expect(told.map(({ data }) => data)).toMatchObject([
    { rev: 3, message: { id, content: 'edited', rev: 4 } },
    { rev: 4, message: { id, reactions: [{ emoji: '👍', count: 1 }] } },
  ]);
  await dying.append({ _id: new Types.ObjectId(), kind: 'delete', ...by });
  await chat.compare();
  expect(rooms.heard.at(-1)).toMatchObject({
    event: 'message:deleted',
    data: { rev: 5, message: { content: '', rev: 5 } },
  });
  const rows = await models.entries.collection.find<MessageEntry>({ chatId }).toArray();
  expect(JSON.stringify(rows)).not.toMatch(/first|edited/);
});

test('[CH-37] an edit that comes after the deletion changes nothing and keeps no content', async () => {
  await using setup = await setUp();
  const { chat, chatId, dying, models, rooms } = setup;
  const { id } = await setup.post('first');
  const by = { chatId, userId: ada, messageId: new Types.ObjectId(id) };
  await chat.connected({ id: 'socket', userId: ada.toHexString() });
  await dying.append({ _id: new Types.ObjectId(), kind: 'delete', ...by });
  await dying.append({ _id: new Types.ObjectId(), kind: 'edit', content: 'too late', ...by });
  await chat.compare();
  expect(rooms.heard.at(-1)).toMatchObject({
    event: 'message:updated',
    data: { rev: 3, message: { content: '', rev: 3 } },
  });
  expect(JSON.stringify(await models.entries.collection.find({ chatId }).toArray())).not.toContain('too late');
});

test('[CH-37] a membership entry that the rows do not follow yet is followed at the next start', async () => {
  await using setup = await setUp();
  const { chat, chatId, dying } = setup;
  const entry = { chatId, userId: ada, kind: 'members' as const, roles: [], pending: true as const };
  await dying.append({
    _id: new Types.ObjectId(),
    ...entry,
    added: [{ userId: joan, role: 'admin' }],
    removed: [grace],
  });
  expect((await chat.service.requireMember(chatId.toHexString(), grace.toHexString())).role).toBe('member');
  await chat.recover();
  expect((await chat.service.requireMember(chatId.toHexString(), joan.toHexString())).role).toBe('admin');
  await expect(chat.service.requireMember(chatId.toHexString(), grace.toHexString())).rejects.toMatchObject({
    code: 'not_found',
  });
  expect(await chat.service.view(chatId.toHexString(), ada.toHexString())).toMatchObject({ memberCount: 2 });
});

test('[CH-4] [CH-37] who was removed by a node that died then is refused, although the row still says member', async () => {
  await using setup = await setUp();
  const { chat, chatId, dying } = setup;
  const send = (userId: Types.ObjectId) =>
    chat.service.post({
      chatId: chatId.toHexString(),
      sender: { type: 'user', userId: userId.toHexString() },
      content: 'x',
    });
  await send(grace);
  const entry = { chatId, userId: ada, kind: 'members' as const, added: [], roles: [], pending: true as const };
  await dying.append({ _id: new Types.ObjectId(), ...entry, removed: [grace] });
  await expect(send(grace)).rejects.toMatchObject({ code: 'not_found' });
  expect(await send(ada)).toMatchObject({ rev: 3, seq: 2 });
});
