import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { createRedisBus } from '../../src/cluster/redis-bus.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { silentLog as log } from '../support/log.ts';
import { hasRedis, sharedRedis, startRedis, startRedisCluster } from '../support/redis.ts';
import { describeBus, type BusWorld } from './bus.contract.ts';

describeBus('memory', async () => {
  const bus = createMemoryBus({ log });
  return { here: bus, there: bus, close: () => bus.close() };
});

interface Node {
  bus: Bus;
  dropped: string[];
  close(): Promise<void>;
}

async function openNode(url: string, nodeId: string, prefix = 'test'): Promise<Node> {
  const redis = await connectRedis({ url, log });
  const dropped: string[] = [];
  const bus = await createRedisBus({ redis, prefix, nodeId, log, onDrop: (reason) => dropped.push(reason) });
  const close = async (): Promise<void> => {
    await bus.close();
    await redis.close();
  };
  return { bus, dropped, close };
}

/** Two nodes of a deployment of their own. */
async function openTwo(url: string): Promise<BusWorld> {
  const prefix = randomUUID();
  const [here, there] = [await openNode(url, 'here', prefix), await openNode(url, 'there', prefix)];
  const close = async (): Promise<void> => {
    await Promise.all([here.close(), there.close()]);
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
    const [a, b] = [await openNode(redis.url, 'a'), await openNode(redis.url, 'b')];
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
    await Promise.all([a.close(), b.close()]);
  });

  test('[CL-81] reaches the listeners of its own node without Redis', async () => {
    await using redis = await startRedis();
    const node = await openNode(redis.url, 'a');
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
    await node.close();
  });

  test('[CL-82] starts without Redis, and listens when it is there', { timeout: 60_000 }, async () => {
    await using redis = await startRedis();
    await redis.kill();
    const a = await openNode(redis.url, 'a');
    expect(a.bus.healthy).toBe(false);
    const got = await collect(a.bus, 'topic');
    const ready = new Promise<void>((resolve) => a.bus.onReady(resolve));
    await redis.restart();
    await ready;
    const b = await openNode(redis.url, 'b');
    b.bus.publish('topic', 1);
    await expect.poll(() => got).toEqual([1]);
    await Promise.all([a.close(), b.close()]);
  });

  test('[CL-83] tells the others when it could not tell them something', async () => {
    await using redis = await startRedis();
    const [a, b] = [await openNode(redis.url, 'a'), await openNode(redis.url, 'b')];
    const got = await collect(b.bus, 'topic');
    const ready = new Promise<void>((resolve) => b.bus.onReady(resolve));
    a.bus.publish('topic', 'x'.repeat(LIMITS.busMessageBytes * 2));
    await ready;
    expect(a.dropped).toEqual(['too_large']);
    a.bus.publish('topic', 'x'.repeat(LIMITS.busMessageBytes - 8));
    await expect.poll(() => got).toHaveLength(1);
    await Promise.all([a.close(), b.close()]);
  });

  test(
    '[CL-84] drops what a hanging Redis does not take, and is back when it goes on',
    { timeout: 60_000 },
    async () => {
      await using redis = await startRedis();
      const [a, b] = [await openNode(redis.url, 'a'), await openNode(redis.url, 'b')];
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
      await Promise.all([a.close(), b.close()]);
    },
  );

  test('[CL-85] keeps deployments on one Redis apart', async () => {
    await using redis = await startRedis();
    const [a, other, b] = [
      await openNode(redis.url, 'a', 'one'),
      await openNode(redis.url, 'other', 'two'),
      await openNode(redis.url, 'b', 'one'),
    ];
    const [foreign, own] = [await collect(other.bus, 'topic'), await collect(b.bus, 'topic')];
    a.bus.publish('topic', 1);
    other.bus.publish('topic', 2);
    await expect.poll(() => own).toEqual([1]);
    await expect.poll(() => foreign).toEqual([2]);
    await Promise.all([a.close(), other.close(), b.close()]);
  });

  test('[CL-86] ends a request at once when no node answers on its topic', async () => {
    await using redis = await startRedis();
    const [a, b] = [await openNode(redis.url, 'a'), await openNode(redis.url, 'b')];
    b.bus.respond('ask', async () => 'answer');
    await b.bus.listening('ask');
    expect(await a.bus.request('ask', 1, 60_000)).toBe('answer');
    await b.close();
    await expect(a.bus.request('ask', 1, 60_000)).rejects.toMatchObject({ code: 'unavailable' });
    await a.close();
  });
});
