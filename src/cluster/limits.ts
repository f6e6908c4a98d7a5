import type { RateClass } from '../protocol/index.ts';

/** Rate limits. Hot ones are counted in the node, synchronously; those that must hold over all nodes are shared. */
export interface Limits {
  /** Takes one point of the class for `key` (a user id or an address) or throws `Fault('rate_limited')` with `retryAfterMs`. */
  take(rate: RateClass, key: string): void;
  /**
   * A named limit of a feature, shared by all nodes: takes `cost` (1) of `points` per `windowSeconds` or rejects with
   * `Fault('rate_limited')` and `retryAfterMs`. Scaled like the classes.
   */
  consume(
    name: string,
    key: string,
    limit: { points: number; windowSeconds: number; blockSeconds?: number },
    cost?: number,
  ): Promise<void>;
  /** Forgets what a key has used of a named limit. */
  reset(name: string, key: string): Promise<void>;
  close(): Promise<void>;
}
