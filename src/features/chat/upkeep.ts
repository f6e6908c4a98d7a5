/**
 * What time and departures do to chats: entries that are older than a chat keeps are removed from its log's beginning,
 * chats that were deleted long ago are removed with all that refers to them, and whose account ends leaves.
 * Everything here may be cut off and done again.
 */
import { Types } from 'mongoose';
import { DAY_MS, Fault, HOUR_MS, LIMITS } from '../../protocol/index.ts';
import type { ChatLifecycle } from './chat-lifecycle.ts';
import type { ChatLog } from './chat-log.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord, EntryRecord } from './model.ts';

type ObjectId = Types.ObjectId;
type Retained = Pick<ChatRecord, '_id' | 'settings' | 'floorRev'>;

export interface ChatUpkeepDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  members: MemberChanges;
  lifecycle: ChatLifecycle;
  /** The messages are gone: so are their uploads. */
  releaseAttachments: (messageIds: readonly string[]) => Promise<void>;
  now: () => number;
}

/** Entries of one removal. */
const BATCH = 500;
/** Chats of one page. */
const PAGE = 100;
/** Nodes' clocks differ; a chat that can still be restored anywhere is not removed. */
const AFTER_RESTORE_MS = HOUR_MS;

export class ChatUpkeep {
  readonly #deps: ChatUpkeepDeps;

  constructor(deps: ChatUpkeepDeps) {
    this.#deps = deps;
  }

  /** Removes what chats keep no longer. `done` is told of each chat, and `after` begins behind one that was done before. */
  async retain(signal: AbortSignal, after: string | undefined, done: (chatId: string) => Promise<void>): Promise<void> {
    for (let last = after === undefined ? undefined : new Types.ObjectId(after); ;) {
      const chats = await this.#deps.models.chats.collection
        .find<Retained>(
          { 'settings.retentionDays': { $exists: true }, ...(last ? { _id: { $gt: last } } : {}) },
          { projection: { settings: 1, floorRev: 1 } },
        )
        .sort({ _id: 1 })
        .limit(PAGE)
        .toArray();
      for (const chat of chats) {
        signal.throwIfAborted();
        await this.#trim(chat, signal);
        await done(chat._id.toHexString());
      }
      last = chats.at(-1)?._id;
      if (chats.length < PAGE) return;
    }
  }

  /** The chats that nobody can restore any more, at most a page of them. */
  async due(): Promise<string[]> {
    const before = new Date(this.#deps.now() - LIMITS.restoreDays * DAY_MS - AFTER_RESTORE_MS);
    const chats = await this.#deps.models.chats.collection
      .find<Pick<ChatRecord, '_id'>>({ status: 'deleted', deletedAt: { $lte: before } }, { projection: { _id: 1 } })
      .sort({ deletedAt: 1 })
      .limit(PAGE)
      .toArray();
    return chats.map(({ _id }) => _id.toHexString());
  }

  /** Removes a deleted chat for good; the chat itself last, so that whoever is cut off is followed. */
  async purge(chatId: string, signal: AbortSignal): Promise<void> {
    const { models } = this.#deps;
    const id = new Types.ObjectId(chatId);
    await this.#removeEntries(id, Number.MAX_SAFE_INTEGER, signal);
    await models.memberships.collection.deleteMany({ chatId: id });
    await models.chats.collection.deleteOne({ _id: id, status: 'deleted' });
  }

  /** The user leaves every chat; those of projects follow when the user leaves these. Resolves with those where nobody is left, which are deleted then. */
  async depart(userId: string, signal: AbortSignal): Promise<string[]> {
    const { models, memberships, members, lifecycle, now } = this.#deps;
    const abandoned: string[] = [];
    const rows = await memberships.ofUser(userId);
    const ofProjects = await models.chats.collection
      .find<Pick<ChatRecord, '_id'>>(
        { _id: { $in: rows.map(({ chatId }) => chatId) }, projectId: { $exists: true } },
        { projection: { _id: 1 } },
      )
      .toArray();
    const kept = new Set(ofProjects.map(({ _id }) => _id.toHexString()));
    for (const { chatId: id } of rows) {
      signal.throwIfAborted();
      if (kept.has(id.toHexString())) continue;
      const chatId = id.toHexString();
      try {
        if (await members.depart(chatId, userId)) continue;
        await lifecycle.delete(chatId, userId);
        abandoned.push(chatId);
      } catch (error) {
        // Deleted meanwhile: its memberships are closed, and follow below.
        if (!(error instanceof Fault && error.code === 'not_found')) throw error;
      }
    }
    // Deleted chats: those that others restore are restored without this member, the others are nobody's.
    for (const { chatId } of await memberships.ofUser(userId, 'closed')) {
      if ((await models.memberships.collection.countDocuments({ chatId, state: 'closed' })) === 1) {
        abandoned.push(chatId.toHexString());
      }
    }
    await models.memberships.collection.updateMany(
      { userId: new Types.ObjectId(userId), state: 'closed' },
      { $set: { state: 'left', changedAt: new Date(now()) } },
    );
    return [...new Set(abandoned)];
  }

  async #trim(chat: Retained, signal: AbortSignal): Promise<void> {
    const { models, members, now } = this.#deps;
    const { _id, floorRev = 0 } = chat;
    const { retentionDays = 0 } = chat.settings ?? {};
    const floor = await this.#floor(_id, floorRev, new Date(now() - retentionDays * DAY_MS));
    // Whoever asks is told to begin anew before anything is missing.
    if (floor > floorRev) await models.chats.collection.updateOne({ _id }, { $max: { floorRev: floor } });
    if (floor === 0) return;
    await members.settlePending(_id);
    await this.#removeEntries(_id, floor, signal);
  }

  /** The last entry older than that. The log's end stays in any case: positions are read from it. */
  async #floor(chatId: ObjectId, known: number, before: Date): Promise<number> {
    const { rev: head } = await this.#deps.log.head(chatId);
    let [low, high] = [known, head - 1];
    // Times never go back along the log.
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const entry = await this.#deps.models.entries.collection.findOne<Pick<EntryRecord, 'createdAt'>>(
        { chatId, rev: middle },
        { projection: { createdAt: 1 } },
      );
      if (!entry || entry.createdAt < before) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  async #removeEntries(chatId: ObjectId, upTo: number, signal: AbortSignal): Promise<void> {
    const { collection } = this.#deps.models.entries;
    for (;;) {
      signal.throwIfAborted();
      const rows = await collection
        .find<{ _id: ObjectId; attachments?: unknown[] }>(
          { chatId, rev: { $lte: upTo } },
          { projection: { attachments: 1 } },
        )
        .sort({ rev: 1 })
        .limit(BATCH)
        .toArray();
      if (rows.length === 0) return;
      const carrying = rows.filter(({ attachments = [] }) => attachments.length > 0);
      // Before the rows: nobody would know of them afterwards.
      if (carrying.length > 0) await this.#deps.releaseAttachments(carrying.map(({ _id }) => _id.toHexString()));
      await collection.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
    }
  }
}
