/** One function for each operation on messages: check, do, answer. */
import { Types } from 'mongoose';
import { connectionOf, Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import { parseCursor, toCursor } from './cursor.ts';
import { toMessage } from './entry.ts';
import type { ChatHandlerDeps } from './handlers.ts';
import type { messageOperations } from './message-operations.ts';
import type { MessageEntry } from './model.ts';
import { receiptOf } from './receipts.ts';
import { searchMessages } from './search.ts';
import type { Message } from './shapes.ts';

export function createMessageHandlers(deps: ChatHandlerDeps): Handlers<typeof messageOperations> {
  const { service, models, log, memberships, changes, events, receipts, typing } = deps;
  const shown = (entry: MessageEntry): Message => toMessage(entry, deps.viewAttachment);

  /** A message of a chat that the user is in, as it is now. */
  const messageOf = async (chatId: string, messageId: string, userId: string): Promise<MessageEntry> => {
    await service.requireMember(chatId, userId);
    const entry = await log.message(new Types.ObjectId(chatId), new Types.ObjectId(messageId));
    if (!entry) throw new Fault('not_found', 'There is no such message');
    return events.settle(entry);
  };

  return {
    async 'message:send'(input, context) {
      const { userId } = context.session;
      const { chatId, clientId, type, content, metadata, attachmentIds, replyTo, threadRoot } = input;
      await service.requireMember(chatId, userId);
      const entry = await service.append({
        chatId,
        sender: { type: 'user', userId },
        clientId,
        type,
        content,
        metadata,
        attachmentIds,
        replyTo,
        threadRoot,
        mentions: [...new Set(input.mentions)],
        onQueued: context.release,
      });
      return {
        id: entry._id.toHexString(),
        seq: entry.seq,
        rev: entry.appliedRev,
        createdAt: entry.createdAt.toISOString(),
      };
    },

    async 'message:edit'({ content, ...target }, { session }) {
      return { message: shown(await changes.edit({ ...target, userId: session.userId }, content)) };
    },

    async 'message:delete'(target, { session }) {
      const message = await changes.delete({ ...target, userId: session.userId });
      return { message: shown(message) };
    },

    async 'message:react'({ emoji, on, ...target }, { session }) {
      return { message: shown(await changes.react({ ...target, userId: session.userId }, emoji, on)) };
    },

    async 'message:list'({ chatId, before, after, limit = LIMITS.listDefault }, { session }) {
      if (before !== undefined && after !== undefined) {
        throw new Fault('invalid', 'Give `before` or `after`, not both', {
          detail: [{ path: 'after', message: 'not together with `before`' }],
        });
      }
      await service.requireMember(chatId, session.userId);
      const id = new Types.ObjectId(chatId);
      const [page, head] = await Promise.all([log.messages(id, { before, after, limit }), log.head(id)]);
      return { items: page.map(shown), head };
    },

    async 'message:thread'({ chatId, messageId, limit = LIMITS.listDefault, cursor }, { session }) {
      const root = await messageOf(chatId, messageId, session.userId);
      const after = cursor === undefined ? 0 : seqOf(cursor);
      const rows = await log.messages(root.chatId, { after, limit: limit + 1, threadRoot: root._id });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return { root: shown(root), items: page.map(shown), next: rows.length > limit && last ? String(last.seq) : null };
    },

    async 'message:history'({ chatId, messageId }, { session }) {
      const { history = [] } = await messageOf(chatId, messageId, session.userId);
      return { items: history.map(({ content, at }) => ({ content, at: at.toISOString() })) };
    },

    async 'message:read'({ chatId, seq }, { session }) {
      await service.requireMember(chatId, session.userId);
      return { unread: await receipts.read(chatId, session.userId, seq) };
    },

    async 'message:delivered'({ chatId, seq }, { session }) {
      await service.requireMember(chatId, session.userId);
      await receipts.delivered(chatId, session.userId, seq);
      return {};
    },

    async 'message:receipts'({ chatId, messageId, limit = LIMITS.listDefault, cursor }, { session }) {
      const message = await messageOf(chatId, messageId, session.userId);
      const after = cursor === undefined ? undefined : parseCursor(cursor);
      const rows = await memberships.page(message.chatId, limit + 1, after);
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page
          .filter(({ userId }) => !message.userId?.equals(userId))
          .map((row) => ({ userId: row.userId.toHexString(), ...receiptOf(row, message.seq) })),
        next: rows.length > limit && last ? toCursor({ at: last.joinedAt, id: last._id }) : null,
      };
    },

    async 'chat:search'({ chatId, limit = LIMITS.listDefault, ...search }, { session }) {
      const { userId } = session;
      if (chatId !== undefined) await service.requireMember(chatId, userId);
      const chatIds =
        chatId === undefined ? await deps.newestChats(userId, LIMITS.searchChats) : [new Types.ObjectId(chatId)];
      const { items, next } = await searchMessages(models, { ...search, chatIds, limit });
      return { items: items.map(shown), next };
    },

    async 'typing:start'({ chatId }, context) {
      const { userId } = context.session;
      await service.requireMember(chatId, userId);
      typing.start(chatId, userId, connectionOf(context), await deps.blockedWith(userId));
      return {};
    },

    async 'typing:stop'({ chatId }, { session }) {
      typing.stop(chatId, session.userId);
      return {};
    },
  };
}

/** A thread's cursor is the seq of its last message. */
function seqOf(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor)) throw new Fault('invalid', 'The cursor is not one of ours');
  return Number(cursor);
}
