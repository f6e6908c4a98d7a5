/** One file that is no document, on both sides: the last writer wins, and what loses is kept as a version. */
import { AGREED, NO_STATE, type BaseRecord, type BaseStore, type Step } from './base-record.ts';
import type { BlobContent, Blobs, DiskFile, WorkspaceDisk } from './ports.ts';

export interface BlobSyncDeps {
  disk: Pick<WorkspaceDisk, 'content' | 'stage'>;
  blobs: Blobs;
  store: Pick<BaseStore, 'save'>;
  newId: () => string;
}

export class BlobSync {
  readonly #deps: BlobSyncDeps;

  constructor(deps: BlobSyncDeps) {
    this.#deps = deps;
  }

  /** The disk's content becomes the present version. A version that came meanwhile is the one before it. */
  async merge(record: BaseRecord, file: DiskFile): Promise<BaseRecord> {
    const { disk, blobs, store } = this.#deps;
    const isThere = (await blobs.current(record.fileId)) === file.hash;
    // It may have been written again since it was hashed: what was stored counts.
    const hash = isThere ? file.hash : await blobs.put(record.fileId, contentOf(disk, record.path, file));
    return store.save({ ...record, hash });
  }

  async hasNews(record: BaseRecord): Promise<boolean> {
    const hash = await this.#deps.blobs.current(record.fileId);
    return hash !== undefined && hash !== record.hash;
  }

  /** Stages the present version and announces it; undefined where the disk has it already. */
  async stage(record: BaseRecord): Promise<BaseRecord | undefined> {
    const { disk, blobs, store, newId } = this.#deps;
    const hash = await blobs.current(record.fileId);
    if (hash === undefined || hash === record.hash) return undefined;
    const id = newId();
    await disk.stage(id, blobs.content(record.fileId), record.path);
    return store.save({ ...record, step: { kind: 'flushing', id, hash, state: NO_STATE, hasMerged: false } });
  }

  /** What was staged is on the disk. */
  async staged(record: BaseRecord, { hash }: Step & { kind: 'flushing' }): Promise<BaseRecord> {
    return this.#deps.store.save({ ...record, hash, step: AGREED });
  }
}

/** The bytes that a file has when they are read. */
export const contentOf = (
  disk: Pick<WorkspaceDisk, 'content'>,
  path: string,
  { sizeBytes }: Pick<DiskFile, 'sizeBytes'>,
): BlobContent => ({ bytes: disk.content(path), sizeBytes });
