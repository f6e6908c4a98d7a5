/**
 * Who is in which chat, as rows that follow the chat's log. Positive answers are remembered for a short while and
 * forgotten at once when a change is heard of; a removal that is under way here already counts.
 */
import { LRUCache } from 'lru-cache';
import { mongo, Types, type Model } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { BatchLoader } from '../../storage/batch-loader.ts';
import { abovePlace, type Place } from './cursor.ts';
import { ACTIVE, type MembersEntry, type MembershipRecord } from './model.ts';
import type { Member, RoleName } from './shapes.ts';

type ObjectId = Types.ObjectId;

const REMEMBERED = 100_000;

/** A member's own marks and positions. */
export type Marks = Partial<Pick<MembershipRecord, 'starred' | 'archived' | 'mutedUntil'>>;

export class Memberships {
  readonly #model: Model<MembershipRecord>;
  readonly #now: () => number;
  readonly #roles = new LRUCache<string, RoleName>({ max: REMEMBERED, ttl: LIMITS.headCompareMs });
  readonly #chatIds = new BatchLoader((userIds) => this.#chatIdsOfAll(userIds));
  /** Removals that are queued but not in the rows yet. */
  readonly #leaving = new Map<string, number>();

  constructor(model: Model<MembershipRecord>, now: () => number) {
    this.#model = model;
    this.#now = now;
  }

  /** The caller's role, or `not_found`: who is not a member may not learn that the chat exists. */
  async require(chatId: string, userId: string): Promise<RoleName> {
    const key = keyOf(chatId, userId);
    const known = this.#roles.get(key);
    if (known && !this.#leaving.has(key)) return known;
    const { role } = await this.get(chatId, userId);
    this.assertStaying(chatId, userId);
    this.#roles.set(key, role);
    return role;
  }

  /** One membership, or `not_found`. */
  async get(chatId: string, userId: string): Promise<MembershipRecord> {
    const row = await this.find(chatId, userId);
    if (row?.state !== 'active') throw notFound();
    return row;
  }

  /** One membership in any state. */
  async find(chatId: string, userId: string): Promise<MembershipRecord | undefined> {
    const row = await this.#model.collection.findOne<MembershipRecord>({
      chatId: new Types.ObjectId(chatId),
      userId: new Types.ObjectId(userId),
    });
    return row ?? undefined;
  }

  /** Synchronous, for the last moment before an append: rejects who is being removed here. */
  assertStaying(chatId: string, userId: string): void {
    if (this.#leaving.has(keyOf(chatId, userId))) throw notFound();
  }

  /** From now on these count as gone on this node; returns how to end that, once the rows say so or it has failed. */
  leaving(chatId: string, userIds: readonly string[]): () => void {
    const keys = userIds.map((userId) => keyOf(chatId, userId));
    for (const key of keys) this.#leaving.set(key, (this.#leaving.get(key) ?? 0) + 1);
    return () => {
      for (const key of keys) {
        const count = (this.#leaving.get(key) ?? 0) - 1;
        if (count > 0) this.#leaving.set(key, count);
        else this.#leaving.delete(key);
        this.#roles.delete(key);
      }
    };
  }

  /** What was remembered of these users may no longer hold. */
  forget(chatId: string, userIds: readonly string[]): void {
    for (const userId of userIds) this.#roles.delete(keyOf(chatId, userId));
  }

  forgetAll(): void {
    this.#roles.clear();
  }

  /** The memberships of a new chat. Repeating it changes nothing. */
  async found(chatId: ObjectId, members: readonly Member[], at: Date): Promise<void> {
    await this.#model.collection.bulkWrite(
      members.map(({ userId, role }) => ({
        updateOne: {
          filter: { chatId, userId: new Types.ObjectId(userId) },
          update: {
            $setOnInsert: {
              state: 'active',
              role,
              joinedAt: at,
              rev: 0,
              changedAt: at,
              lastReadSeq: 0,
              starred: false,
            },
          },
          upsert: true,
        },
      })),
      { ordered: false },
    );
  }

  /** Makes the rows follow a membership entry. Entries may be applied late, in any order and any number of times. */
  async apply(entry: MembersEntry): Promise<void> {
    const { chatId, rev, seq } = entry;
    const changedAt = new Date(this.#now());
    const older = { $lt: rev };
    const setRow = (userId: ObjectId, set: Partial<MembershipRecord>) => ({
      updateOne: { filter: { chatId, userId, rev: older }, update: { $set: { ...set, rev, changedAt } } },
    });
    const writes = [
      ...entry.added.flatMap(({ userId, role }) => [
        {
          updateOne: {
            filter: { chatId, userId },
            update: {
              $setOnInsert: {
                state: 'active' as const,
                role,
                joinedAt: entry.createdAt,
                rev,
                changedAt,
                lastReadSeq: seq,
                lastDeliveredSeq: seq,
                starred: false,
              },
            },
            upsert: true,
          },
        },
        setRow(userId, { state: 'active', role, joinedAt: entry.createdAt, lastReadSeq: seq, lastDeliveredSeq: seq }),
      ]),
      ...entry.removed.map((userId) => setRow(userId, { state: 'left' })),
      ...entry.roles.map(({ userId, role }) => setRow(userId, { role })),
    ];
    if (writes.length === 0) return;
    for (;;) {
      try {
        // In any order: each write is right whether its twin came before or after it.
        await this.#model.collection.bulkWrite(writes, { ordered: false });
        return;
      } catch (error) {
        // Two nodes inserted the same row at once. What the other one wrote may be older: once more.
        if (!(error instanceof mongo.MongoBulkWriteError) || error.code !== 11_000) throw error;
      }
    }
  }

  /** Takes all memberships of a chat out of use, or brings them back. */
  async setChatState(chatId: ObjectId, from: 'active' | 'closed', to: 'active' | 'closed'): Promise<void> {
    await this.#model.collection.updateMany(
      { chatId, state: from },
      { $set: { state: to, changedAt: new Date(this.#now()) } },
    );
  }

  /**
   * Makes the memberships of a deleted chat those that it has when it comes back. `seq`: where its log ends, so that who
   * is new then has nothing unread.
   */
  async setClosed(chatId: ObjectId, members: readonly Member[], seq: number): Promise<void> {
    const at = new Date(this.#now());
    const ids = members.map(({ userId }) => new Types.ObjectId(userId));
    await this.#model.collection.updateMany(
      { chatId, state: 'closed', userId: { $nin: ids } },
      { $set: { state: 'left', changedAt: at } },
    );
    if (members.length === 0) return;
    const positions = { lastReadSeq: seq, lastDeliveredSeq: seq };
    await this.#model.collection.bulkWrite(
      members.flatMap(({ userId: id, role }) => {
        const userId = new Types.ObjectId(id);
        const joined = { state: 'closed' as const, role, joinedAt: at, changedAt: at, ...positions };
        return [
          { updateOne: { filter: { chatId, userId, state: 'closed' }, update: { $set: { role, changedAt: at } } } },
          { updateOne: { filter: { chatId, userId, state: 'left' }, update: { $set: joined } } },
          {
            updateOne: {
              filter: { chatId, userId },
              update: { $setOnInsert: { ...joined, rev: 0, starred: false } },
              upsert: true,
            },
          },
        ];
      }),
    );
  }

  /** Sets a member's own marks; `undefined` removes one. Rejects with `not_found`. */
  async mark(chatId: string, userId: string, marks: { [K in keyof Marks]: Marks[K] | undefined }): Promise<void> {
    const entries = Object.entries(marks);
    const set = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
    const unset = Object.fromEntries(entries.filter(([, value]) => value === undefined).map(([key]) => [key, '']));
    const { matchedCount } = await this.#model.collection.updateOne(
      { chatId: new Types.ObjectId(chatId), userId: new Types.ObjectId(userId), ...ACTIVE },
      {
        ...(Object.keys(set).length > 0 ? { $set: set } : {}),
        ...(Object.keys(unset).length > 0 ? { $unset: unset } : {}),
      },
    );
    if (matchedCount === 0) throw notFound();
  }

  /** The memberships of a user that count. */
  ofUser(userId: string, state: MembershipRecord['state'] = 'active'): Promise<MembershipRecord[]> {
    return this.#model.collection.find<MembershipRecord>({ userId: new Types.ObjectId(userId), state }).toArray();
  }

  /** The ids of the chats that a user is in, read together with those of others who ask at the same time. */
  async chatIdsOf(userId: string): Promise<ObjectId[]> {
    return (await this.#chatIds.get(userId)) ?? [];
  }

  /** Those of the users in one chat, in any state. */
  ofUsersIn(chatId: ObjectId, userIds: readonly string[]): Promise<MembershipRecord[]> {
    return this.#model.collection
      .find<MembershipRecord>({ chatId, userId: { $in: userIds.map((id) => new Types.ObjectId(id)) } })
      .toArray();
  }

  /** A page of members, longest-standing first, after a place that an earlier page gave. */
  page(chatId: ObjectId, limit: number, after?: Place): Promise<MembershipRecord[]> {
    return this.#model.collection
      .find<MembershipRecord>({ chatId, ...ACTIVE, ...(after ? abovePlace('joinedAt', after) : {}) })
      .sort({ joinedAt: 1, _id: 1 })
      .limit(limit)
      .toArray();
  }

  /** All members. */
  active(chatId: ObjectId): Promise<MembershipRecord[]> {
    return this.#model.collection
      .find<MembershipRecord>({ chatId, ...ACTIVE })
      .sort({ userId: 1 })
      .toArray();
  }

  /** Ids of all members. */
  async userIds(chatId: ObjectId): Promise<string[]> {
    const rows = await this.#model.collection
      .find<Pick<MembershipRecord, 'userId'>>({ chatId, ...ACTIVE }, { projection: { _id: 0, userId: 1 } })
      .toArray();
    return rows.map(({ userId }) => userId.toHexString());
  }

  count(chatId: ObjectId): Promise<number> {
    return this.#model.collection.countDocuments({ chatId, ...ACTIVE });
  }

  /** Rows whose role or state has changed since, on any node. */
  changedSince(at: Date): Promise<MembershipRecord[]> {
    return this.#model.collection.find<MembershipRecord>({ changedAt: { $gte: at } }).toArray();
  }

  /** The longest-standing members of the chats together, at most `limit` rows. */
  async ofChats(chatIds: readonly ObjectId[], limit: number): Promise<Map<string, Member[]>> {
    const byChat = new Map<string, Member[]>();
    if (chatIds.length === 0) return byChat;
    const rows = await this.#model.collection
      .find<MembershipRecord>({ chatId: { $in: [...chatIds] }, ...ACTIVE })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    for (const { chatId, userId, role } of rows) {
      const key = chatId.toHexString();
      const members = byChat.get(key) ?? [];
      byChat.set(key, members);
      members.push({ userId: userId.toHexString(), role });
    }
    return byChat;
  }

  async #chatIdsOfAll(userIds: readonly string[]): Promise<Map<string, ObjectId[]>> {
    const rows = await this.#model.collection
      .find<Pick<MembershipRecord, 'userId' | 'chatId'>>(
        { userId: { $in: userIds.map((id) => new Types.ObjectId(id)) }, ...ACTIVE },
        { projection: { _id: 0, userId: 1, chatId: 1 } },
      )
      .toArray();
    const byUser = new Map<string, ObjectId[]>();
    for (const { userId, chatId } of rows) {
      const key = userId.toHexString();
      const chatIds = byUser.get(key) ?? [];
      byUser.set(key, chatIds);
      chatIds.push(chatId);
    }
    return byUser;
  }

  /** Which of the chats the user is a member of. */
  async among(chatIds: readonly string[], userId: string): Promise<string[]> {
    const rows = await this.#model.collection
      .find<MembershipRecord>({
        userId: new Types.ObjectId(userId),
        chatId: { $in: chatIds.map((id) => new Types.ObjectId(id)) },
        ...ACTIVE,
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
        ...ACTIVE,
      })
      .toArray();
    const shared = new Set(rows.map((row) => row.userId.toHexString()));
    if (otherIds.includes(userId)) shared.add(userId);
    return shared;
  }
}

const keyOf = (chatId: string, userId: string): string => `${chatId}:${userId}`;
const notFound = (): Fault => new Fault('not_found', 'There is no such chat');
