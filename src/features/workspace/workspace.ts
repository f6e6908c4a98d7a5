/**
 * A project's files and a disk, kept the same. Told that something has changed it looks at both sides and does what is
 * missing, one thing after another. Who tells it may tell too much or too late; `rescan` finds what nobody told.
 */
import { Fault } from '../../protocol/index.ts';
import { NO_STATE, type BaseHead, type BaseRecord, type BaseStore } from './base-record.ts';
import { BlobSync } from './blob-sync.ts';
import { decodeText } from './disk-text.ts';
import { isExcluded, STAGING_FOLDER } from '../../sandbox/disk/excluded.ts';
import { FileSync, isGone } from './file-sync.ts';
import { Placing, type PlacingDeps } from './placing.ts';
import type { Blobs, LiveTexts, ProjectFile, SkipReason, WorkspaceDisk } from './ports.ts';
import { textOfState } from './shadow.ts';
import { TextSync, type TextSyncDeps } from './text-sync.ts';

/** A file that appears with the content of one that went within this time is that one under another name. */
export const RENAME_MS = 500;

/** Files that are looked at, or brought over, at the same time: each waits for the disk and the database most of its time. */
const TOGETHER = 16;
/** Deeper paths are left alone: no disk takes them. */
const MOST_NAMES = 64;
/** Begins what is due of a path. */
const PATH = 'path ';

/** Why a path of the disk is not in the project. `refused`: the project cannot have it. */
export type LeftOut = SkipReason | 'refused';

export interface WorkspaceDeps
  extends Pick<PlacingDeps, 'files' | 'newFileId' | 'newId'>, Pick<TextSyncDeps, 'differ'> {
  disk: WorkspaceDisk;
  live: LiveTexts;
  blobs: Blobs;
  store: BaseStore;
  /** Something on the disk is not in the project; told whenever it was looked at. */
  onLeftOut: (path: string, reason: LeftOut) => void;
  /** Something failed; `again` has it tried again. */
  onFailed: (error: unknown, about: string, again: () => void) => void;
  /** Asked before each look: resolves when the disk can be used. */
  ready?: () => Promise<void>;
  /** Calls back once, unless the returned function is called before. */
  after?: (ms: number, callback: () => void) => () => void;
}

export class Workspace {
  readonly #deps: WorkspaceDeps;
  readonly #sync: FileSync;
  readonly #placing: Placing;
  readonly #heads = new Map<string, BaseHead>();
  readonly #byPath = new Map<string, string>();
  /** What is to be looked at, in order; one entry however often it was told. */
  readonly #due = new Map<string, () => Promise<void>>();
  /** Files that somebody is finding out about: whether they have another name now. */
  readonly #claimed = new Set<string>();
  /** Files that are gone from the disk, and what ends the wait for their new names. */
  readonly #missing = new Map<string, () => void>();
  readonly #after: NonNullable<WorkspaceDeps['after']>;
  #working: Promise<void> | undefined;
  /** Something has failed: what is known of the rows may be wrong. */
  #isOutdated = false;
  #closed = false;

  constructor(deps: WorkspaceDeps) {
    const { disk, live, blobs, store, differ, newId } = deps;
    this.#deps = deps;
    this.#after = deps.after ?? afterReal;
    this.#placing = new Placing(deps);
    this.#sync = new FileSync({
      disk,
      store,
      texts: new TextSync({ disk, live, store, differ, newId }),
      blobs: new BlobSync({ disk, blobs, store, newId }),
      versions: blobs,
    });
  }

  /** Goes on where the last one was, by whatever it ended, and compares everything. To be called once, before the rest. */
  async open(): Promise<void> {
    const { store, disk } = this.#deps;
    const inUse = new Set([await this.#recognise()]);
    await this.#load();
    for (const { fileId, step } of await store.heads()) {
      const left = step === 'agreed' ? undefined : (await store.load(fileId))?.step;
      if (left && 'id' in left) inUse.add(left.id);
    }
    for (const id of await disk.ids()) if (!inUse.has(id)) await disk.forget(id);
    this.compare();
    this.rescan();
  }

  /** Something may have happened to this path of the disk. */
  diskChanged(path: string): void {
    if (isSynchronised(path)) this.#add(PATH + path, () => this.#lookAtPath(path));
  }

  /** A document, or a blob's present version, may be another one. */
  liveChanged(fileId: string): void {
    if (this.#heads.has(fileId)) this.#add(`file ${fileId}`, () => this.#lookAtFile(fileId));
  }

  /** Files of the project may have come, gone or moved. */
  treeChanged(): void {
    this.#add('tree', () => this.#compareTree());
  }

  /** Looks at everything on the disk: after notices were lost. */
  rescan(): void {
    this.#add('rescan', () => this.#rescan());
  }

  /** Looks at everything in the project: after notices were lost. */
  compare(): void {
    this.treeChanged();
    this.#add('files', () => this.#compareFiles());
  }

  /** Something is left to be looked at. */
  get isBusy(): boolean {
    return this.#working !== undefined;
  }

  /** Resolves when nothing is left to be looked at. Files that are missing may still wait for their new names. */
  async idle(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** As `idle`, and no file waits for its new name. */
  async settled(): Promise<void> {
    await this.idle();
    while (this.#missing.size > 0 && !this.#closed) {
      await new Promise<void>((resolve) => void this.#after(RENAME_MS, resolve));
      await this.idle();
    }
  }

  /** Resolves when what is under way has ended. The rest is found by the next `open`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#due.clear();
    for (const stop of this.#missing.values()) stop();
    this.#missing.clear();
    await this.#working;
  }

  #add(about: string, look: () => Promise<void>): void {
    if (this.#closed) return;
    this.#due.set(about, look);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    // Not in the caller's turn: much is told at once.
    await Promise.resolve();
    for (let next = this.#next(); next.length > 0; next = this.#next()) {
      const begun = this.#begin();
      await this.#together(next, async ([about, look]) => {
        try {
          if (await begun) await look();
        } catch (error) {
          this.#failed(error, about, () => this.#add(about, look));
        }
      });
    }
    // In the same turn as the last look at what is due.
    this.#working = undefined;
  }

  /** False where it is closed meanwhile. */
  async #begin(): Promise<boolean> {
    await this.#deps.ready?.();
    if (this.#isOutdated && !this.#closed) await this.#load();
    return !this.#closed;
  }

  /** What is looked at next: of new paths several, of anything else one. */
  #next(): [about: string, look: () => Promise<void>][] {
    const next: [about: string, look: () => Promise<void>][] = [];
    for (const [about, look] of this.#due) {
      const isNew = !this.#isOutdated && about.startsWith(PATH) && !this.#byPath.has(about.slice(PATH.length));
      if (next.length > 0 && !isNew) break;
      next.push([about, look]);
      if (!isNew || next.length === TOGETHER) break;
    }
    for (const [about] of next) this.#due.delete(about);
    return next;
  }

  /** It ended somewhere: what is stored tells where. */
  #failed(error: unknown, about: string, again: () => void): void {
    this.#isOutdated = true;
    if (!this.#closed) this.#deps.onFailed(error, about, again);
  }

  /** The mark of the disk. What is stored about another one must not make files seem to be gone from this one. */
  async #recognise(): Promise<string> {
    const { store, disk, newId } = this.#deps;
    const known = await store.mark();
    if (known !== undefined && (await disk.ids()).includes(known)) return known;
    const mark = newId();
    await disk.stage(mark, new Uint8Array(), STAGING_FOLDER);
    await store.begin(mark);
    return mark;
  }

  /** Reads what is stored, and does to its end what was under way. */
  async #load(): Promise<void> {
    const heads = await this.#deps.store.heads();
    this.#heads.clear();
    this.#byPath.clear();
    for (const head of heads) {
      this.#heads.set(head.fileId, head);
      this.#byPath.set(head.path, head.fileId);
    }
    this.#isOutdated = false;
    for (const { fileId, step } of heads) {
      if (step === 'agreed') continue;
      await this.#record(fileId).catch((error: unknown) => {
        if (!this.#closed) this.#deps.onFailed(error, `file ${fileId}`, () => this.liveChanged(fileId));
      });
    }
  }

  /** A file's row when nothing is under way any more; undefined where it is not synchronised, or no more. */
  async #record(fileId: string): Promise<BaseRecord | undefined> {
    const record = await this.#deps.store.load(fileId);
    const finished = record && (await this.#finish(record));
    if (finished) this.#note(finished);
    else this.#forget(fileId);
    return finished;
  }

  async #finish(record: BaseRecord): Promise<BaseRecord | undefined> {
    switch (record.step.kind) {
      case 'agreed':
        return record;
      case 'merging':
      case 'flushing':
        return this.#sync.finish(record);
      case 'creating':
        return this.#placing.finishCreating(record);
      case 'moving':
        return (await this.#placing.finishMoving(record)).record;
      case 'removingLive':
        await this.#placing.removeLive(record);
        break;
      case 'removingDisk':
        await this.#removeDisk(record);
        break;
    }
    return undefined;
  }

  async #rescan(): Promise<void> {
    const paths = new Set(this.#byPath.keys());
    for await (const path of this.#deps.disk.list()) paths.add(path);
    await this.#together([...paths], async (path) => {
      if (!(await this.#isAsKnown(path))) this.diskChanged(path);
    });
  }

  /** As most are when everything is looked at. */
  async #isAsKnown(path: string): Promise<boolean> {
    const fileId = this.#byPath.get(path);
    if (fileId === undefined || this.#missing.has(fileId)) return false;
    const entry = await this.#deps.disk.read(path);
    return entry.kind === 'file' && entry.hash === this.#heads.get(fileId)?.hash;
  }

  async #compareFiles(): Promise<void> {
    await this.#together([...this.#heads.keys()], async (fileId) => {
      const record = await this.#deps.store.load(fileId);
      if (!record || !(await this.#sync.isSettled(record))) this.liveChanged(fileId);
    });
  }

  async #lookAtPath(path: string): Promise<void> {
    const fileId = this.#byPath.get(path);
    const entry = await this.#deps.disk.read(path);
    if (fileId !== undefined) {
      const head = this.#heads.get(fileId);
      // As most are in a rescan.
      if (entry.kind === 'file' && entry.hash === head?.hash && !this.#missing.has(fileId)) return;
      return this.#lookAtFile(fileId);
    }
    if (entry.kind === 'skipped' && entry.reason !== 'folder') this.#deps.onLeftOut(path, entry.reason);
    if (entry.kind !== 'file') return;
    const moved = entry.sizeBytes > 0 ? await this.#claimMissing(entry.hash) : undefined;
    try {
      const record = moved ? await this.#placing.moveLive(moved, path) : await this.#placing.create(path, entry);
      if (!record) return await this.#notTaken(path);
      this.#note(record);
      await this.#settle(record);
    } finally {
      if (moved) this.#claimed.delete(moved.fileId);
    }
  }

  /** The project did not take a path: it has a file there that is not on the disk yet, or cannot have one. */
  async #notTaken(path: string): Promise<void> {
    const files = await this.#deps.files.list();
    if (files.some((file) => file.path === path)) this.treeChanged();
    else this.#deps.onLeftOut(path, 'refused');
  }

  /** A file that had this content and is not on the disk any more. Nobody else gets it until it is given back. */
  async #claimMissing(hash: string): Promise<BaseRecord | undefined> {
    for (const { fileId, path, hash: known } of this.#heads.values()) {
      if (known !== hash || this.#claimed.has(fileId)) continue;
      this.#claimed.add(fileId);
      let record: BaseRecord | undefined;
      try {
        const isMissing = (await this.#deps.disk.read(path)).kind === 'missing';
        record = isMissing ? await this.#record(fileId) : undefined;
      } finally {
        if (!record) this.#claimed.delete(fileId);
      }
      if (record) return record;
    }
    return undefined;
  }

  async #lookAtFile(fileId: string): Promise<void> {
    const record = this.#heads.has(fileId) ? await this.#record(fileId) : undefined;
    if (record) await this.#settle(record);
  }

  async #settle(record: BaseRecord): Promise<void> {
    try {
      await this.#bringTogether(record);
    } catch (error) {
      const isFull = error instanceof Fault && error.code === 'quota_exceeded';
      if (isFull) this.#deps.onLeftOut(record.path, 'refused');
      throw error;
    }
  }

  async #bringTogether(record: BaseRecord): Promise<void> {
    const settled = await this.#sync.settle(record);
    this.#note(settled.record);
    if (settled.kind !== 'missing') this.#endWait(record.fileId);
    switch (settled.kind) {
      case 'agreed':
        return;
      case 'busy':
        return this.liveChanged(record.fileId);
      case 'skipped':
        return this.#deps.onLeftOut(settled.record.path, settled.reason);
      case 'missing':
        return this.#wait(record.fileId);
      case 'occupied':
        return this.#meet(settled.record);
      case 'unmergeable':
        await this.#deps.files.becomeBlob(record.fileId);
        return this.#settle(await this.#asBlob(settled.record));
    }
  }

  #asBlob(record: BaseRecord): Promise<BaseRecord> {
    return this.#deps.store.save({ ...record, kind: 'blob', state: NO_STATE, client: undefined });
  }

  /** Both sides have a new file at one path: they are one if they are the same, else the disk's gets another name. */
  async #meet(record: BaseRecord): Promise<void> {
    const { disk, live, store } = this.#deps;
    const entry = await disk.read(record.path);
    const state = await live.state(record.fileId);
    const found = entry.kind === 'file' ? decodeText(entry.bytes) : undefined;
    if (entry.kind === 'file' && found?.text === textOfState(state)) {
      return this.#settle(await store.save({ ...record, hash: entry.hash, state, eol: found.eol }));
    }
    await this.#clear(record.path, record.fileId);
    await this.#settle(record);
  }

  /** What the disk has where a file is to come gets another name. */
  async #clear(path: string, forFileId: string): Promise<void> {
    const free = await this.#placing.freePath(path);
    const otherId = this.#byPath.get(path);
    const other = otherId === undefined || otherId === forFileId ? undefined : await this.#record(otherId);
    if (other) this.#note((await this.#placing.moveDisk(other, free)).record);
    else if ((await this.#deps.disk.move(path, free)) === 'moved') this.diskChanged(free);
  }

  /** A file is gone from the disk: perhaps it comes again under another name. */
  #wait(fileId: string): void {
    if (this.#missing.has(fileId) || this.#closed) return;
    const gone = (): void => this.#add(`gone ${fileId}`, () => this.#gone(fileId));
    this.#missing.set(fileId, this.#after(RENAME_MS, gone));
  }

  #endWait(fileId: string): void {
    this.#missing.get(fileId)?.();
    this.#missing.delete(fileId);
  }

  async #gone(fileId: string): Promise<void> {
    this.#endWait(fileId);
    const record = await this.#record(fileId);
    if (!record) return;
    if (!isGone(await this.#deps.disk.read(record.path))) return this.#settle(record);
    // What somebody has written since the disk had it is not deleted with it.
    if (await this.#sync.hasNews(record)) {
      return this.#settle(await this.#deps.store.save({ ...record, hash: undefined }));
    }
    await this.#placing.removeLive(record);
    this.#forget(fileId);
  }

  async #compareTree(): Promise<void> {
    const files = new Map<string, ProjectFile>();
    for (const file of await this.#deps.files.list()) if (isSynchronised(file.path)) files.set(file.fileId, file);
    for (const { fileId } of this.#heads.values()) {
      if (this.#closed) return;
      const record = files.has(fileId) ? undefined : await this.#deps.store.load(fileId);
      if (record) await this.#unlisted(record).catch((error: unknown) => this.#notCompared(error, fileId));
    }
    const compare = async (file: ProjectFile): Promise<void> => {
      if (!this.#closed) await this.#compareFile(file).catch((error: unknown) => this.#notCompared(error, file.fileId));
    };
    const fresh: ProjectFile[] = [];
    for (const file of files.values()) {
      if (this.#heads.has(file.fileId)) await compare(file);
      else fresh.push(file);
    }
    // Those that meet nobody do not wait for each other, as when a project comes to an empty disk.
    const isFree = ({ path }: ProjectFile): boolean => !this.#byPath.has(path);
    const [free, taken] = [fresh.filter(isFree), fresh.filter((file) => !isFree(file))];
    await this.#together(free, compare);
    for (const file of taken) await compare(file);
  }

  #notCompared(error: unknown, fileId: string): void {
    this.#failed(error, `tree of ${fileId}`, () => this.treeChanged());
  }

  /** The project has no such file. */
  async #unlisted(record: BaseRecord): Promise<void> {
    const { kind } = record.step;
    // It was the disk's before, or is gone from there.
    if (kind === 'creating' || kind === 'removingLive') await this.#record(record.fileId);
    else await this.#removeDisk(record);
  }

  async #compareFile(file: ProjectFile): Promise<void> {
    const head = this.#heads.get(file.fileId);
    if (!head) return this.#adopt(file);
    if (head.path === file.path && head.kind === file.kind) return;
    let record = await this.#record(file.fileId);
    if (!record) return;
    if (record.kind === 'text' && file.kind === 'blob') record = await this.#asBlob(record);
    if (record.path !== file.path) record = await this.#follow(record, file.path);
    this.#note(record);
    await this.#settle(record);
  }

  async #adopt(file: ProjectFile): Promise<void> {
    // Another file of the project may still be there on the disk.
    if (this.#byPath.has(file.path)) await this.#clear(file.path, file.fileId);
    const record = this.#placing.adopt(file);
    this.#note(record);
    await this.#settle(record);
  }

  /** Gives a file the path on the disk that it has in the project. */
  async #follow(record: BaseRecord, path: string): Promise<BaseRecord> {
    // Another file's row has the path, even if the disk has nothing there: two rows of one path would mix their files.
    if (this.#byPath.has(path)) await this.#clear(path, record.fileId);
    const { record: first, taken } = await this.#placing.moveDisk(record, path);
    if (!taken) return first;
    await this.#clear(path, record.fileId);
    return (await this.#placing.moveDisk(first, path)).record;
  }

  async #removeDisk(record: BaseRecord): Promise<void> {
    const wasNewer = await this.#placing.removeDisk(record);
    this.#forget(record.fileId);
    // It may have come back beside what is there now.
    if (wasNewer) this.rescan();
  }

  /** Does the same with each, several at a time, until it is closed. When it rejects, nothing is under way any more. */
  async #together<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const rest = [...items].reverse();
    const one = async (): Promise<void> => {
      for (let item = rest.pop(); item !== undefined && !this.#closed; item = rest.pop()) await work(item);
    };
    const ended = await Promise.allSettled(Array.from({ length: Math.min(TOGETHER, rest.length) }, one));
    for (const end of ended) if (end.status === 'rejected') throw end.reason;
  }

  #note({ fileId, path, kind, hash, step }: BaseRecord): void {
    this.#release(fileId);
    this.#heads.set(fileId, { fileId, path, kind, hash, step: step.kind });
    this.#byPath.set(path, fileId);
  }

  /** It is not synchronised any more. */
  #forget(fileId: string): void {
    this.#release(fileId);
    this.#heads.delete(fileId);
    this.#endWait(fileId);
  }

  #release(fileId: string): void {
    const path = this.#heads.get(fileId)?.path;
    if (path !== undefined && this.#byPath.get(path) === fileId) this.#byPath.delete(path);
  }
}

const isSynchronised = (path: string): boolean => !isExcluded(path) && path.split('/').length <= MOST_NAMES;

const afterReal = (ms: number, callback: () => void): (() => void) => {
  const timer = setTimeout(callback, ms).unref();
  return () => clearTimeout(timer);
};
