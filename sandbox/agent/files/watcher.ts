/**
 * Tells which files of a workspace may have changed. Every folder has a watch of its own; where the system has none left,
 * the files are looked at every few seconds instead. Nothing is opened.
 */
import { lstatSync, readdirSync, readFileSync, watch, type FSWatcher, type Stats } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { isExcluded } from '../../../src/sandbox/disk/excluded.ts';

/** What happens within this is looked at together: a write of many, a rename after it. */
const GATHER_MS = 50;
/** How often all is looked at where watches are missing. */
const LOOK_MS = 3_000;
/** Deeper ones are no folders that anybody made by hand. */
const MOST_FOLDERS = 64;
/** What the kernel keeps of events by default, should it not say. */
const QUEUED_EVENTS = 16_384;

export interface WatcherEvents {
  changed: (paths: string[]) => void;
  /** Changes may have been missed. */
  overflow: () => void;
}

interface Folder {
  /** Undefined where there was none left. */
  watcher: FSWatcher | undefined;
  identity: string;
  folders: Set<string>;
  /** All else by name, with what tells one state of it from another. */
  files: Map<string, string>;
}

export class Watcher {
  readonly #root: string;
  readonly #events: WatcherEvents;
  /** By path; the root is ''. */
  readonly #folders = new Map<string, Folder>();
  readonly #changed = new Set<string>();
  /** Names to look at, by folder. */
  readonly #noticed = new Map<string, Set<string>>();
  readonly #mostEvents: number;
  #eventsOfTurn = 0;
  #isMissed = false;
  #gathering: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;

  /** `mostEvents`: so many in one turn mean that the kernel may have dropped some, which it tells nobody. */
  constructor(root: string, events: WatcherEvents, mostEvents = queuedEvents() / 2) {
    this.#root = root;
    this.#events = events;
    this.#mostEvents = mostEvents;
  }

  /** What is there now is known from here on, and not told. */
  start(): void {
    this.#enter('');
    this.#changed.clear();
  }

  stop(): void {
    clearTimeout(this.#gathering);
    clearTimeout(this.#looking);
    this.#leave('');
  }

  /** Called for every event: only notes where to look. */
  #onEvent(path: string, name: string | null): void {
    if (this.#eventsOfTurn++ === 0) setImmediate(() => (this.#eventsOfTurn = 0));
    if (this.#eventsOfTurn >= this.#mostEvents || name === null) {
      this.#isMissed = true;
      this.#noticed.clear();
    }
    if (!this.#isMissed && name !== null) {
      const names = this.#noticed.get(path) ?? new Set();
      this.#noticed.set(path, names.add(name));
    }
    this.#gathering ??= setTimeout(() => this.#look(), GATHER_MS);
  }

  #look(): void {
    this.#gathering = undefined;
    if (this.#isMissed) {
      this.#isMissed = false;
      this.#leave('');
      this.start();
      return this.#events.overflow();
    }
    const noticed = [...this.#noticed];
    this.#noticed.clear();
    for (const [path, names] of noticed) {
      // A folder's own name in it is also how its own end is told.
      if (names.has(basename(join(this.#root, path)))) this.#revisit(path);
      for (const name of names) this.#lookAt(path, name, true);
    }
    this.#tell();
  }

  /** Where not everything is watched, all is compared with what was there before. */
  #lookAtAll(): void {
    this.#looking = undefined;
    this.#compare('');
    this.#tell();
  }

  #compare(path: string): void {
    const folder = this.#folders.get(path);
    if (!folder) return;
    folder.watcher ??= this.#watch(path);
    const names = new Set([...namesIn(join(this.#root, path)), ...folder.files.keys(), ...folder.folders]);
    for (const name of names) this.#lookAt(path, name, false);
    for (const name of folder.folders) this.#compare(posix.join(path, name));
  }

  /** `isChanged`: even where it looks the same. */
  #lookAt(parentPath: string, name: string, isChanged: boolean): void {
    const parent = this.#folders.get(parentPath);
    if (!parent) return;
    const path = posix.join(parentPath, name);
    const stats = statOf(join(this.#root, path));
    if (stats?.isDirectory()) {
      const isKnown = this.#folders.get(path)?.identity === identityOf(stats);
      if (isKnown || isExcluded(`${path}/`) || path.split('/').length > MOST_FOLDERS) return;
      this.#leave(path);
      if (parent.files.delete(name)) this.#changed.add(path);
      parent.folders.add(name);
      this.#enter(path);
      return;
    }
    if (parent.folders.delete(name)) this.#leave(path);
    if (isExcluded(path)) return;
    const [before, now] = [parent.files.get(name), stats && stateOf(stats)];
    if (now === undefined) parent.files.delete(name);
    else parent.files.set(name, now);
    if (isChanged || before !== now) this.#changed.add(path);
  }

  /** It may be another folder by now, under the same number even. */
  #revisit(path: string): void {
    if (!this.#folders.has(path)) return;
    this.#leave(path);
    const parent = path === '' ? undefined : this.#folders.get(dirnameOf(path));
    parent?.folders.delete(basename(path));
    if (path === '') this.#enter('');
    else this.#lookAt(dirnameOf(path), basename(path), true);
  }

  /** Watches a folder and all below, whose files have changed as far as anybody knows. */
  #enter(path: string): void {
    const waiting = [path];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const at = join(this.#root, next);
      const stats = statOf(at);
      if (!stats?.isDirectory()) continue;
      // Watched first, so that what comes while it is read is told.
      const watcher = this.#watch(next);
      const folder: Folder = { watcher, identity: identityOf(stats), folders: new Set(), files: new Map() };
      this.#folders.set(next, folder);
      for (const name of namesIn(at)) {
        const child = posix.join(next, name);
        const found = statOf(join(this.#root, child));
        if (found?.isDirectory()) {
          if (isExcluded(`${child}/`) || child.split('/').length > MOST_FOLDERS) continue;
          folder.folders.add(name);
          waiting.push(child);
        } else if (found && !isExcluded(child)) {
          folder.files.set(name, stateOf(found));
          this.#changed.add(child);
        }
      }
    }
  }

  /** Forgets a folder and all below, which has changed. */
  #leave(path: string): void {
    const waiting = [path];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const folder = this.#folders.get(next);
      if (!folder) continue;
      this.#folders.delete(next);
      folder.watcher?.close();
      for (const name of folder.files.keys()) this.#changed.add(posix.join(next, name));
      for (const name of folder.folders) waiting.push(posix.join(next, name));
    }
  }

  #watch(path: string): FSWatcher | undefined {
    try {
      const watcher = watch(join(this.#root, path), (_, name) => this.#onEvent(path, name));
      watcher.on('error', () => {
        watcher.close();
        const folder = this.#folders.get(path);
        if (folder?.watcher === watcher) folder.watcher = undefined;
        this.#lookLater();
      });
      return watcher;
    } catch {
      this.#lookLater();
      return undefined;
    }
  }

  #lookLater(): void {
    this.#looking ??= setTimeout(() => this.#lookAtAll(), LOOK_MS);
  }

  #tell(): void {
    const paths = [...this.#changed];
    this.#changed.clear();
    if (paths.length > 0) this.#events.changed(paths);
    if ([...this.#folders.values()].some(({ watcher }) => !watcher)) this.#lookLater();
  }
}

const dirnameOf = (path: string): string => {
  const parent = posix.dirname(path);
  return parent === '.' ? '' : parent;
};

const identityOf = ({ dev, ino }: Stats): string => `${dev}:${ino}`;
const stateOf = ({ ino, size, mtimeMs, ctimeMs }: Stats): string => `${ino}:${size}:${mtimeMs}:${ctimeMs}`;

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    // Gone, or in a folder that was closed to this user.
    return undefined;
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function queuedEvents(): number {
  try {
    return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8')) || QUEUED_EVENTS;
  } catch {
    return QUEUED_EVENTS;
  }
}
