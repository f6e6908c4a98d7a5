/** Chats, messages and typing: operations and events. */
import { z } from 'zod';
import {
  ClientId,
  Empty,
  event,
  Head,
  Id,
  LIMITS,
  listInput,
  operation,
  pageOf,
  textOf,
  Time,
  utf8Length,
  wireInt,
} from '../../protocol/index.ts';

export const ChatKind = z.enum(['private', 'group', 'project', 'assistant']);
export const Role = z.enum(['owner', 'admin', 'member']);

/** Opaque to the server: kept and given back as it is. */
const Metadata = z
  .record(z.string().min(1).max(64), z.json())
  .refine((value) => utf8Length(JSON.stringify(value), LIMITS.metadataBytes) <= LIMITS.metadataBytes, {
    error: `must be at most ${LIMITS.metadataBytes} bytes of JSON`,
  })
  .meta({ description: `Any JSON object of at most ${LIMITS.metadataBytes} bytes` });

export const Sender = z.object({ type: z.enum(['user', 'assistant', 'system']), userId: Id.optional() });

export const Message = z
  .object({
    id: Id,
    chatId: Id,
    seq: z.int(),
    rev: z.int().meta({ description: 'Of the last log entry applied to the message' }),
    sender: Sender,
    type: z.enum(['text', 'image', 'file', 'voice', 'encrypted', 'system']),
    content: z.string(),
    attachments: z.array(z.record(z.string(), z.json())),
    metadata: z.record(z.string(), z.json()),
    replyTo: Id.optional(),
    threadRoot: Id.optional(),
    mentions: z.array(Id),
    reactions: z.array(z.object({ emoji: z.string(), userIds: z.array(Id), count: z.int() })),
    createdAt: Time,
    editedAt: Time.optional(),
    deletedAt: Time.optional(),
  })
  .meta({ id: 'Message' });
export type Message = z.output<typeof Message>;

export const Chat = z
  .object({
    id: Id,
    kind: ChatKind,
    name: z.string().optional(),
    avatarUrl: z.string().optional(),
    projectId: Id.optional(),
    memberCount: z.int(),
    members: z
      .array(z.object({ userId: Id, role: Role }))
      .optional()
      .meta({ description: 'The longest-standing members, at most 50; in lists of private and assistant chats only' }),
    lastSeq: z.int(),
    lastMessage: Message.nullable(),
    lastActivityAt: Time,
    status: z.enum(['active', 'deleted']),
    role: Role.meta({ description: "The caller's" }),
    lastReadSeq: z.int(),
    unread: z.int(),
    starred: z.boolean(),
    createdAt: Time,
  })
  .meta({ id: 'Chat' });
export type Chat = z.output<typeof Chat>;

const RunningStream = z.object({
  streamId: Id,
  messageId: Id,
  offset: z.int().meta({ description: 'Text so far, in UTF-16 units' }),
});

const chatKey = (input: { chatId: string }): string => input.chatId;
const chatId = { chatId: Id };

export const chatContract = {
  'chat:create': operation({
    input: z.strictObject({
      kind: ChatKind.exclude(['project']),
      memberIds: z.array(Id).max(LIMITS.membersPerCreate).default([]),
      name: z.string().trim().min(1).max(100).optional(),
      clientId: ClientId.optional(),
    }),
    output: z.object({ chat: Chat }),
    auth: 'user',
    rate: 'writes',
    http: { route: 'POST /api/chats' },
    doc: 'Opens a chat with the caller as its owner. A private chat names exactly one other member and is unique per pair: the one that exists is returned. Unknown members are not_found.',
  }),
  'chat:list': operation({
    input: z.strictObject({
      ...listInput,
      kind: ChatKind.optional(),
      search: z.string().trim().min(1).max(100).optional().meta({ description: 'Part of the name' }),
      starred: z.stringbool().or(z.boolean()).optional(),
      status: z.enum(['active', 'deleted']).optional(),
    }),
    output: pageOf(Chat),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats' },
    doc: "The caller's chats, newest activity first.",
  }),
  'chat:get': operation({
    input: z.strictObject(chatId),
    output: z.object({ chat: Chat }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId' },
    doc: 'One chat of the caller. A chat that the caller is not a member of is not_found.',
  }),
  'chat:join': operation({
    input: z.strictObject(chatId),
    output: z.object({ chat: Chat, messages: z.array(Message), head: Head, streams: z.array(RunningStream) }),
    auth: 'user',
    rate: 'reads',
    orderKey: chatKey,
    doc: 'Opens the live detail of a chat on this socket (typing, receipts) and gives the newest page of messages, the head and the assistant streams that are running.',
  }),
  'chat:leave': operation({
    input: z.strictObject(chatId),
    output: Empty,
    auth: 'user',
    rate: 'reads',
    orderKey: chatKey,
    doc: 'Closes the live detail of a chat on this socket. Messages still arrive: membership is not touched.',
  }),
  'chat:heads': operation({
    input: z.strictObject({ chatIds: z.array(Id).min(1).max(LIMITS.chatsAtConnect).optional() }),
    output: z.object({ items: z.array(z.object({ chatId: Id, rev: z.int(), seq: z.int() })) }),
    auth: 'user',
    rate: 'reads',
    doc: `The positions of the log's ends, read from the log itself: of the named chats, else of the caller's ${LIMITS.chatsAtConnect} newest. Chats that the caller is not a member of are left out.`,
  }),
  'chat:sync': operation({
    input: z.strictObject({ ...chatId, after: wireInt(0), limit: wireInt(1, LIMITS.syncMax).optional() }),
    output: z.object({
      items: z.array(Message),
      position: z.int().meta({ description: 'Go on with `after: position`' }),
      head: Head,
      more: z.boolean(),
      membersChanged: z.boolean(),
      reset: z.literal(true).optional().meta({ description: 'Older than what is kept: start from `position`' }),
    }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/sync' },
    doc: 'What changed after a `rev` (exclusive): each message at most once a page, in its present state.',
  }),
  'message:send': operation({
    input: z.strictObject({
      ...chatId,
      clientId: ClientId,
      type: z.enum(['text']).default('text'),
      content: textOf(LIMITS.messageBytes).min(1),
      replyTo: Id.optional(),
      threadRoot: Id.optional(),
      mentions: z.array(Id).max(50).default([]),
      metadata: Metadata.default({}),
    }),
    output: z.object({ id: Id, seq: z.int(), rev: z.int(), createdAt: Time }),
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'POST /api/chats/:chatId/messages' },
    doc: 'Sends a message. The answer comes after the durable write; a retry with the same clientId gets the first outcome, also when its content differs.',
  }),
  'message:list': operation({
    input: z.strictObject({
      ...chatId,
      before: wireInt(0).optional(),
      after: wireInt(0).optional(),
      limit: wireInt(1, LIMITS.listMax).optional(),
    }),
    output: z.object({ items: z.array(Message), head: Head }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/messages' },
    doc: 'A page of messages ascending by seq: the newest, or those before or after a seq (exclusive; not both).',
  }),
  'typing:start': operation({
    input: z.strictObject(chatId),
    output: Empty,
    auth: 'user',
    rate: 'live',
    orderKey: chatKey,
    doc: `Says that the caller types. Told at most once per ${LIMITS.typingThrottleMs} ms and ends by itself after ${LIMITS.typingExpiryMs} ms, on a message, and on disconnect.`,
  }),
  'typing:stop': operation({
    input: z.strictObject(chatId),
    output: Empty,
    auth: 'user',
    rate: 'live',
    orderKey: chatKey,
    doc: 'Says that the caller has stopped typing.',
  }),
};

export const chatEvents = {
  'message:created': event({
    data: z.object({ chatId: Id, rev: z.int(), message: Message }),
    doc: 'A message was added to the log; in rev order.',
  }),
  'chat:created': event({ data: z.object({ chat: Chat }), doc: 'The user is a member of a new chat.' }),
  'typing:changed': event({
    data: z.object({ chatId: Id, userId: Id, typing: z.boolean() }),
    doc: 'A member began or stopped typing; to sockets that opened the chat.',
  }),
};
