/**
 * One file on both sides, brought to the same content. It looks at what both have, never at what has happened: an event
 * only says that it is worth looking, and one that is lost or doubled changes nothing.
 */
import { AGREED, type BaseRecord, type BaseStore, type Step } from './base-record.ts';
import { contentOf, type BlobSync } from './blob-sync.ts';
import type { Blobs, DiskEntry, DiskFile, SkipReason, WorkspaceDisk } from './ports.ts';
import type { TextSync } from './text-sync.ts';

/**
 * `missing`: the disk has it no more. `occupied`: it is new, and the disk has another file there. `unmergeable`: the
 * disk has what no document can have. `busy`: both sides go on changing; look again.
 */
export type Settled =
  | { kind: 'agreed' | 'missing' | 'occupied' | 'unmergeable' | 'busy'; record: BaseRecord }
  | { kind: 'skipped'; record: BaseRecord; reason: SkipReason };

/** Rounds until the file's next turn: others are to get theirs. */
const ROUNDS = 8;

export interface FileSyncDeps {
  disk: WorkspaceDisk;
  store: Pick<BaseStore, 'save'>;
  texts: TextSync;
  blobs: BlobSync;
  versions: Pick<Blobs, 'keep'>;
}

export class FileSync {
  readonly #deps: FileSyncDeps;

  constructor(deps: FileSyncDeps) {
    this.#deps = deps;
  }

  /** Of a file that is in the project, and on the disk or about to come there. */
  async settle(record: BaseRecord): Promise<Settled> {
    const { disk } = this.#deps;
    let now = await this.finish(record);
    for (let round = 0; round < ROUNDS; round++) {
      const entry = await disk.read(now.path);
      if (isGone(entry) && now.hash !== undefined) return { kind: 'missing', record: now };
      if (entry.kind === 'skipped') return { kind: 'skipped', record: now, reason: entry.reason };
      if (entry.kind === 'file' && entry.hash !== now.hash) {
        // A text has nothing to be compared with.
        if (now.hash === undefined && now.kind === 'text') return { kind: 'occupied', record: now };
        const merged = await this.#merge(now, entry);
        if (!merged) return { kind: 'unmergeable', record: now };
        now = merged;
      }
      const staged = await this.#syncOf(now).stage(now);
      if (!staged) return { kind: entry.kind === 'file' ? 'agreed' : 'missing', record: now };
      now = await this.#swap(staged);
    }
    return { kind: 'busy', record: now };
  }

  /** Does to its end what was under way when the row was stored, as far as it is about the content. */
  async finish(record: BaseRecord): Promise<BaseRecord> {
    const { store, texts } = this.#deps;
    const { kind } = record.step;
    if (kind !== 'merging' && kind !== 'flushing') return record;
    if (record.kind === 'text') await texts.catchUp(record);
    return kind === 'merging' ? store.save({ ...record, step: AGREED }) : this.#swap(record);
  }

  hasNews(record: BaseRecord): Promise<boolean> {
    return this.#syncOf(record).hasNews(record);
  }

  /** Puts in place what is staged. What a program wrote into the old file until then is a change of the disk. */
  async #swap(record: BaseRecord): Promise<BaseRecord> {
    const { disk, store } = this.#deps;
    const { step } = record;
    if (step.kind !== 'flushing') return record;
    const isFirst = record.hash === undefined;
    const outcome = isFirst ? await disk.place(step.id, record.path) : await disk.replace(step.id, record.path);
    if (outcome === 'swapped' || (outcome === 'absent' && (await this.#isInPlace(record, step)))) {
      const merged = await this.#mergeAside(record, step.id);
      const done = await this.#syncOf(merged).staged(merged, step);
      await disk.forget(step.id);
      return done;
    }
    // Somebody has removed the old file, or put one where there was none: the disk is looked at anew.
    const given = await store.save({ ...record, step: AGREED });
    await disk.forget(step.id);
    return given;
  }

  /** After a crash: nothing is staged any more. Somebody may have cleaned up there, and then nothing has come of it. */
  async #isInPlace({ path, hash: before }: BaseRecord, { id, hash }: Step & { kind: 'flushing' }): Promise<boolean> {
    const { disk } = this.#deps;
    if ((await disk.read(disk.asidePath(id))).kind === 'file') return true;
    const entry = await disk.read(path);
    // Where nothing was, it is what was staged, and perhaps written again since.
    return entry.kind === 'file' && (before === undefined || entry.hash === hash);
  }

  async #mergeAside(record: BaseRecord, id: string): Promise<BaseRecord> {
    const { disk, versions } = this.#deps;
    const path = disk.asidePath(id);
    const old = await disk.read(path);
    if (old.kind !== 'file' || old.hash === record.hash) return record;
    const merged = record.kind === 'text' ? await this.#deps.texts.merge(record, old) : undefined;
    if (!merged) await versions.keep(record.fileId, contentOf(disk, path, old));
    return merged ?? record;
  }

  async #merge(record: BaseRecord, file: DiskFile): Promise<BaseRecord | undefined> {
    return record.kind === 'text' ? this.#deps.texts.merge(record, file) : this.#deps.blobs.merge(record, file);
  }

  #syncOf(record: BaseRecord): TextSync | BlobSync {
    return record.kind === 'text' ? this.#deps.texts : this.#deps.blobs;
  }
}

/** Whether a file that was there is there no more. */
export const isGone = (entry: DiskEntry): boolean =>
  entry.kind === 'missing' || (entry.kind === 'skipped' && entry.reason === 'folder');
