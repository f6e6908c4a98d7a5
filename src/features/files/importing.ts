/**
 * Puts many files into a project at once, all or none, whatever they hold: an archive's, or a snapshot's. Their texts
 * are documents before the tree knows of them, so that they never wait in memory together.
 */
import { Types, type mongo } from 'mongoose';
import { Fault, KeyedQueue, LIMITS } from '../../protocol/index.ts';
import type { Arrivals, Arrived } from './arrivals.ts';
import type { ContentStore } from './content-store.ts';
import type { PlacedRow } from './file-tree.ts';
import type { FileModels, FileRecord } from './model.ts';
import { Places } from './places.ts';
import type { Arrival, Placing } from './placing.ts';
import type { Quota } from './quota.ts';

/** What files come from. */
export interface FileSource {
  readonly files: readonly { path: string; sizeBytes: number }[];
  readonly totalBytes: number;
  content(file: { path: string; sizeBytes: number }): AsyncIterable<Uint8Array>;
}

/** Documents that are being made for files of a tree that does not know of them yet. */
export interface ImportRecord {
  _id: Types.ObjectId;
  projectId: Types.ObjectId;
  fileIds: Types.ObjectId[];
  /** When it is looked at: documents without a file go then. */
  dueAt: Date;
}

export interface ImportingDeps {
  imports: mongo.Collection<ImportRecord>;
  models: FileModels;
  contents: ContentStore;
  arrivals: Arrivals;
  placing: Placing;
  quota: Quota;
  documents: {
    create(fileId: string, text: string, userId: string): Promise<void>;
    remove(fileIds: readonly string[]): Promise<void>;
  };
  rows: (projectId: string) => Promise<FileRecord[]>;
  now: () => number;
}

/** No import takes longer. */
const IMPORT_MS = 3_600_000;
/** Documents that are made at once: so many texts are in memory. */
const AT_ONCE = 8;
const BATCH = 100;

export class Importing {
  readonly #deps: ImportingDeps;
  /** Of one user, one at a time: unpacking is work. */
  readonly #queue = new KeyedQueue();

  constructor(deps: ImportingDeps) {
    this.#deps = deps;
  }

  /** Whoever may is asked by the caller. Resolves with the files in the order of the source. */
  import(projectId: string, userId: string, source: FileSource, signal: AbortSignal): Promise<FileRecord[]> {
    return this.#queue.run(userId, async () => {
      if (source.files.length === 0) return [];
      const { contents, imports, quota, now } = this.#deps;
      const ownerId = await quota.ownerOf(projectId);
      const project = new Types.ObjectId(projectId);
      const plan = await this.#plan(projectId, source);
      const reserved = await contents.reserve(ownerId, source.totalBytes);
      const row: ImportRecord = {
        _id: new Types.ObjectId(),
        projectId: project,
        fileIds: plan.filter(({ there }) => !there).map(({ id }) => id),
        dueAt: new Date(now() + IMPORT_MS),
      };
      await imports.insertOne(row);
      try {
        const arrivals = await this.#take(plan, source, { ownerId, userId, signal });
        const placed = await this.#deps.placing.place(project, userId, arrivals);
        await imports.deleteOne({ _id: row._id });
        return placed;
      } catch (error) {
        await this.#clean(row);
        throw error;
      } finally {
        await contents.release([reserved._id]);
      }
    });
  }

  /** Removes documents that were made for imports which did not come to an end. */
  async cleanUp(signal?: AbortSignal): Promise<void> {
    const due = await this.#deps.imports
      .find({ dueAt: { $lte: new Date(this.#deps.now()) } })
      .limit(BATCH)
      .toArray();
    for (const row of due) {
      if (signal?.aborted) return;
      await this.#clean(row);
    }
  }

  /** What cannot be is refused before anything is unpacked. */
  async #plan(projectId: string, { files }: FileSource): Promise<Planned[]> {
    const places = new Places<PlacedRow>(await this.#deps.rows(projectId));
    return files.map(({ path, sizeBytes }) => {
      const there = places.at(path);
      const id = new Types.ObjectId();
      if (!there) places.add({ _id: id, path, kind: 'blob', sizeBytes, chargedBytes: 0 });
      return { id, path, sizeBytes, there };
    });
  }

  async #take(
    plan: readonly Planned[],
    source: FileSource,
    { ownerId, userId, signal }: { ownerId: string; userId: string; signal: AbortSignal },
  ): Promise<Arrival[]> {
    const { arrivals, documents } = this.#deps;
    const taken: Arrival[] = [];
    const making: Promise<void>[] = [];
    let rewrittenBytes = 0;
    try {
      for (const [index, { id, path, sizeBytes, there }] of plan.entries()) {
        signal.throwIfAborted();
        const file = source.files[index];
        if (!file) continue;
        const options = { mostBytes: sizeBytes, isReserved: true, signal };
        let arrived: Arrived = await arrivals.take(ownerId, source.content(file), options);
        if (arrived.kind === 'text') {
          if (!there) {
            const made = documents.create(id.toHexString(), arrived.text, userId);
            // It is waited for later, when others have begun.
            made.catch(() => {});
            making.push(made);
            arrived = { kind: 'document', sizeBytes: arrived.sizeBytes };
          } else if (there.kind === 'text') {
            rewrittenBytes += arrived.sizeBytes;
          } else {
            arrived = { kind: 'blob', content: await arrivals.asBlob(ownerId, arrived.text) };
          }
        }
        taken.push({ id, path, arrived });
        if (rewrittenBytes > LIMITS.zipRewrittenBytes) throw tooMuch();
        if (making.length === AT_ONCE) await Promise.all(making.splice(0));
      }
      await Promise.all(making.splice(0));
      return taken;
    } catch (error) {
      await Promise.allSettled(making);
      await arrivals.discard(taken.map(({ arrived }) => arrived));
      throw error;
    }
  }

  /** Documents go whose files are not there, unless a change that is decided is still to bring them. */
  async #clean(row: ImportRecord): Promise<void> {
    const { imports, models, documents } = this.#deps;
    const isPending = await models.trees.countDocuments({ _id: row.projectId, pending: { $exists: true } });
    if (isPending > 0) return;
    const there = await models.files.find({ _id: { $in: row.fileIds } }, { projection: { _id: 1 } }).toArray();
    const known = new Set(there.map(({ _id }) => _id.toHexString()));
    const forgotten = row.fileIds.map((id) => id.toHexString()).filter((id) => !known.has(id));
    for (let i = 0; i < forgotten.length; i += BATCH) await documents.remove(forgotten.slice(i, i + BATCH));
    await imports.deleteOne({ _id: row._id });
  }
}

interface Planned {
  id: Types.ObjectId;
  path: string;
  sizeBytes: number;
  there: PlacedRow | undefined;
}

const tooMuch = (): Fault =>
  new Fault('too_large', 'Too much text for files that are there: write them in several steps', {
    detail: { rewrittenBytes: LIMITS.zipRewrittenBytes },
  });
