/**
 * Reads things by their keys with few queries: what is asked for in one turn of the event loop, or while a query is
 * under way, is read together. Nobody is answered by a query that began before they asked.
 */
import { withResolvers } from '../protocol/index.ts';

/** Keys of one query; databases plan for some hundreds of points, not for any number. */
const KEYS = 200;

type Waiting<V> = ReturnType<typeof withResolvers<V | undefined>>;

export class BatchLoader<V> {
  readonly #load: (keys: string[]) => Promise<ReadonlyMap<string, V>>;
  readonly #waiting = new Map<string, Waiting<V>>();
  #running = false;

  constructor(load: (keys: string[]) => Promise<ReadonlyMap<string, V>>) {
    this.#load = load;
  }

  /** Rejects as the query does that it was part of. */
  get(key: string): Promise<V | undefined> {
    const waiting = this.#waiting.get(key) ?? withResolvers<V | undefined>();
    this.#waiting.set(key, waiting);
    if (!this.#running) {
      this.#running = true;
      setImmediate(() => void this.#run());
    }
    return waiting.promise;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, KEYS);
      for (const [key] of batch) this.#waiting.delete(key);
      try {
        const found = await this.#load(batch.map(([key]) => key));
        for (const [key, { resolve }] of batch) resolve(found.get(key));
      } catch (error) {
        for (const [, { reject }] of batch) reject(error);
      }
    }
    this.#running = false;
  }
}
