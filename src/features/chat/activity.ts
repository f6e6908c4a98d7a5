/**
 * What follows from a message and may lag behind it: the chat's place in lists and the sender's own read position.
 * Written in the background, many at a time; a crash loses at most the last moments, which readers repair.
 */
import { Types, type Model } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import type { ChatRecord, EntryRecord, MembershipRecord } from './model.ts';

/** With many chats under way these writes are as many as chats and senders together, each time. */
const WRITE_EVERY_MS = 1_000;

interface Read {
  chatId: Types.ObjectId;
  userId: Types.ObjectId;
  seq: number;
  at: Date;
}

export class Activity {
  readonly #chats: Model<ChatRecord>;
  readonly #memberships: Model<MembershipRecord>;
  readonly #log: Log;
  #lastActivity = new Map<string, Date>();
  #reads = new Map<string, Read>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(models: { chats: Model<ChatRecord>; memberships: Model<MembershipRecord> }, log: Log) {
    this.#chats = models.chats;
    this.#memberships = models.memberships;
    this.#log = log;
  }

  /** Notes a message that became durable. */
  note(entry: EntryRecord): void {
    const key = entry.chatId.toHexString();
    this.#lastActivity.set(key, entry.createdAt);
    if (entry.userId) {
      const { chatId, userId, seq, createdAt: at } = entry;
      this.#reads.set(`${key}:${userId.toHexString()}`, { chatId, userId, seq, at });
    }
    this.#schedule();
  }

  /** Repairs a chat whose cache is behind its log. */
  repair(chatId: Types.ObjectId, at: Date): void {
    this.#lastActivity.set(chatId.toHexString(), at);
    this.#schedule();
  }

  /** Writes what is noted. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_EVERY_MS).unref();
  }

  async #write(): Promise<void> {
    const activity = this.#lastActivity;
    const reads = this.#reads;
    this.#lastActivity = new Map();
    this.#reads = new Map();
    try {
      if (activity.size > 0) {
        await this.#chats.collection.bulkWrite(
          [...activity].map(([id, at]) => ({
            updateOne: { filter: { _id: new Types.ObjectId(id) }, update: { $max: { lastActivityAt: at } } },
          })),
          { ordered: false },
        );
      }
      if (reads.size > 0) {
        await this.#memberships.collection.bulkWrite(
          [...reads.values()].map(({ chatId, userId, seq, at }) => ({
            updateOne: { filter: { chatId, userId }, update: { $max: { lastReadSeq: seq, lastReadAt: at } } },
          })),
          { ordered: false },
        );
      }
    } catch (error) {
      this.#log.warn('chat activity could not be written; lists repair it', { error });
    }
  }
}
