/** Chats, messages and typing: every operation and event. */
import { z } from 'zod';
import { event, Id } from '../../protocol/index.ts';
import { chatOperations } from './chat-operations.ts';
import { messageOperations } from './message-operations.ts';
import { Chat, Member, Message, Receipt } from './shapes.ts';

export * from './shapes.ts';

export const chatContract = { ...chatOperations, ...messageOperations };

const change = z.object({
  chatId: Id,
  rev: z.int().meta({ description: "The entry's place in the log" }),
  message: Message,
});

export const chatEvents = {
  'message:created': event({ data: change, doc: 'A message was added to the log; in rev order.' }),
  'message:updated': event({
    data: change,
    doc: 'A message was edited or reacted to; in rev order. Keep the message with the highest `message.rev`.',
  }),
  'message:deleted': event({ data: change, doc: 'A message became a tombstone; in rev order.' }),
  'chat:members-changed': event({
    data: z.object({
      chatId: Id,
      rev: z.int(),
      added: z.array(Member),
      removed: z.array(Id),
      roles: z.array(Member),
    }),
    doc: 'Members came, left or changed their role; in rev order.',
  }),
  'chat:created': event({ data: z.object({ chat: Chat }), doc: 'The user is now a member of the chat.' }),
  'chat:updated': event({
    data: z.object({ chat: Chat }),
    doc: "The chat's name, settings or status changed, or the user's own marks on it.",
  }),
  'chat:deleted': event({
    data: z.object({ chatId: Id }),
    doc: 'The chat is gone for the user: deleted, or no longer theirs.',
  }),
  'mention:created': event({
    data: z.object({ chatId: Id, message: Message }),
    doc: 'The user was mentioned, by name or by a reply; to all of their sockets.',
  }),
  'receipt:changed': event({
    data: Receipt,
    doc: "A member's positions moved; to sockets that opened the chat, and to the member's own.",
  }),
  'typing:changed': event({
    data: z.object({ chatId: Id, userId: Id, typing: z.boolean() }),
    doc: 'A member began or stopped typing; to sockets that opened the chat.',
  }),
};
