/** Runs tasks of one key one after another and of different keys side by side. Keys are forgotten when idle. */
export class KeyedQueue {
  /** Of every busy key, who waits for it; undefined until somebody does. */
  readonly #lines = new Map<string, (() => void)[] | undefined>();

  get size(): number {
    return this.#lines.size;
  }

  /**
   * Starts `task` when the tasks before it with the same key have called their `release` (or ended).
   * Resolves as the task does.
   */
  async run<T>(key: string, task: (release: () => void) => Promise<T>): Promise<T> {
    if (this.#lines.has(key)) await this.#wait(key);
    else this.#lines.set(key, undefined);
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

  #wait(key: string): Promise<void> {
    const line = this.#lines.get(key) ?? [];
    this.#lines.set(key, line);
    return new Promise((resolve) => line.push(resolve));
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
