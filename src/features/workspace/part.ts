/**
 * The workspace of a sandbox that runs: the project's files are in it, and what programs change there comes into the
 * project. It lasts as long as this node holds the sandbox; the next one goes on where it was.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Types } from 'mongoose';
import type { Bus } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { projectRoom, type Rooms } from '../../protocol/index.ts';
import type { DocumentMirror } from '../documents/index.ts';
import type { Files } from '../files/index.ts';
import type { RunningSandbox, SandboxPart } from '../sandboxes/index.ts';
import type { BaseStore } from './base-record.ts';
import type { workspaceEvents } from './contract.ts';
import { Gathered } from './gathered.ts';
import type { WorkspaceDisk } from './ports.ts';
import { textOfState } from './shadow.ts';
import { Workspace, type LeftOut } from './workspace.ts';

/** The disk of a sandbox, which tells what happens on it. */
export interface WatchedDisk extends WorkspaceDisk {
  /** Tells of changes from now on. Returns how to stop. */
  watch(watcher: {
    /** Something may have happened to these paths. They are as programs have named them. */
    changed: (paths: readonly string[]) => void;
    /** Something may have happened to any: changes were lost, or watching begins (again). */
    overflow: () => void;
  }): () => void;
  close(): void | Promise<void>;
}

export interface WorkspacePartDeps {
  openDisk: (running: RunningSandbox) => Promise<WatchedDisk>;
  storeOf: (projectId: string) => BaseStore;
  files: Pick<Files, 'mirror' | 'onTreeChanged'>;
  documents: DocumentMirror;
  bus: Pick<Bus, 'onReady'>;
  /** It may have changed what it had no time to tell. Returns how to stop. */
  onNodeDeath: (listener: () => void) => () => void;
  rooms: Pick<Rooms<typeof workspaceEvents>, 'emit'>;
  log: Log;
}

/** Programs write a file in several steps; more than one look at each is wasted. */
const DISK_MS = 100;
/** A change of many files is told as many. */
const TREE_MS = 200;
/** How long who starts a sandbox waits for its files: longer than some hundred of them take. */
const FIRST_MS = 5_000;
/** How long one that ends waits for what programs have written last. */
const LAST_MS = 5_000;
/** Paths that are looked at one by one; with more, everything is. */
const MOST_PATHS = 5_000;
const RETRY_MS = { first: 1_000, most: 60_000 };
/** Between looks that fail one after another: the disk or the database is out of reach, and each look costs. */
const PACE_MS = { first: 10, most: 5_000 };
/** What is left out is told of at most so many paths. */
const MOST_TOLD = 100;
/** Paths that the project did not take, and may take when it has changed. */
const MOST_REFUSED = 100;

/** To be asked for each sandbox that this node holds. Rejects where its disk, or what is stored of it, cannot be read. */
export const createWorkspacePart =
  (deps: WorkspacePartDeps) =>
  async (running: RunningSandbox): Promise<SandboxPart> => {
    const part = new WorkspacePart(deps, running, await deps.openDisk(running));
    try {
      await part.open();
      return part;
    } catch (error) {
      await part.close();
      throw error;
    }
  };

class WorkspacePart implements SandboxPart {
  readonly #deps: WorkspacePartDeps;
  readonly #running: RunningSandbox;
  readonly #disk: WatchedDisk;
  readonly #workspace: Workspace;
  readonly #closing = new AbortController();
  /** Ends what brings notices. */
  #stops: (() => void)[] = [];
  readonly #paths: Gathered;
  readonly #tree: Gathered;
  readonly #refused = new Set<string>();
  /** All of them that the look at everything finds that is under way. */
  #collected: Set<string> | undefined;
  readonly #told = new Set<string>();
  /** What has failed and is to be tried again, by what it was about. */
  readonly #again = new Map<string, () => void>();
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS.first;
  /** The last look has failed; and how many have one after another. */
  #hasFailed = false;
  #failures = 0;

  constructor(deps: WorkspacePartDeps, running: RunningSandbox, disk: WatchedDisk) {
    const { documents, files, storeOf } = deps;
    const { projectId, ownerId } = running;
    const mirror = files.mirror(projectId);
    this.#deps = deps;
    this.#running = running;
    this.#disk = disk;
    this.#workspace = new Workspace({
      disk,
      live: {
        state: (fileId) => documents.state(fileId),
        merge: (fileId, update) => documents.merge(fileId, update, ownerId),
      },
      files: {
        list: () => mirror.list(),
        createText: (file, state) => mirror.createText(file, textOfState(state)),
        createBlob: (file, content) => mirror.createBlob(file, content),
        becomeBlob: (fileId) => mirror.becomeBlob(fileId),
        move: (fileId, path) => mirror.move(fileId, path),
        remove: (fileId) => mirror.remove(fileId),
      },
      blobs: mirror,
      store: storeOf(projectId),
      differ: documents,
      newFileId: newId,
      newId,
      ready: () => this.#ready(),
      onLeftOut: (path, reason) => this.#leftOut(path, reason),
      onFailed: (error, about, again) => this.#failed(error, about, again),
    });
    this.#paths = new Gathered(DISK_MS, (paths) => this.#diskChanged(paths));
    this.#tree = new Gathered(TREE_MS, (blobIds) => this.#treeChanged(blobIds));
  }

  get #projectId(): string {
    return this.#running.projectId;
  }

  /** Resolves when the files are there, or are taking long. */
  async open(): Promise<void> {
    const { documents, files, bus, onNodeDeath } = this.#deps;
    const workspace = this.#workspace;
    await this.#running.awake();
    await workspace.open();
    // From here on changes are told; what came before is found by the looks at everything that follow.
    this.#stops = [
      this.#disk.watch({
        changed: (paths) => this.#paths.add(paths.filter(isPath)),
        overflow: () => workspace.rescan(),
      }),
      documents.onStored((fileIds) => {
        for (const fileId of fileIds) workspace.liveChanged(fileId);
      }),
      files.onTreeChanged(this.#projectId, (blobIds) => this.#tree.add(blobIds)),
      bus.onReady(() => workspace.compare()),
      onNodeDeath(() => workspace.compare()),
    ];
    await this.#inTime(workspace.idle(), FIRST_MS);
  }

  isBusy(): boolean {
    return this.#workspace.isBusy || this.#paths.isWaiting || this.#tree.isWaiting;
  }

  async settle(): Promise<string[] | undefined> {
    const refused = new Set<string>();
    this.#collected = refused;
    this.#workspace.rescan();
    const isSettled = await this.#inTime(this.#workspace.settled(), LAST_MS);
    this.#collected = undefined;
    return isSettled && this.#again.size === 0 ? [...refused] : undefined;
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#paths.close();
    this.#tree.close();
    clearTimeout(this.#retry);
    this.#closing.abort();
    try {
      await this.#workspace.close();
      await this.#disk.close();
    } catch (error) {
      this.#deps.log.warn('a workspace could not be closed', { projectId: this.#projectId, error });
    }
  }

  /** False where that is not there in time. */
  async #inTime(work: Promise<void>, mostMs: number): Promise<boolean> {
    const { signal } = this.#closing;
    const late = pause(mostMs, false, { signal, ref: false }).catch(() => false);
    return Promise.race([work.then(() => true), late]);
  }

  #diskChanged(paths: readonly string[]): void {
    if (paths.length > MOST_PATHS) this.#workspace.rescan();
    else for (const path of paths) this.#workspace.diskChanged(path);
  }

  #treeChanged(blobIds: readonly string[]): void {
    this.#workspace.treeChanged();
    for (const fileId of blobIds) this.#workspace.liveChanged(fileId);
    const refused = [...this.#refused];
    this.#refused.clear();
    for (const path of refused) this.#workspace.diskChanged(path);
  }

  /** What is paused answers nothing. */
  async #ready(): Promise<void> {
    this.#failures = this.#hasFailed ? this.#failures + 1 : 0;
    this.#hasFailed = false;
    const { signal } = this.#closing;
    if (this.#failures > 0) {
      const ms = Math.min(PACE_MS.most, PACE_MS.first * 2 ** this.#failures);
      await pause(ms, undefined, { signal, ref: false }).catch(() => {});
    }
    if (!signal.aborted) await this.#running.awake();
  }

  #failed(error: unknown, about: string, again: () => void): void {
    this.#hasFailed = true;
    this.#again.set(about, again);
    if (this.#retry || this.#closing.signal.aborted) return;
    const retryMs = this.#retryMs;
    this.#deps.log.warn('a file is not synchronised yet', { projectId: this.#projectId, about, retryMs, error });
    this.#retry = setTimeout(() => void this.#retryAll(), retryMs).unref();
  }

  async #retryAll(): Promise<void> {
    this.#retry = undefined;
    this.#retryMs = Math.min(RETRY_MS.most, this.#retryMs * 2);
    const all = [...this.#again.values()];
    this.#again.clear();
    for (const again of all) again();
    await this.#workspace.idle();
    if (this.#again.size === 0) this.#retryMs = RETRY_MS.first;
  }

  #leftOut(path: string, reason: LeftOut): void {
    const { rooms, log } = this.#deps;
    if (reason === 'refused') {
      this.#collected?.add(path);
      if (this.#refused.size < MOST_REFUSED) this.#refused.add(path);
    }
    const about = `${reason} ${path}`;
    if (this.#told.has(about) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(about);
    log.info('a file of a sandbox is left out', { projectId: this.#projectId, path, reason });
    rooms.emit(projectRoom(this.#projectId), 'workspace:left-out', { projectId: this.#projectId, path, reason });
  }
}

const newId = (): string => new Types.ObjectId().toHexString();

/** Whether it can be a path in the workspace at all. */
const isPath = (path: string): boolean =>
  path.split('/').every((name) => name !== '' && name !== '.' && name !== '..') && !path.includes('\0');
