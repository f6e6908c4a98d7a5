/** Operations on chats, their members, and what a member has marked. */
import { z } from 'zod';
import {
  ClientId,
  Empty,
  givenName,
  Head,
  Id,
  LIMITS,
  listInput,
  operation,
  pageOf,
  Time,
  wireInt,
} from '../../protocol/index.ts';
import { Chat, ChatKind, Member, Message, Role } from './shapes.ts';

const RunningStream = z.object({
  streamId: Id,
  messageId: Id,
  offset: z.int().meta({ description: 'Text so far, in UTF-16 units' }),
});

const chatKey = (input: { chatId: string }): string => input.chatId;
const chatId = { chatId: Id };
const Name = givenName(1, 100);
const flag = z.stringbool().or(z.boolean());
const theChat = z.object({ chat: Chat });

export const chatOperations = {
  'chat:create': operation({
    input: z.strictObject({
      kind: ChatKind,
      memberIds: z.array(Id).max(LIMITS.membersPerCreate).default([]),
      projectId: Id.optional().meta({ description: 'Of kind `project`, and only there' }),
      name: Name.optional(),
      clientId: ClientId.optional(),
    }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    http: { route: 'POST /api/chats' },
    doc: "Opens a chat with the caller as its owner. A private chat names exactly one other member and is unique per pair: the one that exists is returned. Unknown members are not_found; a private chat between people of whom one blocked the other is forbidden. A chat of a project is opened by its owner or an editor; its members are the project's, always, with the project's owner as its owner.",
  }),
  'chat:list': operation({
    input: z.strictObject({
      ...listInput,
      kind: ChatKind.optional(),
      projectId: Id.optional().meta({ description: 'Only chats of this project' }),
      search: z.string().trim().min(1).max(100).optional().meta({ description: 'Part of the name' }),
      starred: flag.optional(),
      archived: flag.optional().meta({ description: 'Only archived ones, or only others; else both' }),
      status: z
        .enum(['active', 'deleted'])
        .optional()
        .meta({ description: '`deleted`: those that the caller may restore' }),
    }),
    output: pageOf(Chat),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats' },
    doc: "The caller's chats, newest activity first.",
  }),
  'chat:get': operation({
    input: z.strictObject(chatId),
    output: theChat,
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId' },
    doc: 'One chat of the caller. A chat that the caller is not a member of is not_found.',
  }),
  'chat:update': operation({
    input: z.strictObject({
      ...chatId,
      name: Name.optional(),
      retentionDays: wireInt(1, LIMITS.retentionDaysMax).nullable().optional().meta({
        description: 'Messages older than so many days go for ever; null keeps them. For the owner',
      }),
    }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId' },
    doc: 'Changes the name (owner and admins) or the retention (owner). A private chat has no name.',
  }),
  'chat:delete': operation({
    input: z.strictObject(chatId),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'DELETE /api/chats/:chatId' },
    doc: `Deletes the chat for everyone (owner). It can be restored for ${LIMITS.restoreDays} days, then it goes for ever.`,
  }),
  'chat:restore': operation({
    input: z.strictObject(chatId),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'POST /api/chats/:chatId/restore' },
    doc: 'Brings a deleted chat back, for all who were members (owner).',
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
  'chat:members': operation({
    input: z.strictObject({ ...chatId, ...listInput }),
    output: pageOf(Member.extend({ joinedAt: Time })),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/chats/:chatId/members' },
    doc: 'The members, longest-standing first.',
  }),
  'chat:add-members': operation({
    input: z.strictObject({ ...chatId, userIds: z.array(Id).min(1).max(LIMITS.membersPerCreate) }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'POST /api/chats/:chatId/members' },
    doc: `Adds members (owner and admins); who is one already is left as they are. They may read the history and have nothing unread. At most ${LIMITS.membersPerChat} members; a private chat keeps its two.`,
  }),
  'chat:remove-member': operation({
    input: z.strictObject({ ...chatId, userId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'DELETE /api/chats/:chatId/members/:userId' },
    doc: 'Removes a member (owner: anyone; admins: members), or oneself: leaving for good. A leaving owner is followed by the longest-serving admin, else member; the last one to leave deletes the chat.',
  }),
  'chat:set-role': operation({
    input: z.strictObject({ ...chatId, userId: Id, role: Role }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/members/:userId' },
    doc: "Sets another member's role (owner). Making somebody owner makes the caller an admin: a group has one owner.",
  }),
  'chat:star': operation({
    input: z.strictObject({ ...chatId, on: flag }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/star' },
    doc: "The caller's own mark.",
  }),
  'chat:archive': operation({
    input: z.strictObject({ ...chatId, on: flag }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/archive' },
    doc: 'Puts the chat aside for the caller; messages still arrive.',
  }),
  'chat:mute': operation({
    input: z.strictObject({
      ...chatId,
      until: Time.nullable().meta({ description: 'No push before then; null ends it' }),
    }),
    output: theChat,
    auth: 'user',
    rate: 'writes',
    orderKey: chatKey,
    http: { route: 'PUT /api/chats/:chatId/mute' },
    doc: 'Silences push notifications of the chat for the caller.',
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
    doc: 'What changed after a `rev` (exclusive): each message at most once a page, in its present state, ascending by seq.',
  }),
};
