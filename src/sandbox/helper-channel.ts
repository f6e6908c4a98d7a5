/** One file helper and the calls to it, until it ends. It runs as the sandbox's user, and is believed no more than that. */
import { performance } from 'node:perf_hooks';
import { Fault, withResolvers } from '../protocol/index.ts';
import { parseJson } from './agent-protocol/fields.ts';
import { FrameBudget, FrameParser, type Frame } from './agent-protocol/index.ts';
import type { SandboxProcess } from './agent-streams.ts';
import {
  encodeHelperMessage,
  failureShape,
  HELPER_ANSWERS,
  HELPER_LIMITS,
  HELPER_TYPES,
  noticeShape,
  PartCollector,
  type Answer,
  type Arguments,
  type HelperOp,
} from './disk/helper-protocol.ts';

/** What the largest file takes on a disk that is busy. A helper that takes longer is started anew. */
const CALL_MS = 60_000;
/** Calls that the helper has at once: each may hold a file of 2 MiB. Others wait here, for as long as one may take. */
const CALLS = 16;
/** More is no helper of ours: it gathers what it tells. */
const FRAMES_PER_SECOND = 5_000;

export interface HelperEvents {
  /** Without paths: any. */
  changed: (paths: string[]) => void;
  /** Called once. */
  ended: (reason: string) => void;
}

interface Pending {
  op: HelperOp;
  resolve: (answered: { value: unknown; bytes: Buffer }) => void;
  reject: (error: Error) => void;
}

export class HelperChannel {
  readonly #process: SandboxProcess;
  readonly #events: HelperEvents;
  readonly #parser = new FrameParser();
  readonly #parts = new PartCollector();
  readonly #budget = new FrameBudget(FRAMES_PER_SECOND, performance.now());
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: (() => void)[] = [];
  #nextCall = 1;
  #isEnded = false;

  constructor(process: SandboxProcess, events: HelperEvents) {
    this.#process = process;
    this.#events = events;
    process.stdout.on('data', (piece: Uint8Array) => this.#receive(piece));
    // Whatever it complains of is its user's.
    process.stderr.resume();
    process.stdout.once('close', () => this.end('The file helper has ended'));
  }

  /**
   * The answer, with its bytes. Rejects with `upstream` and the system's name for what went wrong, `unavailable` when
   * the helper ends before.
   */
  async call<Op extends HelperOp>(
    op: Op,
    args: Arguments = {},
    bytes?: Uint8Array,
  ): Promise<{ value: Answer<Op>; bytes: Buffer }> {
    while (this.#pending.size >= CALLS && !this.#isEnded) {
      const { promise, resolve } = withResolvers();
      this.#waiting.push(resolve);
      await promise;
    }
    if (this.#isEnded) throw gone();
    const number = this.#nextCall++;
    const { promise, resolve, reject } = withResolvers<{ value: unknown; bytes: Buffer }>();
    this.#pending.set(number, { op, resolve, reject });
    this.#process.stdin.write(encodeHelperMessage(HELPER_TYPES.call, number, { op, args }, bytes));
    const timer = setTimeout(() => this.end(`The file helper does not answer to ${op}`), CALL_MS);
    try {
      return (await promise) as { value: Answer<Op>; bytes: Buffer };
    } finally {
      clearTimeout(timer);
      this.#waiting.shift()?.();
    }
  }

  /** Kills it. What it was asked has no answer. */
  end(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#process.kill('SIGKILL');
    for (const stream of [this.#process.stdin, this.#process.stdout, this.#process.stderr]) stream.destroy();
    for (const { reject } of this.#pending.values()) reject(gone());
    this.#pending.clear();
    for (const wake of this.#waiting.splice(0)) wake();
    this.#events.ended(reason);
  }

  #receive(piece: Uint8Array): void {
    try {
      const nowMs = performance.now();
      for (const frame of this.#parser.push(piece)) {
        if (this.#isEnded) return;
        if (!this.#budget.take(nowMs)) throw new Error('Too many frames');
        this.#handle(frame);
      }
    } catch (error) {
      this.end(`The file helper is wrong: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #handle(frame: Frame): void {
    const { type, channel, payload } = frame;
    if (type === HELPER_TYPES.notice) {
      if (channel !== 0) throw new Error('A notice to a call');
      return this.#events.changed(parseJson(payload, noticeShape).paths);
    }
    const pending = this.#pending.get(channel);
    if (!pending) throw new Error('An answer to no call');
    if (type === HELPER_TYPES.part) return this.#parts.add(frame);
    const bytes = this.#parts.take(channel);
    if (type === HELPER_TYPES.answer) {
      const value = parseJson<unknown>(payload, HELPER_ANSWERS[pending.op]);
      this.#pending.delete(channel);
      return pending.resolve({ value, bytes });
    }
    if (type !== HELPER_TYPES.failure) throw new Error(`Frames of type ${type}`);
    const code = parseJson(payload, failureShape);
    this.#pending.delete(channel);
    pending.reject(new Fault('upstream', `The sandbox's disk: ${code}`));
  }
}

const gone = (): Fault => new Fault('unavailable', "The sandbox's files cannot be reached");

/** What one piece of a file that is written takes. */
export const PIECE_BYTES = HELPER_LIMITS.partBytes * 4;
