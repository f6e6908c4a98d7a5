import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createLimits, type LimitsOptions } from '../../src/cluster/limits.ts';
import { redisLimiter } from '../../src/cluster/redis-limiter.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { silentLog } from '../support/log.ts';
import { hasRedis, startRedis, startRedisCluster } from '../support/redis.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { describeLimits, type LimitsWorld } from './limits.contract.ts';

describeLimits('memory', async (options) => {
  const limits = createLimits(options);
  return { limits, close: () => limits.close() };
});

async function open(url: string, options: LimitsOptions, prefix: string = randomUUID()): Promise<LimitsWorld> {
  const redis = await connectRedis({ url, log: silentLog });
  const limits = createLimits({ ...options, createLimiter: redisLimiter({ redis, prefix }) });
  const close = async (): Promise<void> => {
    await limits.close();
    await redis.close();
  };
  return { limits, close };
}

const here = hasRedis();
describe.runIf(here)('on one Redis', () => {
  const redis = sharedRedis(startRedis);
  describeLimits('Redis', (options) => open(redis.url, options));
});
describe.runIf(here)('on three shards', () => {
  const redis = sharedRedis(startRedisCluster);
  describeLimits('Redis Cluster', (options) => open(redis.url, options));
});

describe.runIf(here)('the limits on Redis', () => {
  const limit = { points: 4, windowSeconds: 60 };
  const limited = { code: 'rate_limited' };

  test('[CL-98] count a named limit over all nodes, and forget it on all', async () => {
    await using redis = await startRedis();
    const [a, b] = [await open(redis.url, { scale: 1 }, 'one'), await open(redis.url, { scale: 1 }, 'one')];
    for (const { limits } of [a, b, a, b]) await limits.consume('otp', 'ann', limit);
    for (const { limits } of [a, b]) await expect(limits.consume('otp', 'ann', limit)).rejects.toMatchObject(limited);
    const fresh = await open(redis.url, { scale: 1 }, 'one');
    await fresh.limits.reset('otp', 'ann', limit);
    for (const { limits } of [a, b, a, fresh]) await limits.consume('otp', 'ann', limit);
    await expect(b.limits.consume('otp', 'ann', limit)).rejects.toMatchObject(limited);
    await Promise.all([a.close(), b.close(), fresh.close()]);
  });

  test('[CL-99] let half through on each node while Redis is out of reach', async () => {
    await using redis = await startRedis();
    const node = await open(redis.url, { scale: 1 });
    await node.limits.consume('otp', 'ann', limit);
    await redis.kill();
    for (let count = 0; count < 2; count++) await node.limits.consume('otp', 'ann', limit);
    await expect(node.limits.consume('otp', 'ann', limit)).rejects.toMatchObject(limited);
    await node.limits.reset('otp', 'ann', limit);
    await node.limits.consume('otp', 'ann', limit);
    await redis.restart();
    await expect
      .poll(async () => {
        const outcomes = Array.from({ length: 4 }, () => node.limits.consume('otp', 'bob', limit));
        return (await Promise.allSettled(outcomes)).filter(({ status }) => status === 'fulfilled').length;
      })
      .toBe(4);
    await node.close();
  });
});

describe('the limits in memory', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('[CL-70] let a named limit through again when its window has passed', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    const limits = createLimits({ scale: 1 });
    const limit = { points: 1, windowSeconds: 60 };
    await limits.consume('otp', 'ann', limit);
    vi.advanceTimersByTime(59_999);
    await expect(limits.consume('otp', 'ann', limit)).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 1 });
    vi.advanceTimersByTime(1);
    await limits.consume('otp', 'ann', limit);
    await limits.close();
  });
});
