/**
 * Volumes with a size of their own: each an ext4 file system in a file, for which the space is taken when it is made. Its
 * parts `work` and `home` belong to one user. It is mounted on this machine only while a container is started with it;
 * after that the container has it, and with the container's end the kernel lets go of it, whoever lives then.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Fault } from '../protocol/index.ts';

const run = promisify(execFile);

/** What the machine keeps for itself. */
const SPARE_BYTES = 1024 * 1024 * 1024;
/** One file or directory for so much of a volume: 400,000 in 2 GiB, what a large node_modules has. */
const BYTES_PER_FILE = 5_368;
/** Enough to see whether this machine can do it. */
const PROBE_BYTES = 4 * 1024 * 1024;
/** Until the kernel lets go of what a container had. */
const RELEASE_MS = 10_000;
const RELEASE_LOOK_MS = 20;

/** The codes with which the script below says no. */
const LOCKED = 75;
const IN_USE = 76;

/**
 * Mounts $1 at $2 until its input ends, and so not longer than this server lives. The lock is for servers that share the
 * folder; without looking, the kernel would mount one image twice, which destroys it. No signal ends it before it has
 * unmounted, also not that there is nobody to hear that it has mounted.
 */
const MOUNT = `
trap '' INT TERM HUP PIPE
exec 9>>"$1.lock" || exit 1
flock -n 9 || exit ${LOCKED}
mkdir -p "$2" || exit 1
if mountpoint -q "$2"; then umount "$2" || exit 1; fi
test -z "$(losetup -j "$1")" || exit ${IN_USE}
mount -o loop,nosuid,nodev,noatime,noinit_itable "$1" "$2" || exit 1
echo mounted
read -r line
umount "$2" || umount -l "$2"
rmdir "$2"
`;

export interface MountedVolume {
  /** Who had it last; undefined for a new one. */
  readonly uid: number | undefined;
  /** Makes all in it that user's. */
  give(uid: number): Promise<void>;
  /** Takes it from this machine; a container that was started with it keeps it. */
  release(): Promise<void>;
}

export interface Volumes {
  /** Makes the volume if it is not there. Rejects with `unavailable` when there is no room for it, or it is in use. */
  mount(volume: string, sizeBytes: number): Promise<MountedVolume>;
  /** Resolves when no container has it any more. */
  released(volume: string): Promise<void>;
  /** Deletes it, once no container has it. Repeatable. */
  remove(volume: string): Promise<void>;
  /** What there is room for in new ones, besides what the machine keeps for itself. Bytes. */
  roomBytes(): Promise<number>;
}

/** Undefined on machines where this process cannot make them. */
export async function createVolumes(directory: string): Promise<Volumes | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const volumes = new LoopVolumes(directory);
  const probe = `probe-${randomBytes(8).toString('hex')}`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await (await volumes.mount(probe, PROBE_BYTES)).release();
    return volumes;
  } catch {
    return undefined;
  } finally {
    await volumes.remove(probe);
  }
}

class LoopVolumes implements Volumes {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async mount(volume: string, sizeBytes: number): Promise<MountedVolume> {
    const image = this.#image(volume);
    const isThere = await stat(image).then(
      () => true,
      () => false,
    );
    if (!isThere) await this.#make(image, sizeBytes);
    const place = join(this.#directory, volume);
    const holder = spawn('sh', ['-c', MOUNT, 'mount', image, place], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // What is typed at this server's terminal is not for it.
      detached: true,
    });
    await mounted(holder);
    try {
      return await owned(place, holder);
    } catch (error) {
      await end(holder);
      throw error;
    }
  }

  async released(volume: string): Promise<void> {
    const image = this.#image(volume);
    for (let waitedMs = 0; waitedMs < RELEASE_MS; waitedMs += RELEASE_LOOK_MS) {
      if ((await run('losetup', ['-j', image])).stdout === '') return;
      await delay(RELEASE_LOOK_MS);
    }
    throw new Fault('unavailable', 'The volume is still in use');
  }

  async remove(volume: string): Promise<void> {
    await this.released(volume);
    await rm(this.#image(volume), { force: true });
    await rm(`${this.#image(volume)}.lock`, { force: true });
  }

  async roomBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory);
    return Math.max(0, bavail * bsize - SPARE_BYTES);
  }

  #image(volume: string): string {
    return join(this.#directory, `${volume}.ext4`);
  }

  async #make(image: string, sizeBytes: number): Promise<void> {
    if ((await this.roomBytes()) < sizeBytes) throw new Fault('unavailable', 'The disk has no room for a volume');
    const unfinished = `${image}.${randomBytes(4).toString('hex')}`;
    try {
      // Never sparse: on a full disk writes would be lost silently. So nothing is discarded either.
      await run('fallocate', ['-l', String(sizeBytes), unfinished]);
      const files = Math.floor(sizeBytes / BYTES_PER_FILE);
      await run('mkfs.ext4', [
        '-q',
        '-F',
        '-m',
        '0',
        '-N',
        String(files),
        '-E',
        'nodiscard,lazy_itable_init=1',
        unfinished,
      ]);
      await rename(unfinished, image);
    } catch (cause) {
      throw new Fault('unavailable', 'A volume could not be made', { cause });
    } finally {
      await rm(unfinished, { force: true });
    }
  }
}

async function mounted(holder: ChildProcess): Promise<void> {
  let said = '';
  holder.stderr?.on('data', (text: Buffer) => (said += text.toString()));
  // It may be gone before it is told to end.
  holder.stdin?.on('error', () => {});
  const closed = once(holder, 'close') as Promise<[number | null]>;
  const isMounted = await Promise.race([once(holder.stdout as NodeJS.EventEmitter, 'data').then(() => true), closed]);
  if (isMounted === true) return;
  const [code] = await closed;
  const why = code === LOCKED || code === IN_USE ? 'is in use' : `could not be mounted: ${said.trim()}`;
  throw new Fault('unavailable', `The volume ${why}`);
}

async function owned(place: string, holder: ChildProcess): Promise<MountedVolume> {
  const [work, home] = [join(place, 'work'), join(place, 'home')];
  // The root of the volume is in no sandbox: its group tells whose the volume is, once all of it is.
  const { gid } = await stat(place);
  return {
    uid: gid === 0 ? undefined : gid,
    async give(uid) {
      if (uid === gid) return;
      if (gid === 0) for (const path of [work, join(home, '.tmp')]) await mkdir(path, { recursive: true });
      await run('chown', ['-Rh', `${uid}:${uid}`, work, home]);
      await run('chown', [`0:${uid}`, place]);
    },
    release: () => end(holder),
  };
}

async function end(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const exited = once(holder, 'exit');
  holder.stdin?.end();
  await exited;
}
