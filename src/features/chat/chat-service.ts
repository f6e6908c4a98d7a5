/** What other features and the chat's own handlers do with chats: create, send, read. */
import { Types } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS, userRoom, type Rooms } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { ChatLog } from './chat-log.ts';
import type { chatEvents } from './contract.ts';
import { derivedId } from './derived-id.ts';
import { toMessage, type ViewAttachment } from './entry.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Memberships } from './memberships.ts';
import type { AttachmentInfo, ChatModels, ChatRecord, MessageEntry } from './model.ts';
import { checkReferences, checkType, kindOf, type Parts } from './new-message.ts';
import type { ChatNotice } from './notices.ts';
import type { BlockedBetween, PrivateChats } from './private-chats.ts';
import { searchWordsOf } from './search-words.ts';
import type { ProjectChats } from './project-chats.ts';
import type { Chat, Member, Message, MessageTypeName, RoleName } from './shapes.ts';
import type { Typing } from './typing.ts';
import type { Views } from './views.ts';

export interface NewMessage {
  /** Given beforehand for an assistant's message; else made here. */
  id?: string;
  chatId: string;
  sender: { type: 'user'; userId: string } | { type: 'assistant' };
  /** A repeated one (chat, user, clientId) resolves to the first outcome. */
  clientId?: string;
  type?: MessageTypeName;
  content: string;
  metadata?: Message['metadata'];
  attachmentIds?: readonly string[];
  replyTo?: string | undefined;
  threadRoot?: string | undefined;
  mentions?: readonly string[];
  /** The message's place among this node's appends is fixed; the durable write follows. */
  onQueued?: () => void;
}

export interface ChatService {
  /** The caller's role, else `not_found`. */
  requireMember(chatId: string, userId: string): Promise<{ role: RoleName }>;
  createAssistantChat(userId: string, name: string, clientId?: string): Promise<{ chatId: string }>;
  create(userId: string, input: NewChat): Promise<Chat>;
  /** Resolves after the durable write. */
  post(message: NewMessage): Promise<Message>;
  /** As `post`, with the log's row. */
  append(message: NewMessage): Promise<MessageEntry>;
  /** The newest page, ascending, without what is deleted or encrypted. */
  history(chatId: string, limit: number): Promise<Message[]>;
  messageById(chatId: string, messageId: string): Promise<Message | undefined>;
  /** One chat as the user sees it, else `not_found`. */
  view(chatId: string, userId: string): Promise<Chat>;
}

export interface NewChat {
  kind: ChatRecord['kind'];
  memberIds: readonly string[];
  /** Of kind `project`, and only there. */
  projectId?: string | undefined;
  name?: string | undefined;
  clientId?: string | undefined;
}

/** What chats need of uploads; `attachments` implements it. */
export interface AttachmentPort {
  /**
   * Claims the user's uploads for a message. Rejects when one is not theirs, belongs to another message, or is not of the
   * kind; the same message may claim again.
   */
  claim(
    userId: string,
    attachmentIds: readonly string[],
    use: { chatId: string; messageId: string; kind?: AttachmentInfo['kind'] },
  ): Promise<AttachmentInfo[]>;
  /** Signs fresh addresses. */
  view: ViewAttachment;
  /** The messages are gone. */
  release(messageIds: readonly string[]): Promise<void>;
}

export interface ChatServiceDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  members: MemberChanges;
  privateChats: PrivateChats;
  projectChats: ProjectChats;
  views: Views;
  typing: Typing;
  rooms: Rooms<typeof chatEvents>;
  bus: Bus;
  audit: Audit;
  attachments: AttachmentPort;
  blockedBetween: BlockedBetween;
  /** Which of the ids are users. */
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  now: () => number;
}

export function createChatService(deps: ChatServiceDeps): ChatService {
  const { models, log, memberships, members, privateChats, projectChats, views, typing, rooms, bus, audit } = deps;
  const { attachments, now } = deps;

  async function create(userId: string, input: NewChat): Promise<Chat> {
    if ((input.kind === 'project') !== (input.projectId !== undefined)) {
      throw new Fault('invalid', 'A chat of kind project names its project, and no other does');
    }
    if (input.projectId !== undefined) return createInProject(userId, input, input.projectId);
    const others = [...new Set(input.memberIds)].filter((id) => id !== userId);
    if (input.kind === 'private' && others.length !== 1) {
      throw new Fault('invalid', 'A private chat has exactly one other member');
    }
    const existing = new Set(await deps.existingUsers(others));
    if (others.some((id) => !existing.has(id))) throw new Fault('not_found', 'There is no such user');
    const _id = chatIdOf(userId, input, others);
    if (!(await models.chats.collection.findOne({ _id }))) {
      if (input.kind === 'private' && (await deps.blockedBetween(userId, others)).size > 0) {
        throw new Fault('forbidden', 'You cannot write to this person');
      }
      await found(_id, userId, input, [
        { userId, role: 'owner' },
        // Both ends of a private chat have the same rights.
        ...others.map((id): Member => ({ userId: id, role: input.kind === 'private' ? 'owner' : 'member' })),
      ]);
    }
    return views.one(_id.toHexString(), userId);
  }

  async function createInProject(userId: string, input: NewChat, projectId: string): Promise<Chat> {
    if (input.memberIds.length > 0) throw new Fault('invalid', "The members of a project's chat are the project's");
    const _id = chatIdOf(userId, input, []);
    if (!(await models.chats.collection.findOne({ _id }))) {
      const founders = await projectChats.founders(projectId, userId);
      await projectChats.expect(projectId);
      await found(_id, userId, input, founders);
      // Whoever has joined or left since the members were read.
      await projectChats.follow(projectId);
    }
    return views.one(_id.toHexString(), userId);
  }

  async function found(
    _id: Types.ObjectId,
    userId: string,
    input: NewChat,
    founders: readonly Member[],
  ): Promise<void> {
    const at = new Date(now());
    const chatId = _id.toHexString();
    const chat: ChatRecord = {
      _id,
      kind: input.kind,
      ...(input.name === undefined ? {} : { name: input.name }),
      ...(input.projectId === undefined ? {} : { projectId: new Types.ObjectId(input.projectId) }),
      memberCount: founders.length,
      createdBy: new Types.ObjectId(userId),
      createdAt: at,
      lastActivityAt: at,
      status: 'active',
    };
    // Memberships first: a chat that exists has all its members, whenever the process ends.
    await memberships.found(_id, founders, at);
    try {
      await models.chats.collection.insertOne(chat);
    } catch (error) {
      // A twin of this request was faster: its chat is the outcome.
      if (duplicateIndexOf(error) === undefined) throw error;
      return;
    }
    const userIds = founders.map((member) => member.userId);
    const opened: ChatNotice = { type: 'chat:opened', chatId, fresh: true, userIds };
    bus.publish(ALL_NODES, opened);
    const detail = { kind: input.kind, members: founders.length };
    audit.record({ action: 'chat.create', userId, target: chatId, ok: true, detail });
    for (const [memberId, view] of await views.forUsers(chatId, userIds)) {
      rooms.emit(userRoom(memberId), 'chat:created', { chat: view });
    }
  }

  async function append(message: NewMessage): Promise<MessageEntry> {
    const { chatId, sender, clientId, content, type = 'text', metadata, replyTo, threadRoot, mentions = [] } = message;
    const userId = sender.type === 'user' ? sender.userId : undefined;
    const attachmentIds = [...new Set(message.attachmentIds)];
    const parts: Parts = { chatId, type, content, attachmentIds, replyTo, threadRoot, mentions };
    if (userId !== undefined) {
      checkType(parts);
      await privateChats.assertOpen(chatId, userId);
      await checkReferences(parts, deps);
    }
    const _id = messageIdOf(message, attachmentIds.length > 0);
    let files: AttachmentInfo[] = [];
    if (userId !== undefined && attachmentIds.length > 0) {
      // A message that is there has all it needs; one that has been deleted since could claim nothing any more.
      const first = await log.message(new Types.ObjectId(chatId), _id);
      if (first) return first;
      const messageId = _id.toHexString();
      files = await attachments.claim(userId, attachmentIds, { chatId, messageId, ...kindOf(type) });
    }
    if (userId !== undefined) memberships.assertStaying(chatId, userId);
    const words = searchWordsOf(type, content);
    const appended = log.append(
      {
        _id,
        chatId: new Types.ObjectId(chatId),
        kind: 'message',
        sender: sender.type,
        ...(userId === undefined ? {} : { userId: new Types.ObjectId(userId) }),
        ...(clientId === undefined ? {} : { clientId }),
        type,
        content,
        ...(metadata && Object.keys(metadata).length > 0 ? { metadata } : {}),
        ...(files.length > 0 ? { attachments: files } : {}),
        ...(replyTo === undefined ? {} : { replyTo: new Types.ObjectId(replyTo) }),
        ...(threadRoot === undefined ? {} : { threadRoot: new Types.ObjectId(threadRoot) }),
        ...(mentions.length > 0 ? { mentions: mentions.map((id) => new Types.ObjectId(id)) } : {}),
        ...(words.length > 0 ? { words } : {}),
      },
      userId === undefined ? undefined : () => members.assertMember(chatId, userId),
    );
    message.onQueued?.();
    const entry = await appended;
    if (userId !== undefined) typing.stop(chatId, userId);
    return entry;
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
    post: async (message) => toMessage(await append(message), attachments.view),
    append,
    async history(chatId, limit) {
      const page = await log.messages(new Types.ObjectId(chatId), { limit: Math.min(limit, LIMITS.listMax) });
      return page.filter(isReadable).map((entry) => toMessage(entry, attachments.view));
    },
    async messageById(chatId, messageId) {
      const entry = await log.message(new Types.ObjectId(chatId), new Types.ObjectId(messageId));
      return entry && toMessage(entry, attachments.view);
    },
    view: (chatId, userId) => views.one(chatId, userId),
  };
}

const isReadable = ({ type, deletedAt }: MessageEntry): boolean => type !== 'encrypted' && !deletedAt;

/** A retry of a message with attachments must claim them for the same message. */
function messageIdOf({ id, chatId, sender, clientId }: NewMessage, hasAttachments: boolean): Types.ObjectId {
  if (hasAttachments && sender.type === 'user' && clientId !== undefined) {
    return derivedId(sender.userId, 'message:send', chatId, clientId);
  }
  return new Types.ObjectId(id);
}

/**
 * The id guards the outcome: that of a private chat follows from its pair, that of a chat with a clientId from its
 * creator's choice, so a second insert finds the first.
 */
function chatIdOf(userId: string, input: NewChat, others: readonly string[]): Types.ObjectId {
  if (input.kind === 'private') return derivedId('private', ...[userId, ...others].sort());
  if (input.clientId !== undefined) {
    return derivedId(userId, 'chat:create', input.projectId ?? userId, input.clientId);
  }
  return new Types.ObjectId();
}
