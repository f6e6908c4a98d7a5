/** Files come, go and move, on the one side as on the other. As with contents, the row says first what is to be done. */
import { posix } from 'node:path';
import { seedUpdate } from '../documents/index.ts';
import { AGREED, NO_STATE, type BaseRecord, type BaseStore, type Step } from './base-record.ts';
import { contentOf } from './blob-sync.ts';
import { decodeText } from './disk-text.ts';
import type { DiskFile, ProjectFile, ProjectFiles, WorkspaceDisk } from './ports.ts';

export interface PlacingDeps {
  disk: WorkspaceDisk;
  files: ProjectFiles;
  store: Pick<BaseStore, 'save' | 'remove'>;
  /** Ids of new files. */
  newFileId: () => string;
  newId: () => string;
}

/** Names that are tried for a file that has to give way. */
const NAMES_TRIED = 1_000;

export class Placing {
  readonly #deps: PlacingDeps;

  constructor(deps: PlacingDeps) {
    this.#deps = deps;
  }

  /** The project has a file that the disk may not have. */
  adopt({ fileId, path, kind }: ProjectFile): Promise<BaseRecord> {
    const fresh = { hash: undefined, state: NO_STATE, eol: 'lf', client: undefined, step: AGREED, rev: 0 } as const;
    return this.#deps.store.save({ ...fresh, fileId, path, kind });
  }

  /** The disk has a file that the project does not have. Undefined where the project cannot have it. */
  async create(path: string, file: DiskFile): Promise<BaseRecord | undefined> {
    const { store, newFileId } = this.#deps;
    const fileId = newFileId();
    const step = { kind: 'creating' } as const;
    const own = { fileId, path, step, client: undefined, rev: 0 };
    const found = decodeText(file.bytes);
    return this.finishCreating(
      await store.save(
        found
          ? { ...own, kind: 'text', hash: file.hash, eol: found.eol, state: seedUpdate(fileId, found.text).bytes }
          : // Its content is looked at when it is there.
            { ...own, kind: 'blob', hash: undefined, eol: 'lf', state: NO_STATE },
      ),
    );
  }

  async finishCreating(record: BaseRecord): Promise<BaseRecord | undefined> {
    const { files, store } = this.#deps;
    const isThere =
      record.kind === 'text' ? await files.createText(record, record.state) : await this.#createBlob(record);
    if (isThere) return store.save({ ...record, step: AGREED });
    await store.remove(record.fileId);
    return undefined;
  }

  async #createBlob({ fileId, path }: BaseRecord): Promise<boolean> {
    const { disk, files } = this.#deps;
    const entry = await disk.read(path);
    if (entry.kind === 'file') return files.createBlob({ fileId, path }, contentOf(disk, path, entry));
    // It is gone from the disk, and may have come to the project before a crash.
    return (await files.list()).some((file) => file.fileId === fileId);
  }

  /** The disk has it no more: it goes from the project. */
  async removeLive(record: BaseRecord): Promise<void> {
    const { files, store } = this.#deps;
    if (record.step.kind !== 'removingLive') await store.save({ ...record, step: { kind: 'removingLive' } });
    await files.remove(record.fileId);
    await store.remove(record.fileId);
  }

  /** The project has it no more: it goes from the disk, unless it was written there since. True when that is so. */
  async removeDisk(record: BaseRecord): Promise<boolean> {
    const { disk, store, newId } = this.#deps;
    const { fileId, path } = record;
    let { hash, step } = record;
    let isNewer = false;
    if (step.kind !== 'removingDisk') {
      if (step.kind === 'flushing') ({ hash, isNewer } = await this.#endFlush(record, step));
      // Whoever deleted it has perhaps never seen what the disk had.
      if (step.kind === 'merging') hash = undefined;
      step = { kind: 'removingDisk', id: newId() };
      await store.save({ ...record, hash, step });
    }
    const { id } = step;
    await disk.take(id, path);
    const old = await disk.read(disk.asidePath(id));
    if (old.kind === 'skipped' || (old.kind === 'file' && old.hash !== hash)) {
      await disk.putBack(id, path);
      isNewer = true;
    }
    await store.remove(fileId);
    await disk.forget(id);
    return isNewer;
  }

  /** It was being replaced. What was written into the old file is newer, and the new one is the project's. */
  async #endFlush(
    { path, hash }: BaseRecord,
    step: Step & { kind: 'flushing' },
  ): Promise<{ hash: string | undefined; isNewer: boolean }> {
    const { disk } = this.#deps;
    const [present, aside] = [await disk.read(path), await disk.read(disk.asidePath(step.id))];
    const isNewer = aside.kind === 'file' && (step.hasMerged || aside.hash !== hash);
    if (isNewer) await disk.putBack(step.id, path);
    await disk.forget(step.id);
    return { hash: present.kind === 'file' && present.hash === step.hash ? step.hash : hash, isNewer };
  }

  /** The project has it elsewhere. `taken` where the disk has another file there. */
  async moveDisk(record: BaseRecord, to: string): Promise<{ record: BaseRecord; taken: boolean }> {
    return this.finishMoving(await this.#deps.store.save({ ...record, step: { kind: 'moving', to } }));
  }

  async finishMoving(record: BaseRecord): Promise<{ record: BaseRecord; taken: boolean }> {
    const { disk, store } = this.#deps;
    if (record.step.kind !== 'moving') return { record, taken: false };
    const { to } = record.step;
    const outcome = await disk.move(record.path, to);
    const taken = outcome === 'taken';
    // Where it is missing it was moved before a crash, or is gone: what is at its new place tells.
    return { record: await store.save({ ...record, path: taken ? record.path : to, step: AGREED }), taken };
  }

  /** The disk has it elsewhere. Undefined where the project has another file there. */
  async moveLive(record: BaseRecord, to: string): Promise<BaseRecord | undefined> {
    const { files, store } = this.#deps;
    if (!(await files.move(record.fileId, to))) return undefined;
    return store.save({ ...record, path: to });
  }

  /** A path near this one where the disk has nothing: `a/b (from disk).txt`. */
  async freePath(path: string): Promise<string> {
    const { dir, name, ext } = posix.parse(path);
    for (let n = 1; n <= NAMES_TRIED; n++) {
      const free = posix.join(dir, `${name} (from disk${n === 1 ? '' : ` ${n}`})${ext}`);
      if ((await this.#deps.disk.read(free)).kind === 'missing') return free;
    }
    throw new Error(`There are too many files named as ${path}`);
  }
}
