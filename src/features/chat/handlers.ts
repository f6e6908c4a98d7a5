/** One function for each chat operation: check, do, answer. */
import { Types } from 'mongoose';
import {
  chatLiveRoom,
  chatRoom,
  connectionOf,
  Fault,
  LIMITS,
  type Handlers,
  type Rooms,
} from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import type { ChatService } from './chat-service.ts';
import type { chatContract, chatEvents } from './contract.ts';
import { toMessage } from './entry.ts';
import type { Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord } from './model.ts';
import type { Sequencer } from './sequencer.ts';
import type { Typing } from './typing.ts';

export interface RunningStream {
  streamId: string;
  messageId: string;
  offset: number;
}

export interface ChatHandlerDeps {
  service: ChatService;
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  sequencer: Sequencer;
  typing: Typing;
  rooms: Rooms<typeof chatEvents>;
  /** The assistant streams under way in a chat. */
  runningStreams: (chatId: string) => Promise<RunningStream[]>;
}

export function createChatHandlers(deps: ChatHandlerDeps): Handlers<typeof chatContract> {
  const { service, models, log, memberships, sequencer, typing, rooms } = deps;

  return {
    async 'chat:create'(input, { session }) {
      return { chat: await service.create(session.userId, input) };
    },

    async 'chat:list'({ limit = LIMITS.listDefault, cursor, kind, search, starred, status = 'active' }, { session }) {
      const mine = await memberships.ofUser(session.userId);
      const wanted = starred === undefined ? mine : mine.filter((membership) => membership.starred === starred);
      const after = cursor === undefined ? undefined : parseCursor(cursor);
      const chats = await models.chats.collection
        .find<ChatRecord>({
          _id: { $in: wanted.map(({ chatId }) => chatId) },
          status,
          ...(kind ? { kind } : {}),
          ...(search === undefined ? {} : { name: { $regex: escapeRegex(search), $options: 'i' } }),
          ...(after
            ? { $or: [{ lastActivityAt: { $lt: after.at } }, { lastActivityAt: after.at, _id: { $lt: after.id } }] }
            : {}),
        })
        .sort({ lastActivityAt: -1, _id: -1 })
        .limit(limit + 1)
        .toArray();
      const page = chats.slice(0, limit);
      const last = page.at(-1);
      return {
        items: await service.views(page, new Map(wanted.map((row) => [row.chatId.toHexString(), row]))),
        next: chats.length > limit && last ? toCursor(last) : null,
      };
    },

    async 'chat:get'({ chatId }, { session }) {
      return { chat: await service.view(chatId, session.userId) };
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
      rooms.join({ connectionId: id }, chatRoom(chatId));
      rooms.join({ connectionId: id }, chatLiveRoom(chatId));
      // Joined first, read second: what is not in the page is an event.
      await sequencer.open(chatId);
      const [chat, page, head, streams] = await Promise.all([
        service.view(chatId, session.userId),
        log.messages(new Types.ObjectId(chatId), { limit: LIMITS.listDefault }),
        log.head(new Types.ObjectId(chatId)),
        deps.runningStreams(chatId),
      ]);
      return { chat, messages: page.map(toMessage), head, streams };
    },

    async 'chat:leave'({ chatId }, context) {
      rooms.leave({ connectionId: connectionOf(context) }, chatLiveRoom(chatId));
      typing.stop(chatId, context.session.userId);
      return {};
    },

    async 'chat:heads'({ chatIds }, { session }) {
      const { userId } = session;
      const ids = chatIds
        ? await memberships.among(chatIds, userId)
        : (await newestChats(deps, userId)).map((id) => id.toHexString());
      const items = await Promise.all(
        ids.map(async (chatId) => ({ chatId, ...(await log.head(new Types.ObjectId(chatId))) })),
      );
      return { items };
    },

    async 'chat:sync'({ chatId, after, limit = LIMITS.syncDefault }, { session }) {
      await service.requireMember(chatId, session.userId);
      const id = new Types.ObjectId(chatId);
      const entries = await log.after(id, after, limit);
      // Read after the page: `more` may be true for a moment too long, never false too early.
      const head = await log.head(id);
      const position = entries.at(-1)?.rev ?? Math.min(after, head.rev);
      return {
        items: entries.map(toMessage),
        position,
        head,
        more: position < head.rev,
        membersChanged: false,
      };
    },

    async 'message:send'(input, context) {
      await service.requireMember(input.chatId, context.session.userId);
      const message = await service.post({
        chatId: input.chatId,
        sender: { type: 'user', userId: context.session.userId },
        clientId: input.clientId,
        content: input.content,
        metadata: input.metadata,
        mentions: [...new Set(input.mentions)],
        ...(input.replyTo === undefined ? {} : { replyTo: input.replyTo }),
        ...(input.threadRoot === undefined ? {} : { threadRoot: input.threadRoot }),
        onQueued: context.release,
      });
      const { id, seq, rev, createdAt } = message;
      return { id, seq, rev, createdAt };
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
      return { items: page.map(toMessage), head };
    },

    async 'typing:start'({ chatId }, context) {
      await service.requireMember(chatId, context.session.userId);
      typing.start(chatId, context.session.userId, connectionOf(context));
      return {};
    },

    async 'typing:stop'({ chatId }, { session }) {
      typing.stop(chatId, session.userId);
      return {};
    },
  };
}

/** The ids of a user's newest chats, as many as a socket joins by itself. */
export async function newestChats(
  { memberships, models }: Pick<ChatHandlerDeps, 'memberships' | 'models'>,
  userId: string,
): Promise<Types.ObjectId[]> {
  const all = (await memberships.ofUser(userId)).map(({ chatId }) => chatId);
  if (all.length <= LIMITS.chatsAtConnect) return all;
  const newest = await models.chats.collection
    .find<Pick<ChatRecord, '_id'>>({ _id: { $in: all } }, { projection: { _id: 1 } })
    .sort({ lastActivityAt: -1, _id: -1 })
    .limit(LIMITS.chatsAtConnect)
    .toArray();
  return newest.map(({ _id }) => _id);
}

const toCursor = ({ lastActivityAt, _id }: ChatRecord): string =>
  Buffer.from(`${lastActivityAt.getTime()}.${_id.toHexString()}`).toString('base64url');

function parseCursor(cursor: string): { at: Date; id: Types.ObjectId } {
  const match = /^(\d{1,16})\.([0-9a-f]{24})$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (!match?.[1] || !match[2]) throw new Fault('invalid', 'The cursor is not one of ours');
  return { at: new Date(Number(match[1])), id: new Types.ObjectId(match[2]) };
}

const escapeRegex = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
