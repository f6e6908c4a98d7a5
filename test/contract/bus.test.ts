import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { silentLog as log } from '../support/log.ts';
import { hasRedis, startRedis, startRedisCluster } from '../support/redis.ts';
import { openRedisNode } from '../support/redis-node.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { describeBus, type BusWorld } from './bus.contract.ts';

describeBus('memory', async () => {
  const bus = createMemoryBus({ log });
  return { here: bus, there: bus, close: () => bus.close() };
});

/** Two nodes of a deployment of their own. */
async function openTwo(url: string): Promise<BusWorld> {
  const prefix = randomUUID();
  const [here, there] = [await openRedisNode(url, 'here', prefix), await openRedisNode(url, 'there', prefix)];
  const close = async (): Promise<void> => {
    await Promise.all([here[Symbol.asyncDispose](), there[Symbol.asyncDispose]()]);
  };
  return { here: here.bus, there: there.bus, close };
}

const here = hasRedis();
describe.runIf(here)('on one Redis', () => {
  const redis = sharedRedis(startRedis);
  describeBus('Redis', () => openTwo(redis.url));
});
describe.runIf(here)('on three shards', () => {
  const redis = sharedRedis(startRedisCluster);
  describeBus('Redis Cluster', () => openTwo(redis.url), { ordersTopics: false });
});

describe.runIf(here)('the bus on Redis', () => {
  const collect = async (bus: Bus, topic: string): Promise<unknown[]> => {
    const got: unknown[] = [];
    bus.subscribe(topic, (data) => got.push(data));
    await bus.listening(topic);
    return got;
  };

  test('[CL-80] works again by itself when Redis comes back empty, and says so', async () => {
    await using redis = await startRedis();
    await using a = await openRedisNode(redis.url, 'a');
    await using b = await openRedisNode(redis.url, 'b');
    const got = await collect(b.bus, 'topic');
    let [readyA, readyB] = [0, 0];
    a.bus.onReady(() => readyA++);
    b.bus.onReady(() => readyB++);
    await redis.kill();
    await expect.poll(() => a.bus.healthy || b.bus.healthy).toBe(false);
    a.bus.publish('topic', 'lost');
    await expect.poll(() => a.dropped).toEqual(['out_of_reach']);
    await redis.restart();
    await expect.poll(() => readyA > 0 && readyB > 0 && a.bus.healthy && b.bus.healthy, { timeout: 10_000 }).toBe(true);
    a.bus.publish('topic', 'heard');
    await expect.poll(() => got).toEqual(['heard']);
  });

  test('[CL-81] reaches the listeners of its own node without Redis', async () => {
    await using redis = await startRedis();
    await using node = await openRedisNode(redis.url, 'a');
    const got = await collect(node.bus, 'topic');
    node.bus.respond('ask', async () => 'answer');
    await redis.kill();
    await expect.poll(() => node.bus.healthy).toBe(false);
    node.bus.publish('topic', 1);
    await expect.poll(() => got).toEqual([1]);
    expect(await node.bus.request('ask', 1, 5_000)).toBe('answer');
    await expect(node.bus.request('nobody', 1, 60_000)).rejects.toMatchObject({ code: 'unavailable' });
    const late = await collect(node.bus, 'late');
    node.bus.publish('late', 2);
    await expect.poll(() => late).toEqual([2]);
  });

  test('[CL-82] starts without Redis, and listens when it is there', { timeout: 60_000 }, async () => {
    await using redis = await startRedis();
    await redis.kill();
    await using a = await openRedisNode(redis.url, 'a');
    expect(a.bus.healthy).toBe(false);
    const got = await collect(a.bus, 'topic');
    const ready = new Promise<void>((resolve) => a.bus.onReady(resolve));
    await redis.restart();
    await ready;
    await using b = await openRedisNode(redis.url, 'b');
    b.bus.publish('topic', 1);
    await expect.poll(() => got).toEqual([1]);
  });

  test('[CL-83] tells the others when it could not tell them something', async () => {
    await using redis = await startRedis();
    await using a = await openRedisNode(redis.url, 'a');
    await using b = await openRedisNode(redis.url, 'b');
    const got = await collect(b.bus, 'topic');
    const ready = new Promise<void>((resolve) => b.bus.onReady(resolve));
    a.bus.publish('topic', 'x'.repeat(LIMITS.busMessageBytes * 2));
    await ready;
    expect(a.dropped).toEqual(['too_large']);
    a.bus.publish('topic', 'x'.repeat(LIMITS.busMessageBytes - 8));
    await expect.poll(() => got).toHaveLength(1);
  });

  test(
    '[CL-84] drops what a hanging Redis does not take, and is back when it goes on',
    { timeout: 60_000 },
    async () => {
      await using redis = await startRedis();
      await using a = await openRedisNode(redis.url, 'a');
      await using b = await openRedisNode(redis.url, 'b');
      const got = await collect(b.bus, 'topic');
      redis.pause();
      const big = 'x'.repeat(LIMITS.busMessageBytes - 8);
      for (let sent = 0; sent <= LIMITS.busWaitingBytes / LIMITS.busMessageBytes; sent++) a.bus.publish('topic', big);
      expect(a.dropped).toContain('waiting');
      await expect.poll(() => a.bus.healthy || b.bus.healthy, { timeout: 10_000 }).toBe(false);
      const before = got.length;
      const ready = new Promise<void>((resolve) => b.bus.onReady(resolve));
      redis.resume();
      await ready;
      await expect.poll(() => a.bus.healthy, { timeout: 10_000 }).toBe(true);
      a.bus.publish('topic', 'heard');
      await expect.poll(() => got.at(-1), { timeout: 10_000 }).toBe('heard');
      expect(got.length).toBeGreaterThan(before);
    },
  );

  test('[CL-85] keeps deployments on one Redis apart', async () => {
    await using redis = await startRedis();
    await using a = await openRedisNode(redis.url, 'a', 'one');
    await using other = await openRedisNode(redis.url, 'other', 'two');
    await using b = await openRedisNode(redis.url, 'b', 'one');
    const [foreign, own] = [await collect(other.bus, 'topic'), await collect(b.bus, 'topic')];
    a.bus.publish('topic', 1);
    other.bus.publish('topic', 2);
    await expect.poll(() => own).toEqual([1]);
    await expect.poll(() => foreign).toEqual([2]);
  });

  test('[CL-87] listens again, and says so, when Redis cuts off its subscriber', async () => {
    await using redis = await startRedis();
    await using a = await openRedisNode(redis.url, 'a');
    await using b = await openRedisNode(redis.url, 'b');
    const got = await collect(b.bus, 'topic');
    const ready = Promise.all([a, b].map(({ bus }) => new Promise<void>((resolve) => bus.onReady(resolve))));
    await a.redis.commands.client('KILL', 'TYPE', 'PUBSUB');
    await ready;
    a.bus.publish('topic', 1);
    await expect.poll(() => got).toEqual([1]);
  });

  test('[CL-86] ends a request at once when no node answers on its topic', async () => {
    await using redis = await startRedis();
    await using a = await openRedisNode(redis.url, 'a');
    await using b = await openRedisNode(redis.url, 'b');
    b.bus.respond('ask', async () => 'answer');
    await b.bus.listening('ask');
    expect(await a.bus.request('ask', 1, 60_000)).toBe('answer');
    await b[Symbol.asyncDispose]();
    await expect(a.bus.request('ask', 1, 60_000)).rejects.toMatchObject({ code: 'unavailable' });
  });
});
