/**
 * The files of a sandbox, through a helper that runs in it as its user: started when the bulk link is there, and again
 * whenever it ends. Calls wait for it a moment; one that it was asked before its end rejects with `unavailable`, done
 * or not.
 */
import { createHash } from 'node:crypto';
import type { Log } from '../observability/log.ts';
import { Fault, LIMITS } from '../protocol/index.ts';
import type { AgentStreams, SpawnRequest } from './agent-streams.ts';
import { asidePathOf, assertInside } from './disk/directory-disk.ts';
import type { Answer, Arguments, HelperOp } from './disk/helper-protocol.ts';
import type { DiskEntry, SwapOutcome, WorkspaceDisk } from './disk/workspace-disk.ts';
import { HelperChannel, PIECE_BYTES } from './helper-channel.ts';

/** Before another helper is started, each time twice as long … */
const RESTART_MS = 100;
/** … up to this, where it cannot run or is killed for sport. */
const RESTART_MOST_MS = 10_000;
/** A helper that has run for so long was well. */
const WELL_MS = 60_000;
/** How long a call waits for a helper. */
const WAIT_MS = 10_000;
/** A workspace with more files than this is nobody's project. */
const MOST_LISTED = 100_000;

export interface SandboxDiskOptions {
  streams: AgentStreams;
  /** The helper's command line, which runs it as the sandbox's user: `node …/sandbox/agent/files/main.js`. */
  helper: SpawnRequest;
  /** The workspace's directory in the sandbox. */
  directory: string;
  log: Log;
  /** Larger files are skipped. Bytes. */
  mostBytes?: number;
}

export interface DiskWatcher {
  /** These may have changed, come or gone. */
  changed: (paths: string[]) => void;
  /** Any may have: told when watching begins, when it begins again, and when events were lost. */
  overflow: () => void;
}

export interface SandboxDisk extends WorkspaceDisk {
  /** One watcher at a time. Returns how to stop. */
  watch(watcher: DiskWatcher): () => void;
  /** Ends the helper. */
  close(): void;
}

export const createSandboxDisk = (options: SandboxDiskOptions): SandboxDisk => new HelpedDisk(options);

class HelpedDisk implements SandboxDisk {
  readonly #options: SandboxDiskOptions;
  readonly #mostBytes: number;
  readonly #stopListening: () => void;
  readonly #waiting = new Set<() => void>();
  #watcher: DiskWatcher | undefined;
  /** `begun` helpers only. */
  #channel: HelperChannel | undefined;
  #starting: HelperChannel | 'spawning' | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MS;
  #isClosed = false;

  constructor(options: SandboxDiskOptions) {
    this.#options = options;
    this.#mostBytes = options.mostBytes ?? LIMITS.projectFileBytes;
    this.#stopListening = options.streams.onConnected(() => this.#startSoon(0));
    if (options.streams.isConnected) this.#startSoon(0);
  }

  watch(watcher: DiskWatcher): () => void {
    if (this.#watcher) throw new Error('There is a watcher');
    this.#watcher = watcher;
    if (this.#channel) void this.#startWatching(this.#channel);
    return () => {
      this.#watcher = undefined;
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#stopListening();
    clearTimeout(this.#restart);
    this.#channel?.end('Closed');
    if (this.#starting instanceof HelperChannel) this.#starting.end('Closed');
    for (const wake of this.#waiting) wake();
  }

  async read(path: string): Promise<DiskEntry> {
    assertInside(path);
    const channel = await this.#helper();
    const { value, bytes } = await channel.call('read', { path });
    if (value.kind !== 'file') return value;
    const { kind, hash, sizeBytes, withBytes } = value;
    const isRight = withBytes ? sizeBytes === bytes.length && hashOf(bytes) === hash : bytes.length === 0;
    if (!isRight || sizeBytes > this.#mostBytes || (withBytes && sizeBytes > LIMITS.documentTextBytes)) {
      throw wrong(channel, 'A file that cannot be');
    }
    return { kind, hash, sizeBytes, bytes: withBytes ? bytes : undefined };
  }

  async *content(path: string): AsyncIterable<Uint8Array> {
    assertInside(path);
    const channel = await this.#helper();
    const { value: handle } = await channel.call('open', { path });
    try {
      let sizeBytes = 0;
      for (;;) {
        const { value: isPiece, bytes } = await channel.call('next', { handle });
        if (!isPiece) return;
        sizeBytes += bytes.length;
        if (bytes.length === 0 || sizeBytes > this.#mostBytes) throw wrong(channel, 'A file without an end');
        yield bytes;
      }
    } finally {
      await closeHandle(channel, handle);
    }
  }

  async *list(): AsyncIterable<string> {
    const channel = await this.#helper();
    const { value: handle } = await channel.call('list');
    try {
      let count = 0;
      for (;;) {
        const { paths, isLast } = (await channel.call('page', { handle })).value;
        count += paths.length;
        if (paths.length === 0 && !isLast) throw wrong(channel, 'A list without an end');
        if (count > MOST_LISTED) throw new Fault('too_large', 'The workspace has too many files');
        yield* paths;
        if (isLast) return;
      }
    } finally {
      await closeHandle(channel, handle);
    }
  }

  async stage(id: string, bytes: AsyncIterable<Uint8Array> | Uint8Array, path: string): Promise<void> {
    assertInside(path);
    const channel = await this.#helper();
    const { value: handle } = await channel.call('stage', { id, path });
    try {
      for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
        for (let from = 0; from < chunk.length; from += PIECE_BYTES) {
          await channel.call('write', { handle }, chunk.subarray(from, from + PIECE_BYTES));
        }
      }
      await channel.call('finish', { handle });
    } finally {
      await closeHandle(channel, handle);
    }
  }

  replace(id: string, path: string): Promise<SwapOutcome> {
    return this.#call('replace', { id, path }, path);
  }

  place(id: string, path: string): Promise<SwapOutcome> {
    return this.#call('place', { id, path }, path);
  }

  take(id: string, path: string): Promise<boolean> {
    return this.#call('take', { id, path }, path);
  }

  async putBack(id: string, path: string): Promise<void> {
    await this.#call('putBack', { id, path }, path);
  }

  asidePath(id: string): string {
    return asidePathOf(id);
  }

  async forget(id: string): Promise<void> {
    await this.#call('forget', { id });
  }

  ids(): Promise<string[]> {
    return this.#call('ids', {});
  }

  async move(from: string, to: string): Promise<'moved' | 'missing' | 'taken'> {
    return this.#call('move', { from, to }, from, to);
  }

  async #call<Op extends HelperOp>(op: Op, args: Arguments, ...paths: string[]): Promise<Answer<Op>> {
    for (const path of paths) assertInside(path);
    const channel = await this.#helper();
    return (await channel.call(op, args)).value;
  }

  async #helper(): Promise<HelperChannel> {
    if (!this.#channel && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, WAIT_MS);
        this.#waiting.add(wake);
      });
    }
    if (!this.#channel) throw new Fault('unavailable', "The sandbox's files cannot be reached");
    return this.#channel;
  }

  #startSoon(afterMs: number): void {
    if (this.#isClosed || this.#channel || this.#starting) return;
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => void this.#start(), afterMs);
  }

  async #start(): Promise<void> {
    const { streams, helper, directory, log } = this.#options;
    // It is told of when it comes.
    if (this.#isClosed || this.#starting || this.#channel || !streams.isConnected) return;
    this.#starting = 'spawning';
    const startedAtMs = performance.now();
    let channel: HelperChannel | undefined;
    try {
      const process = await streams.spawn(helper, AbortSignal.timeout(WAIT_MS));
      channel = new HelperChannel(process, {
        changed: (paths) => this.#onChanged(paths),
        ended: (reason) => {
          if (!this.#isClosed) log.warn('A file helper was ended', { reason });
          const isWell = performance.now() - startedAtMs > WELL_MS;
          this.#restartMs = isWell ? RESTART_MS : Math.min(RESTART_MOST_MS, 2 * this.#restartMs);
          if (this.#channel === channel) this.#channel = undefined;
          if (this.#starting === channel) this.#starting = undefined;
          this.#startSoon(this.#restartMs);
        },
      });
      this.#starting = channel;
      if (this.#isClosed) return channel.end('Closed');
      await channel.call('begin', { directory, textBytes: LIMITS.documentTextBytes, mostBytes: this.#mostBytes });
      this.#starting = undefined;
      this.#channel = channel;
      for (const wake of [...this.#waiting]) wake();
      await this.#startWatching(channel);
    } catch (error) {
      if (channel) return channel.end(String(error));
      this.#starting = undefined;
      log.warn('The file helper of a sandbox cannot be started', { error });
      this.#restartMs = Math.min(RESTART_MOST_MS, 2 * this.#restartMs);
      this.#startSoon(this.#restartMs);
    }
  }

  /** What happened before is not known. */
  async #startWatching(channel: HelperChannel): Promise<void> {
    const watcher = this.#watcher;
    if (!watcher) return;
    try {
      await channel.call('watch');
    } catch (error) {
      return channel.end(String(error));
    }
    if (this.#channel === channel && this.#watcher === watcher) watcher.overflow();
  }

  #onChanged(paths: string[]): void {
    if (paths.length > 0) this.#watcher?.changed(paths);
    else this.#watcher?.overflow();
  }
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Ends it: nothing that it says is of use. */
function wrong(channel: HelperChannel, what: string): Fault {
  channel.end(`The file helper is wrong: ${what}`);
  return new Fault('upstream', "The sandbox's disk gives what cannot be");
}

/** Where the helper has ended, so have its handles. */
async function closeHandle(channel: HelperChannel, handle: number): Promise<void> {
  await channel.call('close', { handle }).catch(() => {});
}
