/** Runs tasks of one key one after another and of different keys side by side. Keys are forgotten when idle. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>();

  get size(): number {
    return this.#tails.size;
  }

  /**
   * Starts `task` when the tasks before it with the same key have called their `release` (or ended).
   * Resolves as the task does.
   */
  async run<T>(key: string, task: (release: () => void) => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = withResolvers();
    const tail = before ? before.then(() => promise) : promise;
    this.#tails.set(key, tail);
    const release = (): void => {
      resolve();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    try {
      if (before) await before;
      return await task(release);
    } finally {
      release();
    }
  }
}

/** `Promise.withResolvers`, which Node 20 does not have. */
export function withResolvers<T = void>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((ok, no) => {
    resolve = ok;
    reject = no;
  });
  return { promise, resolve, reject };
}
