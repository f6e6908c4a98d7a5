/** What other features and the chat's own handlers do with chats: create, send, read. */
import { createHash } from 'node:crypto';
import { Types } from 'mongoose';
import type { Bus } from '../../cluster/bus.ts';
import { ALL_NODES } from '../../cluster/bus.ts';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS, userRoom, type Rooms } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { Activity } from './activity.ts';
import type { ChatLog } from './chat-log.ts';
import type { Chat, chatEvents, Message } from './contract.ts';
import { toMessage } from './entry.ts';
import type { Member, Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord, EntryRecord, MembershipRecord, RoleName } from './model.ts';
import type { Typing } from './typing.ts';

export interface NewMessage {
  /** Given beforehand for an assistant's message; else made here. */
  id?: string;
  chatId: string;
  sender: { type: 'user'; userId: string } | { type: 'assistant' };
  /** A repeated one (chat, user, clientId) resolves to the first outcome. */
  clientId?: string;
  content: string;
  metadata?: Message['metadata'];
  replyTo?: string;
  threadRoot?: string;
  mentions?: string[];
  /** The message's place among this node's appends is fixed; the durable write follows. */
  onQueued?: () => void;
}

/** The notice that a chat began for somebody; every node lets their sockets in. */
export interface ChatOpened {
  type: 'chat:opened';
  chatId: string;
  userIds: string[];
}

export interface ChatService {
  /** The caller's role, else `not_found`. */
  requireMember(chatId: string, userId: string): Promise<{ role: RoleName }>;
  createAssistantChat(userId: string, name: string, clientId?: string): Promise<{ chatId: string }>;
  create(userId: string, input: NewChat): Promise<Chat>;
  /** Resolves after the durable write. */
  post(message: NewMessage): Promise<Message>;
  /** The newest page, ascending. */
  history(chatId: string, limit: number): Promise<Message[]>;
  messageById(chatId: string, messageId: string): Promise<Message | undefined>;
  /** One chat as the user sees it, else `not_found`. */
  view(chatId: string, userId: string): Promise<Chat>;
  /** Chats as one user sees them, in the order given. */
  views(chats: readonly ChatRecord[], memberships: ReadonlyMap<string, MembershipRecord>): Promise<Chat[]>;
}

export interface NewChat {
  kind: 'private' | 'group' | 'assistant';
  memberIds: readonly string[];
  name?: string | undefined;
  clientId?: string | undefined;
}

export interface ChatServiceDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  activity: Activity;
  typing: Typing;
  rooms: Rooms<typeof chatEvents>;
  bus: Bus;
  audit: Audit;
  /** Which of the ids are users. */
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  now: () => number;
}

/** Members of a chat that its view names. */
const MEMBERS_IN_VIEW = 50;

export function createChatService(deps: ChatServiceDeps): ChatService {
  const { models, log, memberships, activity, typing, rooms, bus, audit, now } = deps;

  async function create(userId: string, input: NewChat): Promise<Chat> {
    const others = [...new Set(input.memberIds)].filter((id) => id !== userId);
    if (input.kind === 'private' && others.length !== 1) {
      throw new Fault('invalid', 'A private chat has exactly one other member');
    }
    const existing = new Set(await deps.existingUsers(others));
    if (others.some((id) => !existing.has(id))) throw new Fault('not_found', 'There is no such user');

    const _id = chatIdOf(userId, input, others);
    const members: Member[] = [
      { userId, role: 'owner' },
      // Both ends of a private chat have the same rights.
      ...others.map((id): Member => ({ userId: id, role: input.kind === 'private' ? 'owner' : 'member' })),
    ];
    const at = new Date(now());
    const chat: ChatRecord = {
      _id,
      kind: input.kind,
      ...(input.name === undefined ? {} : { name: input.name }),
      memberCount: members.length,
      createdBy: new Types.ObjectId(userId),
      createdAt: at,
      lastActivityAt: at,
      status: 'active',
    };
    const first = await models.chats.collection.findOne({ _id });
    if (!first) {
      // Memberships first: a chat that exists has all its members, whenever the process ends.
      await memberships.addAll(_id, members, at);
      try {
        await models.chats.collection.insertOne(chat);
        const opened: ChatOpened = {
          type: 'chat:opened',
          chatId: _id.toHexString(),
          userIds: members.map((m) => m.userId),
        };
        bus.publish(ALL_NODES, opened);
        audit.record({
          action: 'chat.create',
          userId,
          target: opened.chatId,
          ok: true,
          detail: { kind: input.kind, members: members.length },
        });
        await Promise.all(
          members.map(async (member) => {
            rooms.emit(userRoom(member.userId), 'chat:created', { chat: await view(_id.toHexString(), member.userId) });
          }),
        );
      } catch (error) {
        // A twin of this request was faster: its chat is the outcome.
        if (duplicateIndexOf(error) === undefined) throw error;
      }
    }
    return view(_id.toHexString(), userId);
  }

  async function post(message: NewMessage): Promise<Message> {
    const { chatId, sender, replyTo, threadRoot, mentions, metadata } = message;
    const userId = sender.type === 'user' ? sender.userId : undefined;
    const appended = log.append(
      {
        _id: new Types.ObjectId(message.id),
        chatId: new Types.ObjectId(chatId),
        kind: 'message',
        sender: sender.type,
        ...(userId === undefined ? {} : { userId: new Types.ObjectId(userId) }),
        ...(message.clientId === undefined ? {} : { clientId: message.clientId }),
        type: 'text',
        content: message.content,
        ...(metadata && Object.keys(metadata).length > 0 ? { metadata } : {}),
        ...(replyTo === undefined ? {} : { replyTo: new Types.ObjectId(replyTo) }),
        ...(threadRoot === undefined ? {} : { threadRoot: new Types.ObjectId(threadRoot) }),
        ...(mentions && mentions.length > 0 ? { mentions: mentions.map((id) => new Types.ObjectId(id)) } : {}),
      },
      userId === undefined ? undefined : async () => void (await memberships.get(chatId, userId)),
    );
    message.onQueued?.();
    const entry = await appended;
    if (userId !== undefined) typing.stop(chatId, userId);
    return toMessage(entry);
  }

  async function view(chatId: string, userId: string): Promise<Chat> {
    const membership = await memberships.get(chatId, userId);
    const chat = await models.chats.collection.findOne<ChatRecord>({ _id: new Types.ObjectId(chatId) });
    if (!chat) throw new Fault('not_found', 'There is no such chat');
    const [members, seen] = await Promise.all([
      memberships.ofChats([chat._id], MEMBERS_IN_VIEW),
      seenAs(chat, membership),
    ]);
    return { ...seen, members: members.get(chatId) ?? [] };
  }

  async function views(chats: readonly ChatRecord[], mine: ReadonlyMap<string, MembershipRecord>): Promise<Chat[]> {
    const small = chats.filter(({ kind }) => kind === 'private' || kind === 'assistant').map(({ _id }) => _id);
    const [members, seen] = await Promise.all([
      memberships.ofChats(small, small.length * 2),
      Promise.all(
        chats.map((chat) => {
          const membership = mine.get(chat._id.toHexString());
          if (!membership) throw new Error('A chat was listed without its membership');
          return seenAs(chat, membership);
        }),
      ),
    ]);
    return seen.map((chat) => {
      const known = members.get(chat.id);
      return known ? { ...chat, members: known } : chat;
    });
  }

  /** The newest message comes from the log's index, so positions are exact even when the chat's cache is behind. */
  async function seenAs(chat: ChatRecord, membership: MembershipRecord): Promise<Chat> {
    const [last] = await log.messages(chat._id, { limit: 1 });
    if (last && last.createdAt > chat.lastActivityAt) activity.repair(chat._id, last.createdAt);
    const lastSeq = last?.seq ?? 0;
    const lastReadSeq = Math.max(membership.lastReadSeq, isBy(last, membership.userId) ? lastSeq : 0);
    return {
      id: chat._id.toHexString(),
      kind: chat.kind,
      ...(chat.name === undefined ? {} : { name: chat.name }),
      memberCount: chat.memberCount,
      lastSeq,
      lastMessage: last ? toMessage(last) : null,
      lastActivityAt: (last && last.createdAt > chat.lastActivityAt
        ? last.createdAt
        : chat.lastActivityAt
      ).toISOString(),
      status: chat.status,
      role: membership.role,
      lastReadSeq,
      unread: lastSeq - lastReadSeq,
      starred: membership.starred,
      createdAt: chat.createdAt.toISOString(),
    };
  }

  return {
    async requireMember(chatId, userId) {
      return { role: await memberships.require(chatId, userId) };
    },
    async createAssistantChat(userId, name, clientId) {
      const chat = await create(userId, { kind: 'assistant', memberIds: [], name: name.slice(0, 100), clientId });
      return { chatId: chat.id };
    },
    create,
    post,
    async history(chatId, limit) {
      const page = await log.messages(new Types.ObjectId(chatId), { limit: Math.min(limit, LIMITS.listMax) });
      return page.map(toMessage);
    },
    async messageById(chatId, messageId) {
      const entry = await log.message(new Types.ObjectId(chatId), new Types.ObjectId(messageId));
      return entry && toMessage(entry);
    },
    view,
    views,
  };
}

const isBy = (entry: EntryRecord | undefined, userId: Types.ObjectId): boolean =>
  entry?.userId?.equals(userId) ?? false;

/**
 * The id guards the outcome: that of a private chat follows from its pair, that of a chat with a clientId from its
 * creator's choice, so a second insert finds the first.
 */
function chatIdOf(userId: string, input: NewChat, others: readonly string[]): Types.ObjectId {
  if (input.kind === 'private') return derivedId('private', ...[userId, ...others].sort());
  if (input.clientId !== undefined) return derivedId(userId, 'chat:create', userId, input.clientId);
  return new Types.ObjectId();
}

/** An id that follows from its parts: the first 12 bytes of their SHA-256. */
export function derivedId(...parts: readonly string[]): Types.ObjectId {
  return new Types.ObjectId(createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 12));
}
