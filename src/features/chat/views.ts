/** Chats as their members see them. Positions come from the log's index, so they are exact after a crash. */
import { Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { Activity } from './activity.ts';
import type { ChatLog } from './chat-log.ts';
import { toMessage, type ViewAttachment } from './entry.ts';
import type { Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord, MembershipRecord, MessageEntry } from './model.ts';
import type { Chat } from './shapes.ts';

export interface ViewsDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  activity: Activity;
  viewAttachment: ViewAttachment;
}

/** Members of a chat that its view names. */
const MEMBERS_IN_VIEW = 50;

export class Views {
  readonly #deps: ViewsDeps;

  constructor(deps: ViewsDeps) {
    this.#deps = deps;
  }

  /** One chat as the user sees it, else `not_found`. */
  async one(chatId: string, userId: string): Promise<Chat> {
    const membership = await this.#deps.memberships.get(chatId, userId);
    const chat = await this.record(chatId);
    const [members, last] = await Promise.all([
      this.#deps.memberships.ofChats([chat._id], MEMBERS_IN_VIEW),
      this.#last(chat),
    ]);
    return { ...seenAs(chat, membership, last, this.#deps.viewAttachment), members: members.get(chatId) ?? [] };
  }

  async record(chatId: string): Promise<ChatRecord> {
    const chat = await this.#deps.models.chats.collection.findOne<ChatRecord>({ _id: new Types.ObjectId(chatId) });
    if (!chat) throw new Fault('not_found', 'There is no such chat');
    return chat;
  }

  /** Chats as one user sees them, in the order given. */
  async many(chats: readonly ChatRecord[], mine: ReadonlyMap<string, MembershipRecord>): Promise<Chat[]> {
    const small = chats.filter(({ kind }) => kind === 'private' || kind === 'assistant').map(({ _id }) => _id);
    const [members, seen] = await Promise.all([
      this.#deps.memberships.ofChats(small, small.length * 2),
      Promise.all(
        chats.map(async (chat) => {
          const membership = mine.get(chat._id.toHexString());
          if (!membership) throw new Error('A chat was listed without its membership');
          return seenAs(chat, membership, await this.#last(chat), this.#deps.viewAttachment);
        }),
      ),
    ]);
    return seen.map((chat) => {
      const known = members.get(chat.id);
      return known ? { ...chat, members: known } : chat;
    });
  }

  /** One chat as several of its members see it, by user id; who is no member is left out. */
  async forUsers(chatId: string, userIds: readonly string[]): Promise<Map<string, Chat>> {
    const chat = await this.record(chatId);
    const [rows, members, last] = await Promise.all([
      this.#deps.memberships.ofUsersIn(chat._id, userIds),
      this.#deps.memberships.ofChats([chat._id], MEMBERS_IN_VIEW),
      this.#last(chat),
    ]);
    return new Map(
      rows
        .filter(({ state }) => state === 'active')
        .map((row) => [
          row.userId.toHexString(),
          { ...seenAs(chat, row, last, this.#deps.viewAttachment), members: members.get(chatId) ?? [] },
        ]),
    );
  }

  async #last(chat: ChatRecord): Promise<MessageEntry | undefined> {
    const [last] = await this.#deps.log.messages(chat._id, { limit: 1 });
    if (last && last.createdAt > chat.lastActivityAt) this.#deps.activity.repair(chat._id, last.createdAt);
    return last;
  }
}

function seenAs(
  chat: ChatRecord,
  membership: MembershipRecord,
  last: MessageEntry | undefined,
  viewAttachment: ViewAttachment,
): Chat {
  const lastSeq = last?.seq ?? 0;
  // Sending moves one's own position; the row may lag a moment behind.
  const isOwn = last?.userId?.equals(membership.userId) ?? false;
  const lastReadSeq = Math.max(membership.lastReadSeq, isOwn ? lastSeq : 0);
  const activeAt = last && last.createdAt > chat.lastActivityAt ? last.createdAt : chat.lastActivityAt;
  const { retentionDays } = chat.settings ?? {};
  return {
    id: chat._id.toHexString(),
    kind: chat.kind,
    ...(chat.name === undefined ? {} : { name: chat.name }),
    ...(chat.projectId ? { projectId: chat.projectId.toHexString() } : {}),
    memberCount: chat.memberCount,
    lastSeq,
    lastMessage: last ? toMessage(last, viewAttachment) : null,
    lastActivityAt: activeAt.toISOString(),
    status: chat.status,
    ...(retentionDays === undefined ? {} : { retentionDays }),
    role: membership.role,
    lastReadSeq,
    unread: Math.max(0, lastSeq - lastReadSeq),
    starred: membership.starred,
    archived: membership.archived ?? false,
    ...(membership.mutedUntil ? { mutedUntil: membership.mutedUntil.toISOString() } : {}),
    createdAt: chat.createdAt.toISOString(),
    ...(chat.deletedAt ? { deletedAt: chat.deletedAt.toISOString() } : {}),
  };
}
