/** Runs tasks of one key one after another and of different keys side by side. Keys are forgotten when idle. */
export class KeyedQueue {
  /** Of every busy key, who waits for it. */
  readonly #lines = new Map<string, (() => void)[]>();

  get size(): number {
    return this.#lines.size;
  }

  /**
   * Starts `task` when the tasks before it with the same key have called their `release` (or ended).
   * Resolves as the task does.
   */
  async run<T>(key: string, task: (release: () => void) => Promise<T>): Promise<T> {
    const line = this.#lines.get(key);
    if (line) await new Promise<void>((resolve) => line.push(resolve));
    else this.#lines.set(key, []);
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      const next = this.#lines.get(key)?.shift();
      if (next) next();
      else this.#lines.delete(key);
    };
    try {
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
