/**
 * A workspace in a directory. Programs in it may do whatever they like with it meanwhile, so nothing is taken for what
 * it was a moment before: no link is followed, every folder on the way is opened by itself, and sizes are bounded.
 */
import { createHash } from 'node:crypto';
import { constants, linkSync, lstatSync, renameSync, unlinkSync, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { posix } from 'node:path';
import { isExcluded, STAGING_FOLDER } from './excluded.ts';
import type { DiskEntry, SkipReason, SwapOutcome, WorkspaceDisk } from './workspace-disk.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
const CHUNK_BYTES = 256 * 1_024;
/** Deeper ones are no folders that anybody made by hand, and each is open meanwhile. */
const MOST_FOLDERS = 64;
const PERMISSIONS = 0o777;

export interface DirectoryDiskOptions {
  /** The workspace. It exists. */
  directory: string;
  /** Larger files are read without their bytes. Bytes. */
  textBytes: number;
  /** Larger files are skipped. Bytes. */
  mostBytes: number;
}

export const createDirectoryDisk = (options: DirectoryDiskOptions): WorkspaceDisk => new DirectoryDisk(options);

class DirectoryDisk implements WorkspaceDisk {
  readonly #directory: string;
  readonly #textBytes: number;
  readonly #mostBytes: number;

  constructor({ directory, textBytes, mostBytes }: DirectoryDiskOptions) {
    this.#directory = directory;
    this.#textBytes = textBytes;
    this.#mostBytes = mostBytes;
  }

  async read(path: string): Promise<DiskEntry> {
    try {
      return await this.#read(path);
    } catch (error) {
      // Somebody has closed a folder on the way: what is in it is not gone.
      if (isErrno(error, 'EACCES')) return { kind: 'skipped', reason: 'unreadable' };
      throw error;
    }
  }

  #read(path: string): Promise<DiskEntry> {
    return this.#reading(path, async (file, { size }) => {
      const hash = createHash('sha256');
      const chunks: Uint8Array[] = [];
      let sizeBytes = 0;
      for await (const chunk of chunksOf(file)) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        // It may have grown since it was opened.
        if (sizeBytes > this.#mostBytes) return { kind: 'skipped', reason: 'too_large' };
        if (sizeBytes <= this.#textBytes && size <= this.#textBytes) chunks.push(chunk);
      }
      const isSmall = sizeBytes <= this.#textBytes && size <= this.#textBytes;
      return {
        kind: 'file',
        hash: hash.digest('hex'),
        sizeBytes,
        bytes: isSmall ? Buffer.concat(chunks) : undefined,
      };
    });
  }

  async *content(path: string): AsyncIterable<Uint8Array> {
    await using folder = await this.#folderOf(path);
    if (!folder) throw new Error(`There is no ${path}`);
    await using file = await openRegular(folder.at(path));
    if (!('handle' in file)) throw new Error(`${path} is no file`);
    let sizeBytes = 0;
    for await (const chunk of chunksOf(file.handle)) {
      sizeBytes += chunk.length;
      if (sizeBytes > this.#mostBytes) throw new Error(`${path} has grown over ${this.#mostBytes} bytes`);
      yield chunk;
    }
  }

  async *list(): AsyncIterable<string> {
    const folders = [''];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const { name, isFolder } of await this.#namesIn(folder)) {
        const path = posix.join(folder, name);
        if (isExcluded(isFolder ? `${path}/` : path)) continue;
        if (isFolder) folders.push(path);
        else yield path;
      }
    }
  }

  async stage(id: string, bytes: AsyncIterable<Uint8Array> | Uint8Array, path: string): Promise<void> {
    const mode = await this.#modeOf(path);
    await using folder = await this.#openFolder(STAGING_FOLDER, true);
    const file = await open(folder.at(newName(id)), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666);
    try {
      if (mode !== undefined) await file.chmod(mode);
      if (bytes instanceof Uint8Array) await file.writeFile(bytes);
      else for await (const chunk of bytes) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async replace(id: string, path: string): Promise<SwapOutcome> {
    await using staging = await this.#openFolder(STAGING_FOLDER, true);
    const [fresh, aside] = [staging.at(newName(id)), staging.at(asideName(id))];
    if (!(await statOf(fresh))) return 'absent';
    await using folder = await this.#folderOf(path);
    if (!folder) return 'missing';
    const target = folder.at(path);
    // What was put aside before a crash may be another file than the present one.
    await removeIfThere(aside);
    if (!(await statOf(target))?.isFile()) return 'missing';
    if (!exchange(fresh, target, aside)) return 'missing';
    await folder.sync();
    return 'swapped';
  }

  async place(id: string, path: string): Promise<SwapOutcome> {
    await using staging = await this.#openFolder(STAGING_FOLDER, true);
    const fresh = staging.at(newName(id));
    const own = await statOf(fresh);
    if (!own) return 'absent';
    await using folder = await this.#makeFolderOf(path);
    const target = folder.at(path);
    const outcome = linkNew(fresh, target);
    // Linked before a crash.
    if (outcome === 'taken' && (await statOf(target))?.ino !== own.ino) return 'taken';
    await folder.sync();
    await removeIfThere(fresh);
    return 'swapped';
  }

  async take(id: string, path: string): Promise<boolean> {
    await using staging = await this.#openFolder(STAGING_FOLDER, true);
    const aside = staging.at(asideName(id));
    if (await statOf(aside)) return true;
    await using folder = await this.#folderOf(path);
    if (!folder || !(await statOf(folder.at(path)))?.isFile()) return false;
    return rename(folder.at(path), aside) === 'moved';
  }

  async putBack(id: string, path: string): Promise<void> {
    await using staging = await this.#openFolder(STAGING_FOLDER, true);
    const aside = staging.at(asideName(id));
    const own = await statOf(aside);
    if (!own) return;
    await using folder = await this.#makeFolderOf(path);
    for (const name of [path, `${path} (${id})`]) {
      const target = folder.at(name);
      if (linkNew(aside, target) === 'linked' || (await statOf(target))?.ino === own.ino) break;
    }
    await folder.sync();
    await removeIfThere(aside);
  }

  asidePath(id: string): string {
    return asidePathOf(id);
  }

  async forget(id: string): Promise<void> {
    await using staging = await this.#openFolder(STAGING_FOLDER, true);
    for (const name of [newName(id), asideName(id)]) await removeIfThere(staging.at(name));
  }

  async ids(): Promise<string[]> {
    const names = (await this.#namesIn(STAGING_FOLDER)).filter(({ isFolder }) => !isFolder);
    return [...new Set(names.map(({ name }) => name.replace(/\.(new|old)$/, '')))];
  }

  async move(from: string, to: string): Promise<'moved' | 'missing' | 'taken'> {
    await using source = await this.#folderOf(from);
    if (!source || !(await statOf(source.at(from)))) return 'missing';
    await using target = await this.#makeFolderOf(to);
    return rename(source.at(from), target.at(to));
  }

  async #reading(path: string, read: (file: FileHandle, stats: Stats) => Promise<DiskEntry>): Promise<DiskEntry> {
    await using folder = await this.#folderOf(path);
    if (!folder) return { kind: 'missing' };
    await using file = await openRegular(folder.at(path));
    if (!('handle' in file)) return file.entry;
    if (file.stats.size > this.#mostBytes) return { kind: 'skipped', reason: 'too_large' };
    // Awaited here: the file is closed on the way out.
    return await read(file.handle, file.stats);
  }

  async #modeOf(path: string): Promise<number | undefined> {
    await using folder = await this.#folderOf(path);
    const stats = folder && (await statOf(folder.at(path)));
    return stats?.isFile() ? stats.mode & PERMISSIONS : undefined;
  }

  async #namesIn(path: string): Promise<{ name: string; isFolder: boolean }[]> {
    try {
      await using folder = await this.#tryOpenFolder(path);
      if (!folder) return [];
      const entries = await readdir(folder.at(''), { withFileTypes: true });
      return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
    } catch (error) {
      if (isErrno(error, 'EACCES', 'ENOENT')) return [];
      throw error;
    }
  }

  /** The folder that a path lies in; undefined where there is none, or it is reached by a link. */
  #folderOf(path: string): Promise<Folder | undefined> {
    assertInside(path);
    return this.#tryOpenFolder(posix.dirname(path));
  }

  #makeFolderOf(path: string): Promise<Folder> {
    assertInside(path);
    return this.#openFolder(posix.dirname(path), true);
  }

  async #tryOpenFolder(path: string): Promise<Folder | undefined> {
    try {
      return await this.#openFolder(path, false);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
      throw error;
    }
  }

  async #openFolder(path: string, make: boolean): Promise<Folder> {
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    let folder = await Folder.open(this.#directory);
    for (const name of names) {
      await using parent = folder;
      folder = await parent.open(name, make);
    }
    return folder;
  }
}

/** An open folder. What is in it is reached by its handle, so that nobody can put a link in its place meanwhile. */
class Folder {
  readonly #handle: FileHandle;
  readonly #path: string;

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    // Other systems have no way by the handle: there the path is walked again.
    this.#path = process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : path;
  }

  static async open(path: string): Promise<Folder> {
    return new Folder(await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
  }

  async open(name: string, make: boolean): Promise<Folder> {
    const path = `${this.#path}/${name}`;
    if (make) {
      await mkdir(path).catch((error: unknown) => {
        if (!isErrno(error, 'EEXIST')) throw error;
      });
    }
    return Folder.open(path);
  }

  /** Where the last part of a path is in it. */
  at(path: string): string {
    return `${this.#path}/${posix.basename(path)}`;
  }

  /** Its names are durable. */
  sync(): Promise<void> {
    return this.#handle.sync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close();
  }
}

/** Paths come from the project's tree or from `list`; any other is a bug. */
export function assertInside(path: string): void {
  const names = path.split('/');
  const isOdd = names.length > MOST_FOLDERS || names.some((name) => name === '' || name === '.' || name === '..');
  if (isOdd) throw new Error('This is no path of a workspace');
}

const newName = (id: string): string => `${id}.new`;
const asideName = (id: string): string => `${id}.old`;

/** Where what was put aside under an id is. */
export const asidePathOf = (id: string): string => posix.join(STAGING_FOLDER, asideName(id));

type Opened = AsyncDisposable & ({ handle: FileHandle; stats: Stats } | { entry: DiskEntry });

/** Opens a regular file, and nothing else: opening alone already does something to devices and pipes. */
async function openRegular(path: string): Promise<Opened> {
  const without = (entry: DiskEntry): Opened => ({ entry, [Symbol.asyncDispose]: () => Promise.resolve() });
  const skipped = (reason: SkipReason): Opened => without({ kind: 'skipped', reason });
  try {
    const before = await lstat(path);
    if (before.isSymbolicLink()) return skipped('link');
    if (before.isDirectory()) return skipped('folder');
    if (!before.isFile()) return skipped('special');
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stats = await handle.stat();
    if (stats.isFile()) return { handle, stats, [Symbol.asyncDispose]: () => handle.close() };
    await handle.close();
    return skipped('special');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return without({ kind: 'missing' });
    if (isErrno(error, 'ELOOP')) return skipped('link');
    if (isErrno(error, 'EACCES', 'EPERM', 'ENXIO', 'ENAMETOOLONG')) return skipped('unreadable');
    throw error;
  }
}

async function* chunksOf(file: FileHandle): AsyncIterable<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/**
 * Puts a file in place of another one, which gets a second name. Without a pause: what another program renames to the
 * place between these calls would be lost. False where it has removed the file.
 */
function exchange(fresh: string, target: string, aside: string): boolean {
  try {
    linkSync(target, aside);
    while (lstatSync(aside).ino !== lstatSync(target).ino) {
      unlinkSync(aside);
      linkSync(target, aside);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
  renameSync(fresh, target);
  return true;
}

function linkNew(from: string, to: string): 'linked' | 'taken' {
  try {
    linkSync(from, to);
    return 'linked';
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return 'taken';
    throw error;
  }
}

/** Where nothing is; without a pause between looking and doing. */
function rename(from: string, to: string): 'moved' | 'missing' | 'taken' {
  if (lstatSync(to, { throwIfNoEntry: false })) return 'taken';
  try {
    renameSync(from, to);
    return 'moved';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'missing';
    throw error;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

const isErrno = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(error.code as string);
