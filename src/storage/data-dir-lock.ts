/**
 * One process per data directory, unless all of them say that they share it.
 *
 * Each process listens on a socket file of its own in `<dataDir>/locks`; who can connect to it knows that the process
 * lives. The kernel closes the socket with the process, however it ends, so a file that refuses connections is left over
 * and is removed; no pid has to be trusted, and processes in different containers see each other too. Everyone shows
 * their own file before they look for the others', so two that start together never both go on.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DataDirLock {
  close(): Promise<void>;
}

/** Another process has the directory; this one should end with code 78. */
export class DataDirLocked extends Error {
  override readonly name = 'DataDirLocked';
  readonly pid: number;

  constructor(dataDir: string, pid: number) {
    super(
      `${dataDir} is in use by process ${pid}. End that one, choose another DATA_DIR, or share it by giving all the same REDIS_URL.`,
    );
    this.pid = pid;
  }
}

export interface DataDirLockOptions {
  dataDir: string;
  /** This process lets others in that say the same. */
  shared?: boolean;
}

type Mode = 'shared' | 'exclusive';

/** Files of processes that are known to listen: `<pid>-<random>.<mode>.sock`. Anything else is a draft. */
const LOCK_FILE = /^(\d+)-[0-9a-f]+\.(shared|exclusive)\.sock$/;
/** Node cuts longer paths of unix sockets silently. */
const LONGEST_SOCKET_PATH = 100;
/** Two that start together both step back, and try again after a random while, at most this long and then doubled. */
const TRIES = 5;
const STEP_BACK_MS = 60;

/** Rejects with `DataDirLocked` when another process has the directory. */
export async function lockDataDir({ dataDir, shared = false }: DataDirLockOptions): Promise<DataDirLock> {
  const directory = join(dataDir, 'locks');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const mode: Mode = shared ? 'shared' : 'exclusive';
  for (let tries = 1; ; tries++) {
    const lock = await show(directory, mode);
    const other = await findOther(directory, lock.file, mode).catch(async (error: unknown) => {
      await lock.close();
      throw error;
    });
    if (other === undefined) return lock;
    await lock.close();
    if (tries === TRIES) throw new DataDirLocked(dataDir, other);
    await sleep(Math.random() * STEP_BACK_MS * 2 ** (tries - 1));
  }
}

/** Listens on a file that the others see. */
async function show(directory: string, mode: Mode): Promise<DataDirLock & { file: string }> {
  const file = `${process.pid}-${randomBytes(4).toString('hex')}.${mode}.sock`;
  const draft = `${file}.draft`;
  const server = createServer((socket) => socket.destroy());
  await withShortPath(directory, draft, (path) => listen(server, path));
  server.unref();
  // The file gets its name when it is listened on: the others would take it for a left-over one before.
  await rename(join(directory, draft), join(directory, file));
  return {
    file,
    async close() {
      await rm(join(directory, file), { force: true });
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      // What goes wrong with a visitor later is no concern of ours.
      server.on('error', () => {});
      resolve();
    });
  });
}

/** The pid of a living process that does not go together with this one. Removes what dead ones left. */
async function findOther(directory: string, own: string, mode: Mode): Promise<number | undefined> {
  for (const file of await readdir(directory)) {
    const [, pid, otherMode] = LOCK_FILE.exec(file) ?? [];
    if (pid === undefined || file === own || (mode === 'shared' && otherMode === 'shared')) continue;
    if (await withShortPath(directory, file, answers)) return Number(pid);
    await rm(join(directory, file), { force: true });
  }
  return undefined;
}

/** Whether somebody listens. Their event loop need not run for that: the kernel takes the connection. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      // Its queue is full of other visitors: it lives.
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/** Calls with a path to the file that is short enough for a socket. */
async function withShortPath<T>(directory: string, file: string, use: (path: string) => Promise<T>): Promise<T> {
  const fits = [join(directory, file), relative('', join(directory, file))].find(
    (path) => Buffer.byteLength(path) <= LONGEST_SOCKET_PATH,
  );
  if (fits !== undefined) return use(fits);
  if (process.platform !== 'linux') throw new Error(`The path ${directory} is too long: choose a shorter DATA_DIR`);
  const descriptor = openSync(directory, constants.O_RDONLY);
  try {
    return await use(`/proc/self/fd/${descriptor}/${file}`);
  } finally {
    closeSync(descriptor);
  }
}
