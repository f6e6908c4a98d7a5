import { LIMITS } from '../protocol/index.ts';

/**
 * How much may be on its way to this node, over all its streams: what the broker may have to keep while this node does
 * not read. Streams that find nothing left get their share in turn.
 */
export class CreditPool {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Up to `wanted`; 0 when too little is left. Then `onFree` is called once when it is worth asking again. */
  take(wanted: number, onFree: () => void): number {
    if (this.#free < Math.min(wanted, LIMITS.pulledChunkBytes)) {
      this.#waiting.add(onFree);
      return 0;
    }
    const granted = Math.min(wanted, this.#free);
    this.#free -= granted;
    return granted;
  }

  give(bytes: number): void {
    this.#free += bytes;
    // Who finds too little left waits again, behind the others, and is not asked twice here.
    const turns = [...this.#waiting];
    for (const wake of turns) {
      if (this.#free < LIMITS.pulledChunkBytes) return;
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** Wants nothing any more. */
  forget(onFree: () => void): void {
    this.#waiting.delete(onFree);
  }
}
