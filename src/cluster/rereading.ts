/**
 * Reads again what notices told of, in case one was lost: when the bus is back, and from time to time. What has changed
 * since the last reading that succeeded is read, and a little more, since the clocks of the nodes differ.
 */
import { LIMITS } from '../protocol/index.ts';
import type { Bus } from './bus.ts';
import { systemClock, type Clock } from './clock.ts';

/** How far the clocks of two nodes may differ. */
const CLOCKS_DIFFER_MS = 60_000;

export interface RereadingDeps {
  bus: Pick<Bus, 'onReady'>;
  /** Applies what rows say that have changed since then; most of it is known already. */
  read: (since: Date) => Promise<void>;
  /** The bus is back: called before `read`. */
  onReady?: () => void;
  /** What could not be read is read again the next time. */
  onFailed: (error: unknown) => void;
  /** The time that rows carry. */
  now: () => number;
  clock?: Clock | undefined;
}

export class Rereading {
  readonly #deps: RereadingDeps;
  readonly #stops: (() => void)[];
  /** Changes before it are known here. */
  #knownUntilMs: number;
  #reading: Promise<void> | undefined;
  #again = false;

  constructor(deps: RereadingDeps) {
    this.#deps = deps;
    const { bus, onReady, now, clock = systemClock } = deps;
    this.#knownUntilMs = now();
    this.#stops = [
      bus.onReady(() => {
        onReady?.();
        void this.now();
      }),
      clock.every(LIMITS.headCompareMs, () => void this.now()),
    ];
  }

  /** Resolves when a reading that began after the call has ended. One at a time: who asks during one gets another. */
  now(): Promise<void> {
    this.#again = true;
    this.#reading ??= this.#readUntilDone().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Resolves when nothing is being read any more. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#again = false;
    await this.#reading;
  }

  async #readUntilDone(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const startedAtMs = this.#deps.now();
      try {
        await this.#deps.read(new Date(this.#knownUntilMs - CLOCKS_DIFFER_MS));
        this.#knownUntilMs = startedAtMs;
      } catch (error) {
        this.#deps.onFailed(error);
      }
    }
  }
}
