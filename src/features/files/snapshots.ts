/**
 * A project's tree as plain blobs under names that everybody can guess: one snapshot of each user and project, for tools
 * that read the store. It takes of that user's space.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { Types, type mongo } from 'mongoose';
import { Fault, KeyedQueue, LIMITS } from '../../protocol/index.ts';
import type { Blobs, ByteRange } from '../../storage/blobs/index.ts';
import { derivedId } from '../chat/index.ts';
import type { SignedAddresses } from '../uploads/index.ts';
import type { BlobReading } from './blob-reading.ts';
import { nameOf } from './blob-reading.ts';
import type { ContentStore } from './content-store.ts';
import { contentTypeOf, presentationOf, type Presentation } from './content-type.ts';
import type { FileSource } from './importing.ts';
import type { FileKind, FileRecord } from './model.ts';
import type { Quota } from './quota.ts';

export interface SnapshotFile {
  path: string;
  kind: FileKind;
  sizeBytes: number;
  /** SHA-256, base64url. */
  digest: string;
}

/** `writing` until all blobs are there: what a crash leaves so is no snapshot. */
export interface SnapshotRecord {
  /** Of user and project. */
  _id: Types.ObjectId;
  userId: Types.ObjectId;
  projectId: Types.ObjectId;
  state: 'writing' | 'complete';
  files: SnapshotFile[];
  /** What it takes of its user's space. */
  chargedBytes: number;
  createdAt: Date;
}

export interface SnapshotsDeps {
  snapshots: mongo.Collection<SnapshotRecord>;
  blobs: Blobs;
  contents: ContentStore;
  reading: BlobReading;
  quota: Quota;
  texts: (fileIds: readonly string[]) => Promise<Map<string, string>>;
  /** All files of a project at one moment. */
  rows: (projectId: string) => Promise<FileRecord[]>;
  addresses: SignedAddresses;
  now: () => number;
}

export interface SnapshotEntry {
  path: string;
  key: string;
  url: string;
}

/** Files that are copied at once. */
const AT_ONCE = 8;
/** Of a store's key. */
const KEY_BYTES = 512;

export class Snapshots {
  readonly #deps: SnapshotsDeps;
  /** Of each, one at a time. */
  readonly #queue = new KeyedQueue();

  constructor(deps: SnapshotsDeps) {
    this.#deps = deps;
  }

  /** Copies the project as it is; whoever may read it is asked by the caller. */
  take(projectId: string, userId: string, signal: AbortSignal): Promise<SnapshotRecord> {
    return this.#queue.run(prefixOf(userId, projectId), () => this.#take(projectId, userId, signal));
  }

  async #take(projectId: string, userId: string, signal: AbortSignal): Promise<SnapshotRecord> {
    const { snapshots, blobs, quota, rows, now } = this.#deps;
    const files = await rows(projectId);
    const _id = derivedId(userId, 'project:snapshot', projectId);
    const before = await snapshots.findOne({ _id });
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const base = {
      userId: new Types.ObjectId(userId),
      projectId: new Types.ObjectId(projectId),
      createdAt: new Date(now()),
    };
    // Both are there for a while, and what was is paid already.
    await quota.requireRoom(userId, Math.max(0, bytes - (before?.chargedBytes ?? 0)));
    await snapshots.updateOne(
      { _id },
      { $set: { ...base, state: 'writing', files: [], chargedBytes: Math.max(bytes, before?.chargedBytes ?? 0) } },
      { upsert: true },
    );
    const copied = new Map<string, SnapshotFile>();
    const waiting = [...files];
    const work = async (): Promise<void> => {
      for (let file = waiting.shift(); file; file = waiting.shift()) {
        signal.throwIfAborted();
        const entry = await this.#copy(file, userId, signal);
        if (entry) copied.set(entry.path, entry);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const wanted = new Set([...copied.keys()].map((path) => keyOf(userId, projectId, path)));
    for await (const key of keysUnder(blobs, prefixOf(userId, projectId)))
      if (!wanted.has(key)) await blobs.remove(key);
    const record: SnapshotRecord = {
      _id,
      ...base,
      state: 'complete',
      files: files.flatMap(({ path }) => copied.get(path) ?? []),
      chargedBytes: [...copied.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
    await snapshots.replaceOne({ _id }, record, { upsert: true });
    return record;
  }

  async entries({ userId, projectId, files }: SnapshotRecord): Promise<SnapshotEntry[]> {
    const [user, project] = [userId.toHexString(), projectId.toHexString()];
    return Promise.all(
      files.map(async ({ path, kind }) => ({
        path,
        key: keyOf(user, project, path),
        url: await this.#addressOf(user, project, path, kind),
      })),
    );
  }

  /** The caller's snapshot of the project, to be put back. */
  async source(projectId: string, userId: string): Promise<FileSource> {
    const { blobs } = this.#deps;
    const { files } = await this.#find(projectId, userId);
    return {
      files,
      totalBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      async *content({ path }) {
        const blob = await blobs.get(keyOf(userId, projectId, path));
        if (!blob) throw new Fault('conflict', 'The snapshot is not complete: take it again');
        yield* blob.body as AsyncIterable<Uint8Array>;
      },
    };
  }

  /** One file of a snapshot, to be given out. */
  async file(
    projectId: string,
    userId: string,
    path: string,
  ): Promise<SnapshotFile & Presentation & { open(range: ByteRange | undefined): Promise<Readable | undefined> }> {
    const { files } = await this.#find(projectId, userId);
    const file = files.find((each) => each.path === path);
    if (!file) throw missing();
    return {
      ...file,
      ...presentationOf(path, file.kind),
      open: async (range) => (await this.#deps.blobs.get(keyOf(userId, projectId, path), range))?.body,
    };
  }

  async chargedBytes(userId: string): Promise<number> {
    const [sum] = await this.#deps.snapshots
      .aggregate<{ bytes: number }>([
        { $match: { userId: new Types.ObjectId(userId) } },
        { $group: { _id: null, bytes: { $sum: '$chargedBytes' } } },
      ])
      .toArray();
    return sum?.bytes ?? 0;
  }

  /** The project is gone. May be repeated. */
  removeOfProject(projectId: string): Promise<void> {
    return this.#removeAll({ projectId: new Types.ObjectId(projectId) });
  }

  /** The account is gone. May be repeated. */
  removeOfUser(userId: string): Promise<void> {
    return this.#removeAll({ userId: new Types.ObjectId(userId) });
  }

  async #removeAll(filter: mongo.Filter<SnapshotRecord>): Promise<void> {
    const { snapshots, blobs } = this.#deps;
    for (const { _id, userId, projectId } of await snapshots.find(filter, { projection: { files: 0 } }).toArray()) {
      const prefix = prefixOf(userId.toHexString(), projectId.toHexString());
      for await (const key of keysUnder(blobs, prefix)) await blobs.remove(key);
      await snapshots.deleteOne({ _id });
    }
  }

  async #find(projectId: string, userId: string): Promise<SnapshotRecord> {
    const record = await this.#deps.snapshots.findOne({ _id: derivedId(userId, 'project:snapshot', projectId) });
    if (!record) throw missing();
    if (record.state !== 'complete') throw new Fault('conflict', 'The snapshot is not complete: take it again');
    return record;
  }

  /** Undefined when the file has gone meanwhile. */
  async #copy(file: FileRecord, userId: string, signal: AbortSignal): Promise<SnapshotFile | undefined> {
    const { path, kind } = file;
    const content = await this.#contentOf(file);
    if (!content) return undefined;
    const hash = createHash('sha256');
    async function* hashed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    }
    const key = keyOf(userId, file.projectId.toHexString(), path);
    const { sizeBytes } = await this.#deps.blobs.put(key, hashed(content), {
      contentType: contentTypeOf(path, kind),
      signal,
    });
    return { path, kind, sizeBytes, digest: hash.digest('base64url') };
  }

  async #contentOf(file: FileRecord): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { texts, reading, contents } = this.#deps;
    if (file.kind === 'blob') return contents.body((await reading.present(file)).contentId);
    const fileId = file._id.toHexString();
    const text = (await texts([fileId])).get(fileId);
    return text === undefined ? undefined : once(Buffer.from(text));
  }

  async #addressOf(userId: string, projectId: string, path: string, kind: FileKind): Promise<string> {
    const { blobs, addresses } = this.#deps;
    const { contentType, disposition } = presentationOf(path, kind);
    if (blobs.urlFor) {
      return blobs.urlFor(keyOf(userId, projectId, path), {
        method: 'GET',
        expiresInSeconds: LIMITS.attachmentUrlMs / 1_000,
        contentType,
        ...(disposition === 'attachment' ? { fileName: nameOf(path) } : {}),
      });
    }
    const { query } = addresses.sign(userId, projectId, path);
    return `/api/projects/${projectId}/snapshot/content?userId=${userId}&path=${encodeURIComponent(path)}&${query}`;
  }
}

const prefixOf = (userId: string, projectId: string): string => `users/${userId}/projects/${projectId}/`;

/** A path that would make the key too long for the store is replaced by its hash. */
function keyOf(userId: string, projectId: string, path: string): string {
  const key = prefixOf(userId, projectId) + path;
  if (Buffer.byteLength(key) <= KEY_BYTES) return key;
  return `${prefixOf(userId, projectId)}~/${createHash('sha256').update(path).digest('base64url')}`;
}

async function* keysUnder(blobs: Blobs, prefix: string): AsyncGenerator<string> {
  for (let cursor: string | undefined; ;) {
    const { items, next } = await blobs.list(prefix, cursor === undefined ? {} : { cursor });
    for (const { key } of items) yield key;
    if (next === null) return;
    cursor = next;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const missing = (): Fault => new Fault('not_found', 'There is no such snapshot');
