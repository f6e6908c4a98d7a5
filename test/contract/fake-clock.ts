import type { Clock } from '../../src/cluster/clock.ts';

interface Timer {
  ms: number;
  atMs: number;
  callback: () => void;
}

/** Time that passes only when a test says so. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#nowMs;
  }

  /** Timers that have not been stopped. */
  get timers(): number {
    return this.#timers.size;
  }

  every(ms: number, callback: () => void): () => void {
    const timer: Timer = { ms, atMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Lets time pass, with every timer at its moment. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (!next || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      next.atMs += next.ms;
      next.callback();
    }
    this.#nowMs = endMs;
  }

  /** Time passes, and no timer runs in it: the event loop stands still. Each is due once afterwards. */
  standStill(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers) timer.atMs = Math.max(timer.atMs, this.#nowMs);
  }
}
