/** At most so many at once of each key; others wait in the order they came. */
export class Slots {
  readonly #perKey: number;
  readonly #keys = new Map<string, { taken: number; waiting: (() => void)[] }>();

  constructor(perKey: number) {
    this.#perKey = perKey;
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const state = this.#keys.get(key) ?? { taken: 0, waiting: [] };
    this.#keys.set(key, state);
    if (state.taken < this.#perKey) state.taken++;
    else await new Promise<void>((resolve) => state.waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place goes to the next one as it is.
      const next = state.waiting.shift();
      if (next) next();
      else if (--state.taken === 0) this.#keys.delete(key);
    }
  }
}
