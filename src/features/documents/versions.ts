/**
 * What documents were: versions that somebody named, and those that are kept by themselves while a document is written.
 * Each is the whole state, so it depends neither on the log nor on other versions.
 */
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { LRUCache } from 'lru-cache';
import { mongo, Types, type Model } from 'mongoose';
import * as Y from 'yjs';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { belowPlace, derivedId, parseCursor, toCursor } from '../chat/index.ts';
import { CONTENT } from './check-update.ts';
import type { Documents } from './documents.ts';
import type { VersionRecord } from './version-model.ts';
import type { DocumentVersion } from './version-operations.ts';

export interface VersionsDeps {
  model: Model<VersionRecord>;
  documents: Pick<Documents, 'read'>;
  blobs: Blobs;
  log: Log;
  now: () => number;
}

/** Documents of which is remembered that they have their automatic version of the present interval. */
const REMEMBERED = 50_000;
/** Without the state. */
const HEAD = { projection: { bytes: 0 } } as const;
/** What goes when there are too many. */
const AUTOMATIC = ['automatic', 'before-restore'] as const;

type New = Pick<VersionRecord, '_id' | 'kind'> & { name?: string; createdBy?: string };

export class Versions {
  readonly #deps: VersionsDeps;
  /** The last interval whose automatic version this node knows of, by document. */
  readonly #kept = new LRUCache<string, number>({ max: REMEMBERED });
  readonly #saving = new Set<Promise<void>>();

  constructor(deps: VersionsDeps) {
    this.#deps = deps;
  }

  /**
   * The document has been written on this node. With the first change of an interval what it is by then is kept, once
   * over all nodes: the version's id follows from document and interval.
   */
  noteWritten(fileId: string): void {
    const interval = Math.floor(this.#deps.now() / LIMITS.documentVersionEveryMs);
    if (this.#kept.get(fileId) === interval) return;
    this.#kept.set(fileId, interval);
    const saving: Promise<void> = this.#keep(fileId, interval)
      .catch((error: unknown) => {
        this.#kept.delete(fileId);
        // Whoever has removed the document meanwhile wants no version of it.
        if (error instanceof Fault && error.code === 'not_found') return;
        this.#deps.log.warn('a version of a document could not be kept; the next change tries again', {
          documentId: fileId,
          error,
        });
      })
      .finally(() => this.#saving.delete(saving));
    this.#saving.add(saving);
  }

  /** Resolves when nothing is being kept any more. */
  async drain(): Promise<void> {
    await Promise.all(this.#saving);
  }

  /** Keeps what the document is now, under a name. */
  async saveNamed(fileId: string, userId: string, name: string, clientId?: string): Promise<DocumentVersion> {
    const { model } = this.#deps;
    const _id = clientId === undefined ? new Types.ObjectId() : derivedId(userId, 'doc:save-version', fileId, clientId);
    const first = await model.collection.findOne<VersionRecord>({ _id }, HEAD);
    if (first) return toVersion(first);
    const count = await model.collection.countDocuments({ docId: new Types.ObjectId(fileId), kind: 'named' });
    if (count >= LIMITS.documentVersionsNamed) {
      throw new Fault('quota_exceeded', `A file has at most ${LIMITS.documentVersionsNamed} named versions`);
    }
    return this.#save(fileId, { _id, kind: 'named', name, createdBy: userId });
  }

  /** Keeps what the document is now, before somebody replaces it. */
  async saveBefore(fileId: string, userId: string): Promise<DocumentVersion> {
    const version = await this.#save(fileId, { _id: new Types.ObjectId(), kind: 'before-restore', createdBy: userId });
    await this.#prune(fileId);
    return version;
  }

  /** The newest first. */
  async list(
    fileId: string,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
  ): Promise<{ items: DocumentVersion[]; next: string | null }> {
    const rows = await this.#deps.model.collection
      .find<VersionRecord>(
        {
          docId: new Types.ObjectId(fileId),
          ...(cursor === undefined ? {} : belowPlace('createdAt', parseCursor(cursor))),
        },
        HEAD,
      )
      .sort({ createdAt: -1, _id: -1 })
      .limit(limit + 1)
      .toArray();
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      items: page.map(toVersion),
      next: rows.length > limit && last ? toCursor({ at: last.createdAt, id: last._id }) : null,
    };
  }

  /** Rejects with `not_found` for what is no version of this document. */
  async get(fileId: string, versionId: string): Promise<{ version: DocumentVersion; text: string }> {
    const row = await this.#deps.model.collection.findOne<VersionRecord>({
      _id: new Types.ObjectId(versionId),
      docId: new Types.ObjectId(fileId),
    });
    const bytes = row && (await this.#bytesOf(row));
    if (!row || !bytes) throw new Fault('not_found', 'There is no such version');
    const doc = new Y.Doc();
    try {
      Y.applyUpdate(doc, bytes);
      return { version: toVersion(row), text: doc.getText(CONTENT).toJSON() };
    } finally {
      doc.destroy();
    }
  }

  /** For good. May be repeated. */
  async remove(fileIds: readonly string[]): Promise<void> {
    for (const fileId of fileIds) {
      this.#kept.delete(fileId);
      await this.#removeRows(
        await this.#deps.model.collection.find<VersionRecord>({ docId: new Types.ObjectId(fileId) }, HEAD).toArray(),
      );
    }
  }

  async #keep(fileId: string, interval: number): Promise<void> {
    const _id = derivedId('document-version', fileId, String(interval));
    // Another node has kept it, or this one before it was started again.
    if (await this.#deps.model.collection.findOne({ _id }, { projection: { _id: 1 } })) return;
    await this.#save(fileId, { _id, kind: 'automatic' });
    await this.#prune(fileId);
  }

  async #save(fileId: string, { createdBy, ...version }: New): Promise<DocumentVersion> {
    const { model, documents, blobs, now } = this.#deps;
    const { bytes, sizeBytes } = await documents.read(fileId, (doc) => ({
      bytes: Y.encodeStateAsUpdate(doc),
      sizeBytes: Buffer.byteLength(doc.getText(CONTENT).toJSON()),
    }));
    const isLarge = bytes.byteLength > LIMITS.documentSnapshotRowBytes;
    const blobKey = isLarge
      ? `documents/${fileId}/versions/${version._id.toHexString()}-${randomBytes(6).toString('hex')}`
      : undefined;
    if (blobKey !== undefined) {
      await blobs.put(blobKey, bytes, { contentType: 'application/octet-stream', sizeBytes: bytes.byteLength });
    }
    const row: VersionRecord = {
      ...version,
      docId: new Types.ObjectId(fileId),
      ...(createdBy === undefined ? {} : { createdBy: new Types.ObjectId(createdBy) }),
      createdAt: new Date(now()),
      sizeBytes,
      ...(blobKey === undefined ? { bytes: new mongo.Binary(bytes) } : { blobKey }),
    };
    try {
      await model.collection.insertOne(row);
      return toVersion(row);
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      // Another node, or a twin of this request, was faster: its version is the outcome.
      if (blobKey !== undefined) await blobs.remove(blobKey);
      const first = await model.collection.findOne<VersionRecord>({ _id: row._id }, HEAD);
      return toVersion(first ?? row);
    }
  }

  /** Removes the oldest of those that are kept by themselves. */
  async #prune(fileId: string): Promise<void> {
    const surplus = await this.#deps.model.collection
      .find<VersionRecord>({ docId: new Types.ObjectId(fileId), kind: { $in: [...AUTOMATIC] } }, HEAD)
      .sort({ createdAt: -1, _id: -1 })
      .skip(LIMITS.documentVersionsAutomatic)
      .toArray();
    await this.#removeRows(surplus);
  }

  async #removeRows(rows: readonly VersionRecord[]): Promise<void> {
    // Blobs first: nobody would know of them afterwards.
    for (const { blobKey } of rows) if (blobKey !== undefined) await this.#deps.blobs.remove(blobKey);
    if (rows.length === 0) return;
    await this.#deps.model.collection.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
  }

  async #bytesOf({ bytes, blobKey }: VersionRecord): Promise<Uint8Array | undefined> {
    if (bytes) return bytes.buffer;
    const blob = blobKey === undefined ? undefined : await this.#deps.blobs.get(blobKey);
    return blob && buffer(blob.body);
  }
}

const toVersion = ({ _id, docId, kind, name, createdBy, createdAt, sizeBytes }: VersionRecord): DocumentVersion => ({
  id: _id.toHexString(),
  fileId: docId.toHexString(),
  kind,
  ...(name === undefined ? {} : { name }),
  ...(createdBy ? { createdBy: createdBy.toHexString() } : {}),
  createdAt: createdAt.toISOString(),
  sizeBytes,
});
