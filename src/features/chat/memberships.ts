/** Who is in which chat. Positive answers are remembered for a short while; a membership that begins is never missed. */
import { LRUCache } from 'lru-cache';
import { Types, type Model } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { MembershipRecord, RoleName } from './model.ts';

const REMEMBERED = 100_000;

export interface Member {
  userId: string;
  role: RoleName;
}

export class Memberships {
  readonly #model: Model<MembershipRecord>;
  readonly #roles = new LRUCache<string, RoleName>({ max: REMEMBERED, ttl: LIMITS.headCompareMs });

  constructor(model: Model<MembershipRecord>) {
    this.#model = model;
  }

  /** The caller's role, or `not_found`: who is not a member may not learn that the chat exists. */
  async require(chatId: string, userId: string): Promise<RoleName> {
    const key = `${chatId}:${userId}`;
    const known = this.#roles.get(key);
    if (known) return known;
    const { role } = await this.get(chatId, userId);
    this.#roles.set(key, role);
    return role;
  }

  /** The memberships of a new chat. Repeating it changes nothing. */
  async addAll(chatId: Types.ObjectId, members: readonly Member[], at: Date): Promise<void> {
    await this.#model.collection.bulkWrite(
      members.map(({ userId, role }) => ({
        updateOne: {
          filter: { chatId, userId: new Types.ObjectId(userId) },
          update: { $setOnInsert: { role, joinedAt: at, lastReadSeq: 0, starred: false } },
          upsert: true,
        },
      })),
      { ordered: false },
    );
  }

  /** All memberships of a user. */
  ofUser(userId: string): Promise<MembershipRecord[]> {
    return this.#model.collection.find<MembershipRecord>({ userId: new Types.ObjectId(userId) }).toArray();
  }

  /** One membership, or `not_found`. */
  async get(chatId: string, userId: string): Promise<MembershipRecord> {
    const row = await this.#model.collection.findOne<MembershipRecord>({
      chatId: new Types.ObjectId(chatId),
      userId: new Types.ObjectId(userId),
    });
    if (!row) throw new Fault('not_found', 'There is no such chat');
    return row;
  }

  /** The longest-standing members of the chats together, at most `limit` rows. */
  async ofChats(chatIds: readonly Types.ObjectId[], limit: number): Promise<Map<string, Member[]>> {
    const byChat = new Map<string, Member[]>();
    if (chatIds.length === 0) return byChat;
    const rows = await this.#model.collection
      .find<MembershipRecord>({ chatId: { $in: [...chatIds] } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    for (const { chatId, userId, role } of rows) {
      const key = chatId.toHexString();
      const members = byChat.get(key) ?? [];
      members.push({ userId: userId.toHexString(), role });
      byChat.set(key, members);
    }
    return byChat;
  }

  /** Which of the chats the user is a member of. */
  async among(chatIds: readonly string[], userId: string): Promise<string[]> {
    const rows = await this.#model.collection
      .find<MembershipRecord>({
        userId: new Types.ObjectId(userId),
        chatId: { $in: chatIds.map((id) => new Types.ObjectId(id)) },
      })
      .toArray();
    return rows.map(({ chatId }) => chatId.toHexString());
  }

  /** Which of the users share a chat with `userId`; oneself always does. */
  async sharing(userId: string, otherIds: readonly string[]): Promise<Set<string>> {
    const mine = await this.ofUser(userId);
    const rows = await this.#model.collection
      .find<MembershipRecord>({
        userId: { $in: otherIds.map((id) => new Types.ObjectId(id)) },
        chatId: { $in: mine.map(({ chatId }) => chatId) },
      })
      .toArray();
    const shared = new Set(rows.map((row) => row.userId.toHexString()));
    if (otherIds.includes(userId)) shared.add(userId);
    return shared;
  }
}
