/** Gathers what is told for a moment, and gives it on once. */

export class Gathered {
  readonly #ms: number;
  readonly #take: (all: readonly string[]) => void;
  readonly #waiting = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, take: (all: readonly string[]) => void) {
    this.#ms = ms;
    this.#take = take;
  }

  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Of nothing, too: something has happened. */
  add(some: readonly string[]): void {
    for (const one of some) this.#waiting.add(one);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const all = [...this.#waiting];
      this.#waiting.clear();
      this.#take(all);
    }, this.#ms).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting.clear();
  }
}
