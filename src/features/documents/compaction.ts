/**
 * Puts a snapshot in place of a document's older updates. One node at a time does it, under a lease; one that was thought
 * dead and comes back cannot write over a newer snapshot. Rows go later than they are covered (`ROW_KEPT_MS`), by which
 * time no node can hold their places for free.
 */
import { randomBytes } from 'node:crypto';
import { mongo, trusted, Types } from 'mongoose';
import { fenceFilter, type Leases } from '../../cluster/index.ts';
import { LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { DocumentModels, SnapshotRecord } from './model.ts';
import type { StoredSnapshot } from './stored-document.ts';
import { fromClaims, ROW_KEPT_MS } from './update-log.ts';

export interface CompactionDeps {
  models: DocumentModels;
  blobs: Blobs;
  leases: Leases;
  now: () => number;
}

export interface WholeDocument extends StoredSnapshot {
  authors: ReadonlyMap<number, string>;
}

export class Compaction {
  readonly #deps: CompactionDeps;

  constructor(deps: CompactionDeps) {
    this.#deps = deps;
  }

  /** Stores what `whole` gives as the document's snapshot. False where another node is at it or was faster. */
  async run(docId: string, whole: () => Promise<WholeDocument>): Promise<WholeDocument | undefined> {
    const lease = await this.#deps.leases.tryAcquire(`document:${docId}`);
    if (!lease) return undefined;
    try {
      const document = await whole();
      const isStored = await this.#store(docId, document, lease);
      await this.#removeCovered(docId, document.n);
      return isStored ? document : undefined;
    } finally {
      await lease.release();
    }
  }

  async #store(docId: string, document: WholeDocument, lease: { fence: number }): Promise<boolean> {
    const { models, blobs, now } = this.#deps;
    const { n, bytes, stateVector, authors } = document;
    const _id = new Types.ObjectId(docId);
    const isLarge = bytes.byteLength > LIMITS.documentSnapshotRowBytes;
    const blobKey = isLarge ? `documents/${docId}/${n}-${randomBytes(6).toString('hex')}` : undefined;
    if (blobKey !== undefined) {
      await blobs.put(blobKey, bytes, { contentType: 'application/octet-stream', sizeBytes: bytes.byteLength });
    }
    const content = blobKey === undefined ? { bytes: new mongo.Binary(bytes) } : { blobKey };
    const record: Omit<SnapshotRecord, '_id'> = {
      ...content,
      n,
      sizeBytes: bytes.byteLength,
      stateVector: new mongo.Binary(stateVector),
      claims: fromClaims(authors),
      fence: lease.fence,
      at: new Date(now()),
    };
    try {
      const former = await models.snapshots.collection.findOneAndUpdate(
        { _id, n: trusted({ $lt: n }), ...fenceFilter(lease) },
        { $set: record, $unset: isLarge ? { bytes: 1 } : { blobKey: 1 } },
        { upsert: true, returnDocument: 'before' },
      );
      const formerKey = (former as unknown as SnapshotRecord | null)?.blobKey;
      if (formerKey !== undefined) await blobs.remove(formerKey);
      return true;
    } catch (error) {
      // There is a snapshot that the filter did not let through: a newer one.
      if (duplicateIndexOf(error) === undefined) throw error;
      if (blobKey !== undefined) await blobs.remove(blobKey);
      return false;
    }
  }

  async #removeCovered(docId: string, n: number): Promise<void> {
    const { models, now } = this.#deps;
    await models.updates.collection.deleteMany({
      docId: new Types.ObjectId(docId),
      n: trusted({ $lte: n }),
      at: trusted({ $lt: new Date(now() - ROW_KEPT_MS) }),
    });
  }
}
