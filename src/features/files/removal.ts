/** Removes files for good: deleted ones when their time is over, those of a project with it. All of it may be repeated. */
import { Types } from 'mongoose';
import type { FileModels, FileRecord } from './model.ts';
import { restorableSince } from './views.ts';

export interface RemovalDeps {
  models: FileModels;
  /** What is kept of files elsewhere: documents, blobs. Each is told of texts and blobs alike. */
  parts: readonly ((fileIds: readonly string[]) => Promise<unknown>)[];
  /** Nobody may have them open any more. */
  onRemoved: (fileIds: readonly string[]) => void;
  now: () => number;
}

const BATCH = 100;
/** Nodes' clocks differ; a file that can still be restored anywhere is not removed. */
const AFTER_RESTORE_MS = 3_600_000;

export class Removal {
  readonly #deps: RemovalDeps;

  constructor(deps: RemovalDeps) {
    this.#deps = deps;
  }

  /** Those that nobody can restore any more. */
  async purge(signal?: AbortSignal): Promise<void> {
    const { models, now } = this.#deps;
    for (;;) {
      const deletedAt = { $lte: restorableSince(now() - AFTER_RESTORE_MS) };
      const due = await models.files.find({ deletedAt }).sort({ deletedAt: 1 }).limit(BATCH).toArray();
      if (due.length === 0 || signal?.aborted) return;
      await this.#remove(due);
    }
  }

  /** Everything of a project that is gone. */
  async removeOfProject(projectId: string, signal?: AbortSignal): Promise<void> {
    const { models, parts } = this.#deps;
    const project = new Types.ObjectId(projectId);
    // Documents may have been made for a change whose rows were not.
    const tree = await models.trees.findOne({ _id: project });
    const unfinished = tree?.pending?.rows.map(({ id }) => id.toHexString()) ?? [];
    if (unfinished.length > 0) for (const part of parts) await part(unfinished);
    for (;;) {
      signal?.throwIfAborted();
      const rows = await models.files.find({ projectId: project }).limit(BATCH).toArray();
      if (rows.length === 0) break;
      await this.#remove(rows);
    }
    await models.staged.deleteMany({ projectId: project });
    await models.trees.deleteOne({ _id: project });
  }

  /** The rows last: whoever is cut off is followed. */
  async #remove(rows: readonly FileRecord[]): Promise<void> {
    const fileIds = rows.map(({ _id }) => _id.toHexString());
    this.#deps.onRemoved(fileIds);
    for (const part of this.#deps.parts) await part(fileIds);
    await this.#deps.models.files.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } });
  }
}
