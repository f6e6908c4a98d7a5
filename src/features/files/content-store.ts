/** The life of contents: reserved, stored, named by versions, released. */
import { createHash } from 'node:crypto';
import { Types, type mongo } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { atMost } from '../uploads/index.ts';
import { contentKeyOf, type ContentRecord, type PlannedUpload, type StoredContent } from './blob-model.ts';

/** No upload takes longer, nor does what follows from it. */
const UPLOAD_MS = 3_600_000;
/** Looked at again after this, in case a crash has swallowed the word that nobody needs it any more. */
const LOOK_AGAIN_MS = 30 * 24 * 3_600_000;
const UNKNOWN = 'application/octet-stream';

export interface ContentStoreDeps {
  contents: mongo.Collection<ContentRecord>;
  blobs: Blobs;
  /** Rejects with `quota_exceeded` when what the user has, and what is pending, is more than the user may have. */
  requireRoom: (ownerId: string) => Promise<void>;
  now: () => number;
  /** Something has been released: there is something to collect. */
  onReleased: () => void;
}

export interface PutOptions {
  mostBytes: number;
  /** What it probably has. */
  expectedBytes?: number | undefined;
  isReserved?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export class ContentStore {
  readonly #rows: mongo.Collection<ContentRecord>;
  readonly #blobs: Blobs;
  readonly #deps: ContentStoreDeps;

  constructor(deps: ContentStoreDeps) {
    this.#rows = deps.contents;
    this.#blobs = deps.blobs;
    this.#deps = deps;
  }

  /**
   * A row for an upload that begins, or `quota_exceeded`. It is counted before it is allowed: several at once may all be
   * refused where one would have fitted, but they never get more than the quota together.
   */
  async reserve(
    ownerId: string,
    mostBytes: number,
    { id = new Types.ObjectId(), upload }: { id?: Types.ObjectId; upload?: PlannedUpload } = {},
  ): Promise<ContentRecord> {
    const row = await this.#insert(ownerId, { _id: id, pendingBytes: mostBytes, ...(upload ? { upload } : {}) });
    try {
      await this.#deps.requireRoom(ownerId);
    } catch (error) {
      await this.#rows.deleteOne({ _id: id });
      throw error;
    }
    return row;
  }

  /** Stores content of its own; of `isReserved` ones somebody has reserved the space for several together. */
  async put(
    ownerId: string,
    content: AsyncIterable<Uint8Array>,
    { mostBytes, expectedBytes = mostBytes, isReserved = false, signal }: PutOptions,
  ): Promise<StoredContent> {
    const { _id } = isReserved
      ? await this.#insert(ownerId, {})
      : await this.reserve(ownerId, Math.min(mostBytes, expectedBytes));
    try {
      return await this.#fill(_id, content, { mostBytes, isReserved, signal });
    } catch (error) {
      await this.release([_id]);
      throw error;
    }
  }

  find(id: Types.ObjectId): Promise<ContentRecord | null> {
    return this.#rows.findOne({ _id: id });
  }

  /** Keeps contents that are there for as long as it takes to name them once more; `conflict` if one is going. */
  async pin(ids: readonly Types.ObjectId[]): Promise<void> {
    const { matchedCount } = await this.#rows.updateMany(
      { _id: { $in: [...ids] }, state: 'stored' },
      { $set: { dueAt: this.#after(UPLOAD_MS) } },
    );
    if (matchedCount < ids.length) throw new Fault('conflict', 'That version is being removed');
  }

  /** The file that a planned upload has become; whoever finishes it again gets the same. */
  async becomes(id: Types.ObjectId, fileId: Types.ObjectId): Promise<void> {
    await this.#rows.updateOne({ _id: id }, { $set: { 'upload.fileId': fileId } });
  }

  /** What was reserved is not needed any more; the row stays until it is due. */
  async free(id: Types.ObjectId): Promise<void> {
    await this.#rows.updateOne({ _id: id }, { $unset: { pendingBytes: '' } });
  }

  /** Files have them now, and count them. */
  async settle(ids: readonly Types.ObjectId[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#rows.updateMany(
      { _id: { $in: [...ids] }, state: 'stored' },
      { $unset: { pendingBytes: '' }, $set: { dueAt: this.#after(LOOK_AGAIN_MS) } },
    );
  }

  /** Something that named them does so no more: they are looked at now. */
  async release(ids: readonly Types.ObjectId[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#rows.updateMany({ _id: { $in: [...ids] } }, { $set: { dueAt: new Date(this.#deps.now()) } });
    this.#deps.onReleased();
  }

  async body(id: Types.ObjectId, range?: { start: number; end: number }) {
    return (await this.#blobs.get(contentKeyOf(id), range))?.body;
  }

  /** What uploads that are no file's yet take of somebody's space. */
  async pendingBytes(ownerId: string): Promise<number> {
    const [sum] = await this.#rows
      .aggregate<{ bytes: number }>([
        { $match: { ownerId: new Types.ObjectId(ownerId), pendingBytes: { $exists: true } } },
        { $group: { _id: null, bytes: { $sum: '$pendingBytes' } } },
      ])
      .toArray();
    return sum?.bytes ?? 0;
  }

  due(limit: number): Promise<ContentRecord[]> {
    return this.#rows
      .find({ dueAt: { $lte: new Date(this.#deps.now()) } })
      .sort({ dueAt: 1 })
      .limit(limit)
      .toArray();
  }

  /** It is needed: looked at again later, if nobody has changed it meanwhile. */
  async keep({ _id, state, dueAt }: ContentRecord): Promise<void> {
    await this.#rows.updateOne(
      { _id, state, dueAt },
      { $unset: { pendingBytes: '' }, $set: { dueAt: this.#after(LOOK_AGAIN_MS) } },
    );
  }

  /** It could not be dealt with now, whatever its state has become by that. */
  async postpone({ _id, dueAt }: ContentRecord, ms: number): Promise<void> {
    await this.#rows.updateOne({ _id, dueAt }, { $set: { dueAt: this.#after(ms) } });
  }

  /** Nobody can name it from now on, and it goes; not if somebody has changed it meanwhile. */
  async remove({ _id, state, dueAt }: ContentRecord): Promise<void> {
    const { matchedCount } = await this.#rows.updateOne(
      { _id, state, dueAt },
      { $set: { state: 'released' }, $unset: { pendingBytes: '' } },
    );
    if (matchedCount === 0) return;
    await this.#blobs.remove(contentKeyOf(_id));
    await this.#rows.deleteOne({ _id, state: 'released' });
  }

  async #insert(
    ownerId: string,
    facts: Partial<Pick<ContentRecord, '_id' | 'pendingBytes' | 'upload'>>,
  ): Promise<ContentRecord> {
    const row: ContentRecord = {
      _id: new Types.ObjectId(),
      ...facts,
      ownerId: new Types.ObjectId(ownerId),
      state: 'uploading',
      createdAt: new Date(this.#deps.now()),
      dueAt: this.#after(UPLOAD_MS),
    };
    await this.#rows.insertOne(row);
    return row;
  }

  async #fill(
    id: Types.ObjectId,
    content: AsyncIterable<Uint8Array>,
    { mostBytes, isReserved, signal }: Pick<PutOptions, 'mostBytes' | 'isReserved' | 'signal'>,
  ): Promise<StoredContent> {
    const hash = createHash('sha256');
    const hashed = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of atMost(content, mostBytes)) {
        hash.update(chunk);
        yield chunk;
      }
    };
    const options = { contentType: UNKNOWN, ...(signal ? { signal } : {}) };
    const { sizeBytes } = await this.#blobs.put(contentKeyOf(id), hashed(), options);
    const facts = { sizeBytes, digest: hash.digest('base64url'), ...(isReserved ? {} : { pendingBytes: sizeBytes }) };
    const row = await this.#rows.findOneAndUpdate(
      { _id: id, state: 'uploading' },
      { $set: { ...facts, state: 'stored', dueAt: this.#after(UPLOAD_MS) } },
      { returnDocument: 'after' },
    );
    if (!row) throw new Fault('unavailable', 'The upload took too long');
    return row as StoredContent;
  }

  #after(ms: number): Date {
    return new Date(this.#deps.now() + ms);
  }
}
