/** Operations on messages, and typing. */
import { z } from 'zod';
import { ClientId, Empty, Head, Id, LIMITS, listInput, operation, pageOf, textOf, Time, wireInt } from '../../protocol/index.ts';
import { Message, MessageType, Metadata } from './shapes.ts';

const chatKey = (input: { chatId: string }): string => input.chatId;
const chatId = { chatId: Id };
const messageId = { chatId: Id, messageId: Id };
const Content = textOf(LIMITS.messageBytes);
const theMessage = z.object({ message: Message });

export const messageOperations = {
  'message:send': operation({
    input: z.strictObject({
      ...chatId,
      clientId: ClientId,
      type: MessageType.exclude(['system']).default('text'),
      content: Content.default('').meta({ description: 'May be empty beside attachments only' }),
      attachmentIds: z.array(Id).max(LIMITS.attachmentsPerMessage).default([]),
      replyTo: Id.optional().meta({ description: 'A message of the chat' }),
      threadRoot: Id.optional().meta({ description: 'The message that began the thread' }),
      mentions: z.array(Id).max(LIMITS.mentionsPerMessage).default([]).meta({ description: 'Members of the chat' }),
      metadata: Metadata.default({}),
    }),
    output: z.object({ id: Id, seq: z.int(), rev: z.int(), createdAt: Time }),
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'POST /api/chats/:chatId/messages' },
    doc: 'Sends a message. The answer comes after the durable write; a retry with the same clientId gets the first outcome, also when its content differs. `image`, `file` and `voice` carry attachments of their kind (`POST /api/attachments`); `encrypted` is opaque to the server.',
  }),
  'message:edit': operation({
    input: z.strictObject({ ...messageId, content: Content.min(1) }),
    output: theMessage,
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/messages/:messageId' },
    doc: "Replaces the content of one's own message; what it said before is kept in its history. A deleted message is a conflict.",
  }),
  'message:delete': operation({
    input: z.strictObject(messageId),
    output: theMessage,
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'DELETE /api/chats/:chatId/messages/:messageId' },
    doc: 'Makes a tombstone of a message: its own sender, the owner and admins. Content, history and attachments go for ever.',
  }),
  'message:react': operation({
    input: z.strictObject({
      ...messageId,
      emoji: z.string().min(1).max(LIMITS.emojiLength),
      on: z.stringbool().or(z.boolean()).default(true),
    }),
    output: theMessage,
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/messages/:messageId/reactions' },
    doc: `Adds or takes back the caller's reaction. At most ${LIMITS.reactionKinds} different ones and ${LIMITS.reactionsPerMessage} in all on a message.`,
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
  'message:thread': operation({
    input: z.strictObject({ ...messageId, ...listInput }),
    output: z.object({ root: Message, items: z.array(Message), next: z.string().nullable() }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/messages/:messageId/thread' },
    doc: 'A thread: the message that began it and its replies, ascending by seq.',
  }),
  'message:history': operation({
    input: z.strictObject(messageId),
    output: z.object({ items: z.array(z.object({ content: z.string(), at: Time })) }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/messages/:messageId/history' },
    doc: `What a message said before its edits, oldest first, at most the last ${LIMITS.editsKept}; empty for a deleted one.`,
  }),
  'message:read': operation({
    input: z.strictObject({ ...chatId, seq: wireInt(0) }),
    output: z.object({ unread: z.int() }),
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    http: { route: 'POST /api/chats/:chatId/read' },
    doc: "Moves the caller's read position to `seq`, never back; read is also delivered. Sending a message moves one's own.",
  }),
  'message:delivered': operation({
    input: z.strictObject({ ...chatId, seq: wireInt(0) }),
    output: Empty,
    auth: 'user',
    rate: 'sends',
    orderKey: chatKey,
    doc: "Moves the caller's delivered position to `seq`, never back.",
  }),
  'message:receipts': operation({
    input: z.strictObject({ ...messageId, ...listInput }),
    output: pageOf(z.object({ userId: Id, deliveredAt: Time.nullable(), readAt: Time.nullable() })),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/messages/:messageId/receipts' },
    doc: `Who of the other members has got and read a message, and when. Of older messages the times are those of the oldest of the last ${LIMITS.receiptMarks} steps that a member's position took.`,
  }),
  'chat:search': operation({
    input: z.strictObject({
      ...listInput,
      query: z.string().trim().min(1).max(200),
      chatId: Id.optional(),
      senderId: Id.optional(),
      type: MessageType.optional(),
      from: Time.optional(),
      to: Time.optional(),
    }),
    output: pageOf(Message),
    auth: 'user',
    rate: 'search',
    http: { route: 'GET /api/search/messages' },
    doc: "Messages of the caller's chats that have all the words, newest first; the last word may be the beginning of one. Case and accents do not count. Encrypted and deleted messages are not found.",
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
