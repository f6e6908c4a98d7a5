/**
 * What would be lost with a volume that is in memory, or with its machine: what is no file of the project. It is put
 * into an archive when its sandbox stops, and back when one starts on an empty volume. Programs in the sandbox make and
 * unpack it, so that all of it is the sandbox's own doing, and its loss if it is wrong.
 */
import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { SandboxProcess } from '../../sandbox/agent-streams.ts';
import { EXCLUDED_FOLDERS, STAGING_FOLDER } from '../../sandbox/disk/excluded.ts';
import type { Sandbox } from '../../sandbox/driver.ts';
import { orAborted } from '../../sandbox/requests.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { ArchiveRecord, SandboxModels } from './model.ts';

export interface VolumeArchivesDeps {
  models: Pick<SandboxModels, 'volumes'>;
  blobs: Pick<Blobs, 'put' | 'get' | 'remove' | 'list'>;
  /** Archives that are larger are not kept. */
  mostBytes: number;
  log: Log;
}

/** Under what a sandbox is held. */
export interface Holding {
  projectId: string;
  sandbox: Sandbox;
  lease: { readonly fence: number; readonly lost: AbortSignal };
}

const FOLDER = 'sandbox-archives';
/** Both within the time in which a sandbox is to be started. */
const WRITE_MS = 40_000;
const READ_MS = 30_000;
/** While a server ends, all of its sandboxes have this together: less than what is left of `LIMITS.shutdownMs`. */
const LAST_WRITE_MS = 8_000;
/** Of what tar complains of. */
const COMPLAINT_CHARS = 500;

const LOCKFILES = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'pnpm-lock.yaml', 'bun.lock', 'bun.lockb'];
/** Of the home: can be fetched again, or is nobody's work. */
const CACHES = ['.tmp', '.cache', '.npm'];

const named = (names: readonly string[]): string => `\\( ${names.map((name) => `-name ${name}`).join(' -o ')} \\)`;
const kept = [...EXCLUDED_FOLDERS].filter((name) => name !== STAGING_FOLDER && name !== 'node_modules');

/**
 * $1 and $2 are the project's folder and the home, as seen from the root. Packages that a lockfile names are installed
 * again, from the cache. A file that cannot be read does not keep the others from being kept.
 */
const WRITE = `
cd / && {
  find "$1" -mindepth 1 -name ${STAGING_FOLDER} -prune \\
    -o -type d -name node_modules -execdir sh -c '${LOCKFILES.map((name) => `test -e ${name}`).join(' || ')}' \\; -prune \\
    -o -type d ${named([...kept, 'node_modules'])} -prune -print0 \\
    -o \\( -type l -o -type d -empty -o -type f -size +${LIMITS.projectFileBytes}c \\) -print0
  find "$2" -mindepth 1 -maxdepth 1 ! ${named(CACHES)} -print0
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
   * Keeps what is in the sandbox, in place of what was kept before; where that fails, what was kept before stays. Never
   * rejects. `isLast`: the server ends.
   */
  async write(holding: Holding, isLast: boolean): Promise<void> {
    const { projectId, sandbox, lease } = holding;
    if (this.#unread.has(sandbox) || lease.lost.aborted) return;
    const { log, blobs, mostBytes } = this.#deps;
    const begunMs = performance.now();
    const key = `${folderOf(projectId)}${randomBytes(8).toString('hex')}`;
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(isLast ? LAST_WRITE_MS : WRITE_MS), lease.lost]);
      const options = { contentType: 'application/zstd', signal };
      const { sizeBytes } = await blobs.put(key, contentOf(sandbox, mostBytes, signal), options);
      await this.#replace(projectId, { key, sizeBytes, fence: lease.fence });
      log.info('a volume was archived', { projectId, sizeBytes, durationMs: since(begunMs) });
    } catch (error) {
      log.warn('a volume could not be archived', { projectId, durationMs: since(begunMs), error });
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

/** What the sandbox's tar makes of it. Throws unless that is all of it, and not too much. */
async function* contentOf(sandbox: Sandbox, mostBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { process, ended } = await runIn(sandbox, WRITE, signal);
  let sizeBytes = 0;
  try {
    process.stdin.end();
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

/** `ended` rejects when the script has not ended with one of these codes, or not in time. */
async function runIn(
  sandbox: Sandbox,
  script: string,
  signal: AbortSignal,
): Promise<{ process: SandboxProcess; ended: (codes: readonly number[]) => Promise<void> }> {
  const { workDir, homeDir } = sandbox;
  const process = await sandbox.link.streams.spawn(
    {
      argv: sandbox.asUser(['/bin/sh', '-c', script, 'sh', workDir.slice(1), homeDir.slice(1)]),
      // Without the folder for programs that is in the home.
      env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
      cwd: '/',
    },
    signal,
  );
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
      throw new Error(`tar has ended with ${how}: ${complaint.slice(0, COMPLAINT_CHARS)}`);
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
