/**
 * What would be lost with a volume: what is no file of the project. It is put into an archive when its sandbox stops, and
 * back when one starts on an empty volume. Programs in the sandbox make and unpack it, so that all of it is the
 * sandbox's own doing, and its loss if it is wrong.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path/posix';
import type { Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { SandboxProcess, SpawnRequest } from '../../sandbox/agent-streams.ts';
import { EXCLUDED_FOLDERS, STAGING_FOLDER } from '../../sandbox/disk/excluded.ts';
import type { Sandbox } from '../../sandbox/driver.ts';
import { orAborted } from '../../sandbox/requests.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { ArchiveRecord, SandboxModels } from './model.ts';
import type { RunningSandbox } from './project-sandbox.ts';

export interface VolumeArchivesDeps {
  models: Pick<SandboxModels, 'volumes'>;
  blobs: Pick<Blobs, 'put' | 'get' | 'remove' | 'list'>;
  /** Archives that are larger are not kept. */
  mostBytes: number;
  log: Log;
}

/** One whose files and ways out are there. */
export type Packaged = Pick<RunningSandbox, 'projectId' | 'sandbox' | 'hold'>;

/** Under what a sandbox is held. */
export interface Holding {
  projectId: string;
  sandbox: Sandbox;
  lease: { readonly fence: number; readonly lost: AbortSignal };
}

const FOLDER = 'sandbox-archives';
/** Within the time in which a sandbox is to be started. */
const READ_MS = 30_000;
/** Who starts a sandbox waits so long for its packages. They may take longer, but not longer than this. */
const PACKAGES_WAIT_MS = 15_000;
const PACKAGES_MS = 300_000;
/** Of so many folders, whose names have no more than that together: people install the rest themselves. */
const MOST_PACKAGES = 100;
const PACKAGES_BYTES = 64 * 1024;
/** Of what programs complain of. */
const COMPLAINT_CHARS = 500;

/** Of which the image has the tool. */
const LOCKFILES = ['package-lock.json', 'npm-shrinkwrap.json'];
/** Of the home: can be fetched again, or is nobody's work. */
const CACHES = ['.tmp', '.cache', '.npm'];

const named = (names: readonly string[]): string => `\\( ${names.map((name) => `-name ${name}`).join(' -o ')} \\)`;
const kept = [...EXCLUDED_FOLDERS].filter((name) => name !== STAGING_FOLDER && name !== 'node_modules');

/** Tests of find: packages that a lockfile names; what is only in folders that are no part of the project. */
const installable = `-type d -name node_modules -execdir sh -c '${LOCKFILES.map((name) => `test -e ${name}`).join(' || ')}' \\;`;
const apart = `-type d ${named([...kept, 'node_modules'])}`;

/** $1 is the project's folder, as seen from the root. Prints the folders whose packages can be installed again. */
const PACKAGES = `
cd "/$1" && find . -mindepth 1 -name ${STAGING_FOLDER} -prune -o ${installable} -prune -printf '%h\\0' -o ${apart} -prune
`;

/**
 * $1 and $2 are the project's folder and the home, as seen from the root; the input names what the project did not take.
 * A file that cannot be read does not keep the others from being kept.
 */
const WRITE = `
cd / && {
  find "$1" -mindepth 1 -name ${STAGING_FOLDER} -prune -o ${installable} -prune -o ${apart} -prune -print0 \\
    -o \\( -type l -o -type d -empty -o -type f -size +${LIMITS.projectFileBytes}c -o ! -regex '.*' \\) -print0
  find "$2" -mindepth 1 -maxdepth 1 ! ${named(CACHES)} -print0
  xargs -0 sh -c 'for path; do test -e "$path" && printf "%s\\0" "$path"; done' sh
} 2> /dev/null | tar --create --zstd --sparse --ignore-failed-read --warning=none --null --files-from=- --file=-
`;
/** Programs that still run write on: tar ends with this then. */
const HAS_CHANGED = 1;

const READ = 'cd / && tar --extract --zstd --preserve-permissions --file=-';

export class VolumeArchives {
  readonly #deps: VolumeArchivesDeps;
  /** Theirs could not be had at their start: it is not replaced, for it may be had again. */
  readonly #unread = new WeakSet<Sandbox>();

  constructor(deps: VolumeArchivesDeps) {
    this.#deps = deps;
  }

  /**
   * Keeps what is in the sandbox, in place of what was kept before; where that fails, what was kept before stays. Tells
   * which. Never rejects. `leftOut`: paths of files that the project did not take.
   */
  async write(holding: Holding, leftOut: readonly string[], withinMs: number): Promise<boolean> {
    const { projectId, sandbox, lease } = holding;
    if (this.#unread.has(sandbox) || lease.lost.aborted) return false;
    const { log, blobs, mostBytes } = this.#deps;
    const begunMs = performance.now();
    const key = `${folderOf(projectId)}${randomBytes(8).toString('hex')}`;
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(withinMs), lease.lost]);
      const packages = await packagesOf(sandbox, signal);
      const options = { contentType: 'application/zstd', signal };
      const { sizeBytes } = await blobs.put(key, contentOf(sandbox, leftOut, mostBytes, signal), options);
      await this.#replace(projectId, { key, sizeBytes, fence: lease.fence, packages });
      log.info('a volume was archived', { projectId, sizeBytes, durationMs: since(begunMs) });
      return true;
    } catch (error) {
      log.warn('a volume could not be archived', { projectId, durationMs: since(begunMs), error });
      return false;
    }
  }

  /** Puts what was kept into the sandbox, whose volume is empty. Never rejects. */
  async read({ projectId, sandbox }: Holding, { key, sizeBytes }: ArchiveRecord): Promise<void> {
    const { log, blobs } = this.#deps;
    const begunMs = performance.now();
    const signal = AbortSignal.timeout(READ_MS);
    let isHad = false;
    try {
      const blob = await blobs.get(key);
      const { process, ended } = await runIn(sandbox, READ, signal);
      for await (const piece of blob?.body ?? []) if (!(await take(process.stdin, piece as Uint8Array))) break;
      signal.throwIfAborted();
      isHad = true;
      process.stdin.end();
      process.stdout.resume();
      await ended([0]);
      log.info('a volume was put back', { projectId, sizeBytes, durationMs: since(begunMs) });
    } catch (error) {
      if (!isHad) this.#unread.add(sandbox);
      log.warn('a volume could not be put back', { projectId, sizeBytes, durationMs: since(begunMs), error });
    }
  }

  /**
   * Installs the packages that an archive did not have, one folder after another: the project's files and the way to the
   * packages are there. Resolves when they are there, or take long. Never rejects.
   */
  async installPackages(running: Packaged, folders: readonly string[]): Promise<void> {
    const { log } = this.#deps;
    const { projectId, sandbox } = running;
    // They may take longer than this waits.
    const release = running.hold();
    const signal = AbortSignal.timeout(PACKAGES_MS);
    const installed = (async () => {
      for (const folder of folders) {
        const begunMs = performance.now();
        try {
          await install(sandbox, folder, signal);
          log.info('packages were installed again', { projectId, folder, durationMs: since(begunMs) });
        } catch (error) {
          log.warn('packages could not be installed again', { projectId, folder, durationMs: since(begunMs), error });
        }
      }
      release();
    })();
    await Promise.race([installed, pause(PACKAGES_WAIT_MS, undefined, { ref: false })]);
  }

  /** The project is gone. Repeatable. */
  async forget(projectId: string): Promise<void> {
    const { blobs } = this.#deps;
    for (;;) {
      const { items, next } = await blobs.list(folderOf(projectId));
      for (const { key } of items) await blobs.remove(key);
      if (next === null) return;
    }
  }

  /** Who has held the project's sandbox later has the last word. */
  async #replace(projectId: string, archive: ArchiveRecord): Promise<void> {
    const { models, blobs } = this.#deps;
    const mayReplace = [{ archive: { $exists: false } }, { 'archive.fence': { $lte: archive.fence } }];
    const former = await models.volumes.findOneAndUpdate(
      { _id: new Types.ObjectId(projectId), isGone: { $ne: true }, $or: mayReplace },
      { $set: { archive } },
      { returnDocument: 'before' },
    );
    if (!former) {
      await blobs.remove(archive.key);
      throw new Error('There is a later one, or the project is gone');
    }
    if (former.archive) await blobs.remove(former.archive.key);
  }
}

/** Folders of /work whose packages are not in the archive. */
async function packagesOf(sandbox: Sandbox, signal: AbortSignal): Promise<string[]> {
  const { process } = await runIn(sandbox, PACKAGES, signal);
  process.stdin.end();
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const piece of process.stdout as AsyncIterable<Uint8Array>) {
      pieces.push(piece);
      sizeBytes += piece.length;
      if (sizeBytes > PACKAGES_BYTES) break;
    }
  } finally {
    process.kill('SIGKILL');
  }
  // After the last one's end there is nothing, or a part of another.
  return Buffer.concat(pieces).toString().split('\0').slice(0, -1).slice(0, MOST_PACKAGES);
}

async function install(sandbox: Sandbox, folder: string, signal: AbortSignal): Promise<void> {
  const { process, ended } = await run(
    sandbox,
    { argv: ['npm', 'ci', '--prefer-offline'], env: { ...sandbox.env }, cwd: join(sandbox.workDir, folder) },
    signal,
  );
  process.stdin.end();
  process.stdout.resume();
  await ended([0]);
}

/** What the sandbox's tar makes of it. Throws unless that is all of it, and not too much. */
async function* contentOf(
  sandbox: Sandbox,
  leftOut: readonly string[],
  mostBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { process, ended } = await runIn(sandbox, WRITE, signal);
  const folder = sandbox.workDir.slice(1);
  let sizeBytes = 0;
  try {
    process.stdin.end(leftOut.map((path) => `${folder}/${path}\0`).join(''));
    for await (const piece of process.stdout as AsyncIterable<Uint8Array>) {
      sizeBytes += piece.length;
      if (sizeBytes > mostBytes) throw new Fault('too_large', `The archive has more than ${mostBytes} bytes`);
      yield piece;
    }
    await ended([0, HAS_CHANGED]);
  } finally {
    process.kill('SIGKILL');
  }
}

interface Running {
  process: SandboxProcess;
  /** Rejects when it has not ended with one of these codes, or not in time. */
  ended: (codes: readonly number[]) => Promise<void>;
}

function runIn(sandbox: Sandbox, script: string, signal: AbortSignal): Promise<Running> {
  const argv = ['/bin/sh', '-c', script, 'sh', sandbox.workDir.slice(1), sandbox.homeDir.slice(1)];
  // Without the folder for programs that is in the home.
  return run(sandbox, { argv, env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' }, cwd: '/' }, signal);
}

async function run(sandbox: Sandbox, command: SpawnRequest, signal: AbortSignal): Promise<Running> {
  const process = await sandbox.link.streams.spawn({ ...command, argv: sandbox.asUser(command.argv) }, signal);
  const stop = (): void => {
    process.kill('SIGKILL');
    for (const stream of [process.stdin, process.stdout, process.stderr]) stream.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  let complaint = '';
  process.stderr.on('data', (text: Buffer) => {
    if (complaint.length < COMPLAINT_CHARS) complaint += text.toString();
  });
  return {
    process,
    async ended(codes) {
      const exit = await orAborted(process.exited, signal);
      if (exit.signal === 0 && codes.includes(exit.code)) return;
      const how = exit.signal === 0 ? `code ${exit.code}` : `signal ${exit.signal}`;
      throw new Error(`It has ended with ${how}: ${complaint.slice(0, COMPLAINT_CHARS)}`);
    },
  };
}

/** False when nobody takes any more. */
const take = (to: Writable, piece: Uint8Array): Promise<boolean> =>
  new Promise((resolve) => {
    to.write(piece, (error) => resolve(!error));
  });

const folderOf = (projectId: string): string => `${FOLDER}/${projectId}/`;
const since = (begunMs: number): number => Math.round(performance.now() - begunMs);
