/** The versions of blobs: which contents a file has had, the newest ones of them. */
import { Types, type mongo } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { StoredContent, VersionRecord } from './blob-model.ts';

/** Two uploads of one file at the same time take two numbers; hardly so many meet. */
const NUMBER_TRIES = 20;
const BATCH = 500;

export interface NewVersion {
  fileId: Types.ObjectId;
  projectId: Types.ObjectId;
  content: Pick<StoredContent, '_id' | 'sizeBytes' | 'digest'>;
  mime: string;
  userId: string;
}

export interface VersionStoreDeps {
  versions: mongo.Collection<VersionRecord>;
  /** The contents are named by one version less. */
  release: (contentIds: readonly Types.ObjectId[]) => Promise<void>;
  now: () => number;
}

export class VersionStore {
  readonly #rows: mongo.Collection<VersionRecord>;
  readonly #release: VersionStoreDeps['release'];
  readonly #now: () => number;

  constructor({ versions, release, now }: VersionStoreDeps) {
    this.#rows = versions;
    this.#release = release;
    this.#now = now;
  }

  /** The next version of a file. It counts when the file's row says so; until then it may be dropped. */
  async add({ fileId, projectId, content, mime, userId }: NewVersion): Promise<VersionRecord> {
    for (let tries = 1; ; tries++) {
      const newest = await this.#rows.findOne({ fileId }, { sort: { version: -1 }, projection: { version: 1 } });
      const row: VersionRecord = {
        _id: new Types.ObjectId(),
        fileId,
        projectId,
        version: (newest?.version ?? 0) + 1,
        contentId: content._id,
        mime,
        sizeBytes: content.sizeBytes,
        digest: content.digest,
        createdBy: new Types.ObjectId(userId),
        createdAt: new Date(this.#now()),
      };
      try {
        await this.#rows.insertOne(row);
        return row;
      } catch (error) {
        if (!isDuplicate(error) || tries === NUMBER_TRIES) throw error;
      }
    }
  }

  /** What has not come to count and is tried again: the contents are still wanted. */
  async undo(rows: readonly VersionRecord[]): Promise<void> {
    if (rows.length > 0) await this.#rows.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
  }

  /** Their contents are looked at. */
  async drop(rows: readonly VersionRecord[]): Promise<void> {
    if (rows.length === 0) return;
    await this.undo(rows);
    await this.#release(rows.map(({ contentId }) => contentId));
  }

  at(fileId: Types.ObjectId, version: number): Promise<VersionRecord | null> {
    return this.#rows.findOne({ fileId, version });
  }

  /** A version that counts: of a file that has come to `present`. */
  async find(fileId: Types.ObjectId, versionId: string, present: number): Promise<VersionRecord> {
    const row = await this.#rows.findOne({ _id: new Types.ObjectId(versionId), fileId, version: { $lte: present } });
    if (!row) throw new Fault('not_found', 'There is no such version');
    return row;
  }

  /** The newest first. */
  list(fileId: Types.ObjectId, upTo: number, limit: number): Promise<VersionRecord[]> {
    return this.#rows
      .find({ fileId, version: { $lte: upTo } })
      .sort({ version: -1 })
      .limit(limit)
      .toArray();
  }

  /** What the versions that are kept take together when `present` is the newest. */
  async keptBytes(fileId: Types.ObjectId, present: number): Promise<number> {
    const rows = await this.list(fileId, present, LIMITS.blobVersionsKept);
    return rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Those go that are not kept when `present` is the newest. */
  async prune(fileId: Types.ObjectId, present: number): Promise<void> {
    const rows = await this.list(fileId, present, LIMITS.blobVersionsKept + 1);
    const oldest = rows.at(LIMITS.blobVersionsKept)?.version;
    if (oldest === undefined) return;
    await this.drop(await this.#rows.find({ fileId, version: { $lte: oldest } }).toArray());
  }

  /** Of these files nothing is needed any more. May be repeated. */
  async removeOf(fileIds: readonly Types.ObjectId[]): Promise<void> {
    await this.#removeAll({ fileId: { $in: [...fileIds] } });
  }

  naming(contentId: Types.ObjectId): Promise<VersionRecord[]> {
    return this.#rows.find({ contentId }).toArray();
  }

  async #removeAll(filter: mongo.Filter<VersionRecord>): Promise<void> {
    for (;;) {
      const rows = await this.#rows.find(filter).limit(BATCH).toArray();
      await this.drop(rows);
      if (rows.length < BATCH) return;
    }
  }
}

const isDuplicate = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 11_000;
