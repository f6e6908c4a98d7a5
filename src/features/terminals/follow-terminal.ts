/** A terminal's output from whichever node has its sandbox: goes on at the same byte where another takes it over. */
import { setTimeout as wait } from 'node:timers/promises';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { OwnerOf, TerminalFrame } from './owner.ts';
import { projectOf } from './terminal-id.ts';

export interface FollowOptions {
  ownerOf: OwnerOf;
  terminalId: string;
  after: number;
  signal: AbortSignal;
  /** An owner was found; possibly another one than before. */
  onFound: () => void;
}

/** Tries again after so long, and twice as long each time … */
const FIRST_RETRY_MS = 50;
/** … up to this. */
const LAST_RETRY_MS = 1_000;

/** Ends without a last frame only when `signal` aborts. Fails with a `Fault` when nobody can be reached any more. */
export async function* followTerminal(options: FollowOptions): AsyncGenerator<TerminalFrame, void, undefined> {
  const { ownerOf, terminalId, signal, onFound } = options;
  let position = options.after;
  let retryMs = FIRST_RETRY_MS;
  let until = Infinity;
  while (!signal.aborted) {
    let failure: Fault | undefined;
    try {
      const owner = await ownerOf(projectOf(terminalId), { start: false });
      if (owner) {
        onFound();
        for await (const frame of owner.read({ terminalId, after: position }, signal)) {
          yield frame;
          if (frame.type === 'exited') return;
          position = frame.type === 'output' ? frame.offset + frame.data.length : frame.offset;
          retryMs = FIRST_RETRY_MS;
          until = Infinity;
        }
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      failure = error;
    }
    if (signal.aborted) return;
    const nowMs = performance.now();
    until = Math.min(until, nowMs + LIMITS.terminalTakeoverMs);
    if (nowMs >= until) {
      if (failure) throw failure;
      yield { type: 'exited', end: { code: null, signal: null, reason: 'lost' } };
      return;
    }
    await wait(retryMs, undefined, { signal }).catch(() => {});
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  }
}
