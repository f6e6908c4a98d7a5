/** One function for each operation on chats: check, do, answer. */
import { Types } from 'mongoose';
import { chatLiveRoom, chatRoom, connectionOf, Fault, LIMITS, userRoom, type Handlers } from '../../protocol/index.ts';
import type { chatOperations } from './chat-operations.ts';
import { belowPlace, parseCursor, toCursor } from './cursor.ts';
import { toMessage } from './entry.ts';
import type { ChatHandlerDeps } from './handlers.ts';
import type { Marks } from './memberships.ts';
import type { ChatRecord } from './model.ts';
import type { Chat } from './shapes.ts';

export function createChatHandlers(deps: ChatHandlerDeps): Handlers<typeof chatOperations> {
  const { service, models, log, memberships, members, lifecycle, views, events, sequencer, typing, rooms } = deps;

  /** Sets the caller's own marks and tells their other devices. */
  const mark = async (
    chatId: string,
    userId: string,
    marks: { [K in keyof Marks]: Marks[K] | undefined },
  ): Promise<{ chat: Chat }> => {
    await memberships.mark(chatId, userId, marks);
    const chat = await views.one(chatId, userId);
    rooms.emit(userRoom(userId), 'chat:updated', { chat });
    return { chat };
  };

  return {
    async 'chat:create'(input, { session }) {
      return { chat: await service.create(session.userId, input) };
    },

    async 'chat:list'(input, { session }) {
      const {
        limit = LIMITS.listDefault,
        cursor,
        kind,
        projectId,
        search,
        starred,
        archived,
        status = 'active',
      } = input;
      const mine = await memberships.ofUser(session.userId, status === 'active' ? 'active' : 'closed');
      const wanted = mine.filter(
        (row) =>
          (starred === undefined || row.starred === starred) &&
          (archived === undefined || (row.archived ?? false) === archived) &&
          (status === 'active' || row.role === 'owner'),
      );
      const chats = await models.chats.collection
        .find<ChatRecord>({
          _id: { $in: wanted.map(({ chatId }) => chatId) },
          status,
          // What was deleted with its project is restored with it.
          ...(status === 'deleted' ? { withProject: { $exists: false } } : {}),
          ...(kind ? { kind } : {}),
          ...(projectId === undefined ? {} : { projectId: new Types.ObjectId(projectId) }),
          ...(search === undefined ? {} : { name: { $regex: escapeRegex(search), $options: 'i' } }),
          ...(cursor === undefined ? {} : belowPlace('lastActivityAt', parseCursor(cursor))),
        })
        .sort({ lastActivityAt: -1, _id: -1 })
        .limit(limit + 1)
        .toArray();
      const page = chats.slice(0, limit);
      const last = page.at(-1);
      return {
        items: await views.many(page, new Map(wanted.map((row) => [row.chatId.toHexString(), row]))),
        next: chats.length > limit && last ? toCursor({ at: last.lastActivityAt, id: last._id }) : null,
      };
    },

    async 'chat:get'({ chatId }, { session }) {
      return { chat: await views.one(chatId, session.userId) };
    },

    async 'chat:update'({ chatId, ...change }, { session }) {
      await lifecycle.update(chatId, session.userId, change);
      return { chat: await views.one(chatId, session.userId) };
    },

    async 'chat:delete'({ chatId }, { session }) {
      await lifecycle.delete(chatId, session.userId);
      return {};
    },

    async 'chat:restore'({ chatId }, { session }) {
      const chat = await views.record(chatId);
      if (chat.projectId) await deps.projectChats.restore(chat, session.userId);
      else await lifecycle.restore(chatId, session.userId);
      return { chat: await views.one(chatId, session.userId) };
    },

    async 'chat:join'({ chatId }, context) {
      const { session } = context;
      const id = connectionOf(context);
      await service.requireMember(chatId, session.userId);
      if (
        rooms.of(id, 'chat-live').length >= LIMITS.roomsPerSocket &&
        !rooms.of(id, 'chat-live').includes(chatLiveRoom(chatId))
      ) {
        throw new Fault('rate_limited', `At most ${LIMITS.roomsPerSocket} chats open at once; leave one`);
      }
      memberships.assertStaying(chatId, session.userId);
      sequencer.entering(chatId);
      rooms.join({ connectionId: id }, chatRoom(chatId));
      rooms.join({ connectionId: id }, chatLiveRoom(chatId));
      // Joined first, read second: what is not in the page is an event.
      await Promise.all([sequencer.open(chatId), rooms.listening(chatLiveRoom(chatId))]);
      const [chat, page, head, streams] = await Promise.all([
        views.one(chatId, session.userId),
        log.messages(new Types.ObjectId(chatId), { limit: LIMITS.listDefault }),
        log.head(new Types.ObjectId(chatId)),
        deps.runningStreams(chatId),
      ]);
      return { chat, messages: page.map((entry) => toMessage(entry, deps.viewAttachment)), head, streams };
    },

    async 'chat:leave'({ chatId }, context) {
      rooms.leave({ connectionId: connectionOf(context) }, chatLiveRoom(chatId));
      typing.stop(chatId, context.session.userId);
      return {};
    },

    async 'chat:members'({ chatId, limit = LIMITS.listDefault, cursor }, { session }) {
      await service.requireMember(chatId, session.userId);
      const after = cursor === undefined ? undefined : parseCursor(cursor);
      const rows = await memberships.page(new Types.ObjectId(chatId), limit + 1, after);
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page.map(({ userId, role, joinedAt }) => ({
          userId: userId.toHexString(),
          role,
          joinedAt: joinedAt.toISOString(),
        })),
        next: rows.length > limit && last ? toCursor({ at: last.joinedAt, id: last._id }) : null,
      };
    },

    async 'chat:add-members'({ chatId, userIds }, { session }) {
      await members.add(chatId, session.userId, userIds);
      return { chat: await views.one(chatId, session.userId) };
    },

    async 'chat:remove-member'({ chatId, userId }, { session }) {
      const done = await members.remove(chatId, session.userId, userId);
      if (!done) await lifecycle.delete(chatId, session.userId);
      return {};
    },

    async 'chat:set-role'({ chatId, userId, role }, { session }) {
      await members.setRole(chatId, session.userId, userId, role);
      return {};
    },

    'chat:star': ({ chatId, on }, { session }) => mark(chatId, session.userId, { starred: on }),
    'chat:archive': ({ chatId, on }, { session }) => mark(chatId, session.userId, { archived: on }),
    'chat:mute': ({ chatId, until }, { session }) =>
      mark(chatId, session.userId, { mutedUntil: until === null ? undefined : new Date(until) }),

    async 'chat:heads'({ chatIds }, { session }) {
      const { userId } = session;
      const ids = chatIds
        ? await memberships.among(chatIds, userId)
        : (await deps.newestChats(userId)).map((id) => id.toHexString());
      const items = await Promise.all(
        ids.map(async (chatId) => ({ chatId, ...(await log.head(new Types.ObjectId(chatId))) })),
      );
      return { items };
    },

    async 'chat:sync'({ chatId, after, limit = LIMITS.syncDefault }, { session }) {
      await service.requireMember(chatId, session.userId);
      const { _id, floorRev = 0 } = await views.record(chatId);
      if (after < floorRev) {
        const head = await log.head(_id);
        return { items: [], position: floorRev, head, more: floorRev < head.rev, membersChanged: true, reset: true };
      }
      const entries = await log.after(_id, after, limit);
      const messages = await events.messages(entries);
      // Read after the page: `more` may be true for a moment too long, never false too early.
      const head = await log.head(_id);
      const position = entries.at(-1)?.rev ?? Math.min(after, head.rev);
      return {
        items: messages.map((entry) => toMessage(entry, deps.viewAttachment)),
        position,
        head,
        more: position < head.rev,
        membersChanged: entries.some(({ kind }) => kind === 'members'),
      };
    },
  };
}

const escapeRegex = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
