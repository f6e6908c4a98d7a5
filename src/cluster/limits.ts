/** Rate limits. Hot ones are counted in the node, synchronously; those that must hold over all nodes are shared. */
import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { ipv6Groups } from '../observability/truncate-ip.ts';
import { Fault, RATES, type RateClass } from '../protocol/index.ts';
import { systemClock, type Clock } from './clock.ts';

export interface NamedLimit {
  points: number;
  windowSeconds: number;
  /** Once it is used up, nothing is let through for so long. */
  blockSeconds?: number;
}

export interface Limits {
  /** Takes one point of the class for `key` (a user id or an address) or throws `Fault('rate_limited')` with `retryAfterMs`. */
  take(rate: RateClass, key: string): void;
  /**
   * A named limit of a feature, shared by all nodes: takes `cost` (1) of `points` per `windowSeconds` or rejects with
   * `Fault('rate_limited')` and `retryAfterMs`. Scaled like the classes.
   */
  consume(name: string, key: string, limit: NamedLimit, cost?: number): Promise<void>;
  /** Forgets what a key has used of a named limit; `limit` as in `consume`. */
  reset(name: string, key: string, limit: NamedLimit): Promise<void>;
  close(): Promise<void>;
}

export interface LimitsOptions {
  /** Multiplies the points of every limit; 0 switches them off. */
  scale: number;
  clock?: Clock;
  /** Where named limits are counted: in this node, if not given. */
  createLimiter?: CreateLimiter;
}

export type CreateLimiter = (options: {
  keyPrefix: string;
  points: number;
  /** Seconds. */
  duration: number;
  /** Seconds. */
  blockDuration: number;
}) => RateLimiterAbstract;

/** Keys of one class at once. A flood of addresses pushes out the oldest, which were closest to being free again. */
const MAX_KEYS = 100_000;
const SWEEP_MS = 10_000;

export function createLimits({ scale, clock = systemClock, createLimiter = inMemory }: LimitsOptions): Limits {
  if (scale === 0) return unlimited;
  const buckets = new Map(
    Object.entries(RATES).map(([rate, { points, windowSeconds }]) => [
      rate,
      new Buckets(Math.max(1, Math.round(points * scale)), windowSeconds * 1_000),
    ]),
  );
  const stopSweep = clock.every(SWEEP_MS, () => {
    for (const bucket of buckets.values()) bucket.sweep(clock.now());
  });
  /** By name and figures: one name may have different ones (by plan, say). */
  const limiters = new Map<string, RateLimiterAbstract>();

  const limiterOf = (name: string, { points, windowSeconds, blockSeconds = 0 }: NamedLimit): RateLimiterAbstract => {
    const keyPrefix = `${name}:${points}/${windowSeconds}/${blockSeconds}`;
    const known = limiters.get(keyPrefix);
    if (known) return known;
    const limiter = createLimiter({
      keyPrefix,
      points: Math.max(1, Math.round(points * scale)),
      duration: windowSeconds,
      blockDuration: blockSeconds,
    });
    limiters.set(keyPrefix, limiter);
    return limiter;
  };

  return {
    take(rate, key) {
      const waitMs = buckets.get(rate)?.take(oneNetwork(key), clock.now()) ?? 0;
      if (waitMs > 0) throw limited(waitMs);
    },
    async consume(name, key, limit, cost = 1) {
      try {
        await limiterOf(name, limit).consume(oneNetwork(key), cost);
      } catch (error) {
        throw error instanceof RateLimiterRes ? limited(error.msBeforeNext) : error;
      }
    },
    async reset(name, key, limit) {
      await limiterOf(name, limit).delete(oneNetwork(key));
    },
    async close() {
      stopSweep();
      limiters.clear();
    },
  };
}

const unlimited: Limits = { take: () => {}, consume: async () => {}, reset: async () => {}, close: async () => {} };

const inMemory: CreateLimiter = (options) => new RateLimiterMemory(options);

/** Buckets that hold `points` and fill up evenly within the window: a burst of all of them is fine, a steady excess is not. */
class Buckets {
  /** When each key's bucket is full again; a key without an entry has a full one. */
  readonly #fullAtMs = new Map<string, number>();
  readonly #windowMs: number;
  readonly #pointMs: number;

  constructor(points: number, windowMs: number) {
    this.#windowMs = windowMs;
    this.#pointMs = windowMs / points;
  }

  /** Takes a point, or returns how long (in ms) until there is one. */
  take(key: string, nowMs: number): number {
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(key) ?? 0) + this.#pointMs;
    // The tolerance is for sums of fractions.
    const waitMs = fullAtMs - nowMs - this.#windowMs;
    if (waitMs > 1e-6 * this.#windowMs) return waitMs;
    this.#fullAtMs.delete(key);
    this.#fullAtMs.set(key, fullAtMs);
    if (this.#fullAtMs.size > MAX_KEYS) this.#dropOldest();
    return 0;
  }

  sweep(nowMs: number): void {
    for (const [key, fullAtMs] of this.#fullAtMs) if (fullAtMs <= nowMs) this.#fullAtMs.delete(key);
  }

  #dropOldest(): void {
    for (const key of this.#fullAtMs.keys()) {
      this.#fullAtMs.delete(key);
      return;
    }
  }
}

/** One household or attacker has a whole /64 of IPv6 addresses. Other keys are as they are. */
function oneNetwork(key: string): string {
  if (!key.includes(':')) return key;
  const groups = ipv6Groups(key);
  // An IPv4 address in IPv6 form is one address.
  if (!groups || key.toLowerCase().startsWith('::ffff:')) return key;
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

function limited(waitMs: number): Fault {
  const retryAfterMs = Math.max(1, Math.ceil(waitMs));
  return new Fault('rate_limited', `Too many requests; try again in ${Math.ceil(retryAfterMs / 1_000)} s`, {
    retryAfterMs,
  });
}
