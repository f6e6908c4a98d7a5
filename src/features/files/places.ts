/** The places of a project's files at one moment: which are taken, and what lies in which folder. */
import { Fault, LIMITS } from '../../protocol/index.ts';
import { complaintOf, foldersOf, keyOf } from './paths.ts';

export interface Placed {
  path: string;
}

export class Places<F extends Placed> {
  readonly #files = new Map<string, F>();
  /** By key: how the folder is written, and how many files lie in it at whatever depth. */
  readonly #folders = new Map<string, { path: string; count: number }>();

  /** Of files that are there: whatever was stored is believed. */
  constructor(files: Iterable<F>) {
    for (const file of files) this.#put(file);
  }

  get size(): number {
    return this.#files.size;
  }

  /** The file at exactly this path. */
  at(path: string): F | undefined {
    const file = this.#files.get(keyOf(path));
    return file?.path === path ? file : undefined;
  }

  find(isIt: (file: F) => boolean): F | undefined {
    for (const file of this.#files.values()) if (isIt(file)) return file;
    return undefined;
  }

  /** Everything in a folder that is written exactly so; empty if there is none. */
  under(folder: string): F[] {
    if (this.#folders.get(keyOf(folder))?.path !== folder) return [];
    const prefix = `${keyOf(folder)}/`;
    return [...this.#files].filter(([key]) => key.startsWith(prefix)).map(([, file]) => file);
  }

  hasFolder(path: string): boolean {
    return this.#folders.has(keyOf(path));
  }

  remove(file: F): void {
    this.#files.delete(keyOf(file.path));
    for (const folder of foldersOf(file.path)) {
      const key = keyOf(folder);
      const entry = this.#folders.get(key);
      if (entry && --entry.count === 0) this.#folders.delete(key);
    }
  }

  /**
   * Puts a file where nothing is. Rejects with `invalid` what is no path, with `conflict` where something is in the way,
   * and with `quota_exceeded` when the project is full.
   */
  add(file: F): void {
    const { path } = file;
    const complaint = complaintOf(path);
    if (complaint !== undefined) {
      throw new Fault('invalid', `The path cannot be used: ${path}`, {
        detail: [{ path: 'path', message: complaint }],
      });
    }
    const key = keyOf(path);
    const there = this.#files.get(key);
    if (there) throw taken(path, there.path);
    const folderThere = this.#folders.get(key);
    if (folderThere) throw taken(path, folderThere.path);
    for (const folder of foldersOf(path)) {
      const inTheWay = this.#files.get(keyOf(folder));
      if (inTheWay) throw taken(path, inTheWay.path);
      const written = this.#folders.get(keyOf(folder))?.path;
      // Two folders here would be one on many machines.
      if (written !== undefined && written !== folder) throw taken(path, written);
    }
    if (this.#files.size >= LIMITS.filesPerProject) {
      throw new Fault('quota_exceeded', `A project has at most ${LIMITS.filesPerProject} files`, {
        detail: { quotaFiles: LIMITS.filesPerProject },
      });
    }
    this.#put(file);
  }

  /** All folders, as they are written. */
  folders(): string[] {
    return [...this.#folders.values()].map(({ path }) => path);
  }

  #put(file: F): void {
    this.#files.set(keyOf(file.path), file);
    for (const path of foldersOf(file.path)) {
      const key = keyOf(path);
      const entry = this.#folders.get(key);
      if (entry) entry.count++;
      else this.#folders.set(key, { path, count: 1 });
    }
  }
}

const taken = (path: string, by: string): Fault =>
  new Fault('conflict', path === by ? `There is something at ${path}` : `${by} is in the way of ${path}`, {
    detail: { path, by },
  });
