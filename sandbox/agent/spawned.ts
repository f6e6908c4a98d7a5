/** A process without a terminal, the leader of a session of its own, whose input and output are streams of the link. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { Exit, SignalName, SpawnRequest } from '../../src/sandbox/agent-protocol/index.ts';
import type { ByteStream } from '../../src/sandbox/streams/byte-stream.ts';
import { isAlive, killAll, send } from './processes.ts';

/** What others hold open after the process has ended is read until it was silent for so long … */
const SILENCE_MS = 50;
/** … or so much came: more than the kernel keeps, so all of it is theirs. */
const AFTER_EXIT_BYTES = 1024 * 1024;

export interface SpawnedStreams {
  stdin: ByteStream;
  stdout: ByteStream;
  stderr: ByteStream;
}

export interface SpawnedEvents {
  onStarted: () => void;
  /** No process could be started. */
  onFailed: () => void;
  /** After its last output has been sent. */
  onEnded: (exit: Exit) => void;
}

export class Spawned {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #hasExited = false;

  /** May throw instead of calling `onFailed`. */
  constructor({ argv, env, cwd }: SpawnRequest, streams: SpawnedStreams, events: SpawnedEvents) {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, { env, cwd, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    child.once('spawn', events.onStarted);
    child.once('error', () => {
      if (child.pid === undefined) events.onFailed();
    });
    if (child.pid === undefined) return;
    pour(streams.stdin, child.stdin);
    const ends = [pour(child.stdout, streams.stdout), pour(child.stderr, streams.stderr)];
    child.once('exit', (code, signal) => {
      this.#hasExited = true;
      streams.stdin.destroy();
      for (const end of ends) end.finishSoon();
      const exit = { code: code ?? 0, signal: signal ? constants.signals[signal] : 0 };
      void Promise.all(ends.map(({ over }) => over)).then(() => events.onEnded(exit));
    });
  }

  /** To its process group; with SIGKILL to all that is left of its session. */
  kill(signal: SignalName): void {
    const { session } = this;
    if (session === undefined) return;
    if (signal === 'SIGKILL') killAll({ sessions: new Set([session]), uids: new Set() });
    else send(-session, signal);
  }

  /** Undefined once another process may have the number. */
  get session(): number | undefined {
    const { pid } = this.#child;
    // While anything is left of a session, no process gets its number.
    return pid === undefined || (this.#hasExited && isAlive(pid)) ? undefined : pid;
  }
}

interface Pouring {
  /** Settles when nothing more comes. */
  over: Promise<unknown>;
  /** Its writer has ended: what it left is taken, not what others still write. */
  finishSoon(): void;
}

/** All of one into the other, at the pace of the slower; neither outlives the other. */
function pour(from: Readable, to: Writable): Pouring {
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  from.on('error', () => {});
  to.on('error', () => {});
  from.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
  });
  from.pipe(to);
  from.once('close', () => {
    if (!from.readableEnded) to.destroy();
  });
  to.once('close', () => from.destroy());
  const over = new Promise<void>((resolve) => {
    to.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  const finishSoon = (): void => {
    const untilBytes = bytes + AFTER_EXIT_BYTES;
    const wait = (): void => {
      const before = bytes;
      // What came while everything waited has been read by the end of a turn.
      timer = setTimeout(() => setImmediate(look, before), SILENCE_MS);
    };
    const look = (before: number): void => {
      if (from.readableEnded || to.destroyed) return;
      const isSilent = bytes === before && from.readableLength === 0 && to.writableLength === 0;
      if (!isSilent && bytes < untilBytes) return wait();
      from.unpipe(to);
      to.end();
    };
    wait();
  };
  return { over, finishSoon };
}
