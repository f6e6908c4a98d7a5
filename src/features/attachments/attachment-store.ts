/** The life of attachments: reserved, stored, claimed by a message, released. */
import { Types, type Connection, type mongo } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import {
  createAttachmentModel,
  infoOf,
  type AttachmentFacts,
  type AttachmentInfo,
  type AttachmentKind,
  type AttachmentRecord,
  type StoredAttachment,
} from './model.ts';

/** No upload takes longer: the HTTP server gives a request five minutes. */
const UPLOAD_MS = 3_600_000;
/** Rows that one update takes. */
const BATCH = 500;

export interface AttachmentUse {
  chatId: string;
  messageId: string;
  /** All must be of this kind. */
  kind?: AttachmentKind;
}

export interface AttachmentStoreDeps {
  connection: Connection;
  now: () => number;
  /** Rows have been released: there is something to collect. */
  onReleased: () => void;
}

export class AttachmentStore {
  readonly #rows: mongo.Collection<AttachmentRecord>;
  readonly #now: () => number;
  readonly #onReleased: () => void;

  constructor({ connection, now, onReleased }: AttachmentStoreDeps) {
    createAttachmentModel(connection);
    this.#rows = connection.collection<AttachmentRecord>('attachments');
    this.#now = now;
    this.#onReleased = onReleased;
  }

  /**
   * A row for an upload that begins, or `quota_exceeded`. It is counted before it is allowed: several at once may all be
   * refused where one would have fitted, but they never get more than the quota together.
   */
  async reserve(userId: string, name: string, mostBytes: number): Promise<Types.ObjectId> {
    const user = new Types.ObjectId(userId);
    const row: AttachmentRecord = {
      _id: new Types.ObjectId(),
      userId: user,
      state: 'uploading',
      name,
      chargedBytes: chargeOf(mostBytes),
      createdAt: new Date(this.#now()),
      dueAt: this.#after(UPLOAD_MS),
    };
    await this.#rows.insertOne(row);
    const [sum] = await this.#rows
      .aggregate<{ bytes: number }>([
        { $match: { userId: user } },
        { $group: { _id: null, bytes: { $sum: '$chargedBytes' } } },
      ])
      .toArray();
    if ((sum?.bytes ?? 0) <= LIMITS.attachmentQuotaBytes) return row._id;
    await this.#rows.deleteOne({ _id: row._id });
    throw new Fault('quota_exceeded', 'Your attachments take all the space there is for them', {
      detail: { quotaBytes: LIMITS.attachmentQuotaBytes },
    });
  }

  /** The content is stored. */
  async finish(id: Types.ObjectId, facts: AttachmentFacts): Promise<StoredAttachment> {
    const row = await this.#rows.findOneAndUpdate(
      { _id: id, state: 'uploading' },
      {
        $set: {
          ...facts,
          state: 'ready',
          chargedBytes: chargeOf(facts.sizeBytes),
          dueAt: this.#after(LIMITS.attachmentUnusedMs),
        },
      },
      { returnDocument: 'after' },
    );
    if (!row) throw new Fault('unavailable', 'The upload took too long');
    return row as StoredAttachment;
  }

  /** One whose content can be read. */
  async find(id: string): Promise<StoredAttachment | undefined> {
    const row = await this.#rows.findOne({ _id: new Types.ObjectId(id), state: { $in: ['ready', 'used'] } });
    return (row as StoredAttachment | null) ?? undefined;
  }

  /**
   * Gives the user's uploads to a message, which may claim them again. The message need not exist yet: if it never does,
   * they go. Rejects with `not_found` if one is not the user's, with `invalid` if another message has it.
   */
  async claim(userId: string, ids: readonly string[], use: AttachmentUse): Promise<AttachmentInfo[]> {
    const unique = [...new Set(ids)].map((id) => new Types.ObjectId(id));
    const rows = await this.#rows
      .find({ _id: { $in: unique }, userId: new Types.ObjectId(userId), state: { $in: ['ready', 'used'] } })
      .toArray();
    const byId = new Map(rows.map((row) => [row._id.toHexString(), row as StoredAttachment]));
    if (byId.size < unique.length) throw missing();
    const [chatId, messageId] = [new Types.ObjectId(use.chatId), new Types.ObjectId(use.messageId)];
    if (rows.some((row) => row.state === 'used' && !row.messageId?.equals(messageId))) {
      throw wrong('another message has one of them already');
    }
    if (use.kind !== undefined && rows.some(({ kind }) => kind !== use.kind)) {
      throw wrong(`must all be of kind ${use.kind}`);
    }
    const { matchedCount } = await this.#rows.bulkWrite(
      unique.map((_id) => ({
        updateOne: {
          filter: { _id, $or: [{ state: 'ready' }, { state: 'used', messageId }] },
          update: { $set: { state: 'used', chatId, messageId, dueAt: this.#after(LIMITS.attachmentUnusedMs) } },
        },
      })),
    );
    // What has been claimed stays so: the message may be sent again with what is left.
    if (matchedCount < unique.length) throw missing();
    return ids.map((id) => infoOf(byId.get(id) as StoredAttachment));
  }

  /** The upload has failed, or is not wanted. */
  async drop(id: Types.ObjectId): Promise<void> {
    await this.#release({ _id: id });
  }

  /** The messages are gone. */
  async release(messageIds: readonly string[]): Promise<void> {
    for (let i = 0; i < messageIds.length; i += BATCH) {
      const ids = messageIds.slice(i, i + BATCH).map((id) => new Types.ObjectId(id));
      await this.#release({ messageId: { $in: ids } });
    }
  }

  async releaseOfChat(chatId: string): Promise<void> {
    await this.#releaseAll({ chatId: new Types.ObjectId(chatId) });
  }

  /** Those that no message has claimed: messages of an ended account stay with the others, and what they carry. */
  async releaseOfUser(userId: string): Promise<void> {
    await this.#releaseAll({ userId: new Types.ObjectId(userId), state: { $in: ['uploading', 'ready'] } });
  }

  /** Those whose time has come, longest due first. */
  due(limit: number): Promise<AttachmentRecord[]> {
    return this.#rows
      .find({ dueAt: { $lte: new Date(this.#now()) } })
      .sort({ dueAt: 1 })
      .limit(limit)
      .toArray();
  }

  /** It is needed: looked at again later, if nobody has changed it meanwhile. */
  async keep({ _id, state, dueAt }: AttachmentRecord, ms: number): Promise<void> {
    await this.#rows.updateOne({ _id, state, dueAt }, { $set: { dueAt: this.#after(ms) } });
  }

  /** It could not be dealt with now, whatever its state has become by that. */
  async postpone({ _id, dueAt }: AttachmentRecord, ms: number): Promise<void> {
    await this.#rows.updateOne({ _id, dueAt }, { $set: { dueAt: this.#after(ms) } });
  }

  /** Nobody can claim or read it from now on; false if somebody has changed it meanwhile. */
  async condemn({ _id, state, dueAt }: AttachmentRecord): Promise<boolean> {
    const { matchedCount } = await this.#rows.updateOne({ _id, state, dueAt }, { $set: { state: 'released' } });
    return matchedCount > 0;
  }

  /** The blob is gone. */
  async forget(id: Types.ObjectId): Promise<void> {
    await this.#rows.deleteOne({ _id: id, state: 'released' });
  }

  /** Bounded updates, however many there are. */
  async #releaseAll(filter: mongo.Filter<AttachmentRecord>): Promise<void> {
    for (;;) {
      const rows = await this.#rows
        .find({ state: { $ne: 'released' }, ...filter }, { projection: { _id: 1 } })
        .limit(BATCH)
        .toArray();
      if (rows.length === 0) return;
      await this.#release({ ...filter, _id: { $in: rows.map(({ _id }) => _id) } });
    }
  }

  async #release(filter: mongo.Filter<AttachmentRecord>): Promise<void> {
    const { modifiedCount } = await this.#rows.updateMany(filter, {
      $set: { state: 'released', dueAt: new Date(this.#now()) },
    });
    if (modifiedCount > 0) this.#onReleased();
  }

  #after(ms: number): Date {
    return new Date(this.#now() + ms);
  }
}

const chargeOf = (bytes: number): number => Math.max(bytes, LIMITS.attachmentLeastBytes);

const missing = (): Fault =>
  new Fault('not_found', 'There is no such attachment', {
    detail: [{ path: 'attachmentIds', message: "must be the caller's own uploads" }],
  });

const wrong = (message: string): Fault =>
  new Fault('invalid', 'The attachments cannot be used', { detail: [{ path: 'attachmentIds', message }] });
