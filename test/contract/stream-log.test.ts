import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createMemoryStreamLog } from '../../src/cluster/memory-stream-log.ts';
import { createRedisStreamLog } from '../../src/cluster/redis-stream-log.ts';
import { STREAM_LOG_MS, type StreamLog } from '../../src/cluster/stream-log.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { silentLog } from '../support/log.ts';
import { hasRedis, startRedis, startRedisCluster } from '../support/redis.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { FakeClock } from './fake-clock.ts';
import { describeStreamLog, type StreamWorld } from './stream-log.contract.ts';

describeStreamLog('memory', async () => {
  const log = createMemoryStreamLog();
  return { here: log, there: log, close: () => log.close() };
});

async function openTwo(url: string): Promise<StreamWorld> {
  const prefix = randomUUID();
  const nodes = [await connectRedis({ url, log: silentLog }), await connectRedis({ url, log: silentLog })] as const;
  const [here, there] = nodes.map((redis) => createRedisStreamLog({ redis, prefix })) as [StreamLog, StreamLog];
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((redis) => redis.close()));
  };
  return { here, there, close };
}

const here = hasRedis();
describe.runIf(here)('on one Redis', () => {
  const redis = sharedRedis(startRedis);
  describeStreamLog('Redis', () => openTwo(redis.url));
});
describe.runIf(here)('on three shards', () => {
  const redis = sharedRedis(startRedisCluster);
  describeStreamLog('Redis Cluster', () => openTwo(redis.url));
});

describe.runIf(here)('the stream log on Redis', () => {
  test('[CL-96] keeps a stream for an hour after its last text', async () => {
    await using server = await startRedis();
    const redis = await connectRedis({ url: server.url, log: silentLog });
    const log = createRedisStreamLog({ redis, prefix: 'test' });
    await log.append('s', 0, 'text');
    const [key = ''] = await redis.commands.keys('*');
    expect(STREAM_LOG_MS - (await redis.commands.pttl(key))).toBeLessThan(60_000);
    await redis.commands.pexpire(key, 1_000);
    await log.append('s', 4, ' more');
    expect(STREAM_LOG_MS - (await redis.commands.pttl(key))).toBeLessThan(60_000);
    await redis.close();
  });

  test('[CL-97] is unavailable without Redis, and takes a stream up again when it is back empty', async () => {
    await using server = await startRedis();
    const redis = await connectRedis({ url: server.url, log: silentLog });
    const log = createRedisStreamLog({ redis, prefix: 'test' });
    await log.append('s', 0, 'abc');
    await server.kill();
    const unavailable = { name: 'Fault', code: 'unavailable' };
    await expect(log.append('s', 3, 'def')).rejects.toMatchObject(unavailable);
    await expect(log.read('s', 0)).rejects.toMatchObject(unavailable);
    await expect(log.remove('s')).rejects.toMatchObject(unavailable);
    await server.restart();
    await expect.poll(() => redis.ready).toBe(true);
    expect(await log.append('s', 6, 'ghi')).toBe(0);
    expect(await log.append('s', 0, 'abcdefghi')).toBe(9);
    expect(await log.read('s', 3)).toEqual({ text: 'defghi', offset: 3 });
    await redis.close();
  });
});

describe('the stream log in memory', () => {
  test('[CL-47] forgets a stream an hour after its last text', async () => {
    const clock = new FakeClock();
    const log = createMemoryStreamLog({ clock });
    await log.append('a', 0, 'one');
    await log.append('b', 0, 'two');
    clock.advance(STREAM_LOG_MS / 2);
    await log.append('a', 3, ' more');
    clock.advance(STREAM_LOG_MS / 2 + 1);
    expect(await log.read('b', 0)).toBeUndefined();
    expect(await log.read('a', 0)).toEqual({ text: 'one more', offset: 0 });
    clock.advance(STREAM_LOG_MS / 2);
    expect(await log.read('a', 0)).toBeUndefined();
    await log.close();
    expect(clock.timers).toBe(0);
  });

  test('[CL-48] is bounded in all: the stream without new text for longest goes first', async () => {
    const log = createMemoryStreamLog({ clock: new FakeClock(), maxChars: 10 });
    await log.append('a', 0, 'aaaa');
    await log.append('b', 0, 'bbbb');
    await log.append('a', 4, 'A');
    await log.append('c', 0, 'cccc');
    expect(await log.read('b', 0)).toBeUndefined();
    expect(await log.read('a', 0)).toEqual({ text: 'aaaaA', offset: 0 });
    expect(await log.read('c', 0)).toEqual({ text: 'cccc', offset: 0 });
    await log.close();
  });
});
