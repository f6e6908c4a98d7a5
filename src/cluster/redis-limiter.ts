/**
 * Named limits that hold over all nodes, counted on Redis. While it is out of reach each node counts for itself, and as
 * nobody knows what the others let through, only half is let through here.
 */
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import type { RedisConnections } from '../storage/redis.ts';
import type { CreateLimiter } from './limits.ts';

export interface RedisLimiterOptions {
  redis: RedisConnections;
  /** Tells this deployment from others on the same Redis. */
  prefix: string;
}

export const redisLimiter =
  ({ redis, prefix }: RedisLimiterOptions): CreateLimiter =>
  (options) => {
    const keyPrefix = `${prefix}:limit:${options.keyPrefix}`;
    return new RateLimiterRedis({
      ...options,
      keyPrefix,
      storeClient: redis.commands,
      rejectIfRedisNotReady: true,
      insuranceLimiter: new RateLimiterMemory({ ...options, keyPrefix, points: Math.ceil(options.points / 2) }),
    });
  };
