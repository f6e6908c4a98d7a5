/** One run: a process without a terminal, its output as it comes, its limits, and how it ended. */
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { LIMITS, withResolvers } from '../../protocol/index.ts';
import type { SandboxProcess } from '../../sandbox/agent-streams.ts';
import type { Ended, Piece } from './contract.ts';
import { Output, type StreamName } from './output.ts';

export interface RunLimits {
  timeoutMs: number;
  /** UTF-16 units of output after which it is ended. */
  outputChars: number;
  keptChars: number;
}

export interface RunEvents {
  onOutput: (piece: Piece) => void;
  onEnded: (ended: Ended) => void;
}

/** What is killed and does not end is given up after this: its sandbox goes, or is asked to by its owner. */
const KILLED_MS = 3_000;
/** Output of a busy program waits this long for more, so that a line is not an event of its own … */
const PAUSE_MS = 50;
/** … of which it may take this much between two pauses. */
const CHARS_A_PAUSE = (LIMITS.runCharsPerSecond * PAUSE_MS) / 1_000;

export class Run {
  readonly #process: SandboxProcess;
  readonly #limits: RunLimits;
  readonly #events: RunEvents;
  readonly #output: Output;
  readonly #startedAtMs = performance.now();
  readonly #finished = withResolvers<Ended>();
  /** Why it was killed. */
  #reason: Ended['reason'];
  #ended: Ended | undefined;
  #sincePause = 0;

  /** Whether the machine has ended some of it for memory, asked when it was ended by SIGKILL. */
  readonly #ranOutOfMemory: () => Promise<boolean>;

  constructor(process: SandboxProcess, limits: RunLimits, events: RunEvents, ranOutOfMemory: () => Promise<boolean>) {
    this.#process = process;
    this.#limits = limits;
    this.#events = events;
    this.#ranOutOfMemory = ranOutOfMemory;
    this.#output = new Output(limits.keptChars);
  }

  get output(): Pick<Output, 'after' | 'text' | 'end'> {
    return this.#output;
  }

  get ended(): Ended | undefined {
    return this.#ended;
  }

  /** How it ended, once it has. */
  get finished(): Promise<Ended> {
    return this.#finished.promise;
  }

  /** Reads it to its end. Never rejects. */
  async run(stdin: string | undefined): Promise<Ended> {
    const process = this.#process;
    // A program need not read what it is given.
    process.stdin.on('error', () => {});
    process.stdin.end(stdin ?? '');
    const timer = setTimeout(() => this.#kill('timeout'), this.#limits.timeoutMs);
    const reading = Promise.all([this.#read('stdout', process.stdout), this.#read('stderr', process.stderr)]);
    const exit = await Promise.race([reading.then(() => process.exited).catch(() => undefined), this.#givenUp.promise]);
    clearTimeout(timer);
    if (exit === undefined) this.#reason ??= 'lost';
    const signal = exit && exit.signal > 0 ? signalName(exit.signal) : null;
    if (signal === 'SIGKILL' && !this.#reason && (await this.#ranOutOfMemory())) this.#reason = 'memory';
    const reason = this.#reason;
    this.#ended = {
      exitCode: exit && signal === null ? exit.code : null,
      signal: exit ? signal : 'SIGKILL',
      durationMs: Math.round(performance.now() - this.#startedAtMs),
      timedOut: reason === 'timeout',
      truncated: reason === 'output',
      ...(reason === undefined ? {} : { reason }),
    };
    this.#events.onEnded(this.#ended);
    this.#finished.resolve(this.#ended);
    return this.#ended;
  }

  stop(): void {
    if (!this.#ended) this.#kill('stopped');
  }

  readonly #givenUp = withResolvers<undefined>();

  #kill(reason: NonNullable<Ended['reason']>): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#process.kill('SIGKILL');
    setTimeout(() => this.#givenUp.resolve(undefined), KILLED_MS).unref();
  }

  async #read(name: StreamName, stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream) {
        // Past the limit it is read only to find its end.
        if (this.#reason === 'output') continue;
        this.#tell(this.#output.add(name, chunk as Buffer));
        if (this.#output.end > this.#limits.outputChars) this.#kill('output');
        if (this.#sincePause > CHARS_A_PAUSE) {
          this.#sincePause = 0;
          await delay(PAUSE_MS);
        }
      }
    } catch {
      // Its link is gone, which `exited` tells.
    }
    this.#tell(this.#output.close(name));
  }

  #tell(piece: Piece | undefined): void {
    if (!piece || this.#ended) return;
    this.#sincePause += piece.data.length;
    this.#events.onOutput(piece);
  }
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `SIG${number}`;
}
