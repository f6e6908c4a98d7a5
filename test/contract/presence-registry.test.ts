import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createMemoryPresenceRegistry } from '../../src/cluster/memory-presence-registry.ts';
import type { PresenceRegistry } from '../../src/cluster/presence-registry.ts';
import { PRESENCE_EXPIRY_MS } from '../../src/cluster/redis-presence-entries.ts';
import { createRedisPresenceRegistry } from '../../src/cluster/redis-presence-registry.ts';
import { silentLog as log } from '../support/log.ts';
import { openRedisNode, type RedisNode } from '../support/redis-node.ts';
import { hasRedis, startRedis, startRedisCluster } from '../support/redis.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { startTcpCutter } from '../support/tcp-cutter.ts';
import { describePresenceRegistry, type PresenceWorld } from './presence-registry.contract.ts';

describePresenceRegistry('memory', async () => {
  const registry = createMemoryPresenceRegistry();
  return { here: registry, there: registry, close: () => registry.close() };
});

interface PresenceNode extends RedisNode {
  registry: PresenceRegistry;
  told: [userId: string, vanished: boolean][];
  gone: string[];
  reach: boolean[];
  /** Its beat stops, as when its process is killed: it says goodbye to nobody. */
  kill(): void;
}

async function openNode(url: string, nodeId: string, prefix = 'test'): Promise<PresenceNode> {
  const node = await openRedisNode(url, nodeId, prefix);
  const { redis, bus } = node;
  const registry = await createRedisPresenceRegistry({ redis, prefix, nodeId, bus, log });
  // A shard may refuse its first subscriptions.
  await expect.poll(() => bus.healthy, { timeout: 10_000 }).toBe(true);
  const seen = { told: [] as [string, boolean][], gone: [] as string[], reach: [] as boolean[] };
  registry.onChange((userId, vanished) => seen.told.push([userId, vanished]));
  registry.onGone(async (userIds) => void seen.gone.push(...userIds));
  registry.onReach((inReach) => seen.reach.push(inReach));
  return {
    ...node,
    ...seen,
    registry,
    kill: () => redis.commands.disconnect(),
    async [Symbol.asyncDispose]() {
      await registry.close();
      await node[Symbol.asyncDispose]();
    },
  };
}

/** Two nodes of a deployment of their own. */
async function openTwo(url: string): Promise<PresenceWorld> {
  const prefix = randomUUID();
  const [here, there] = [await openNode(url, 'here', prefix), await openNode(url, 'there', prefix)];
  const close = async (): Promise<void> => {
    await here[Symbol.asyncDispose]();
    await there[Symbol.asyncDispose]();
  };
  return { here: here.registry, there: there.registry, close };
}

const here = hasRedis();
describe.runIf(here)('on one Redis', () => {
  const redis = sharedRedis(startRedis);
  describePresenceRegistry('Redis', () => openTwo(redis.url));
});
describe.runIf(here)('on three shards', () => {
  const redis = sharedRedis(startRedisCluster);
  describePresenceRegistry('Redis Cluster', () => openTwo(redis.url));
});

describe.runIf(here)('the presence registry on Redis', { timeout: 60_000 }, () => {
  const unavailable = { name: 'Fault', code: 'unavailable' };
  const statusOf = async ({ registry }: PresenceNode, userId: string): Promise<unknown> =>
    registry.get([userId]).then(
      (found) => found.get(userId) ?? 'nobody',
      () => 'unknown',
    );

  test('[CL-90] ghosts of a node that is gone vanish within 10 s, and others are told of each', async () => {
    await using redis = await startRedis();
    await using watcher = await openNode(redis.url, 'watcher');
    await using other = await openNode(redis.url, 'other');
    await using doomed = await openNode(redis.url, 'doomed');
    const users = Array.from({ length: 1_000 }, (_, index) => `user-${index}`);
    await Promise.all(users.map((userId) => doomed.registry.set(userId, `c-${userId}`, 'online')));
    await other.registry.set('user-0', 'elsewhere', 'away');
    // Watchers trust nobody's death before they have watched for as long as it takes.
    await expect.poll(() => statusOf(watcher, 'user-999')).toEqual(['online']);
    doomed.kill();
    await expect.poll(() => statusOf(watcher, 'user-999'), { timeout: 10_000 }).toBe('nobody');
    for (const node of [watcher, other]) {
      await expect.poll(() => node.told.filter(([, vanished]) => vanished)).toHaveLength(users.length);
      expect(new Set(node.told.filter(([, vanished]) => vanished).map(([userId]) => userId))).toEqual(new Set(users));
    }
    expect(await statusOf(watcher, 'user-0')).toEqual(['away']);
    // Exactly one node notes each departure, and none of who is elsewhere.
    expect([...watcher.gone, ...other.gone].toSorted()).toEqual(users.filter((id) => id !== 'user-0').toSorted());
  });

  test('[CL-91] nobody knows anything while Redis is out of reach, and connections come and go all the same', async () => {
    await using redis = await startRedis();
    await using node = await openNode(redis.url, 'a');
    await node.registry.set('ann', 'c1', 'online');
    await redis.kill();
    await expect.poll(() => node.reach).toEqual([false]);
    await expect(node.registry.get(['ann'])).rejects.toMatchObject(unavailable);
    await node.registry.set('bob', 'c2', 'busy');
    expect(await node.registry.remove('ann', 'c1')).toEqual({ last: false });
    await redis.restart();
    await expect.poll(() => node.reach.at(-1), { timeout: 15_000 }).toBe(true);
    expect(await statusOf(node, 'ann')).toBe('nobody');
    expect(await statusOf(node, 'bob')).toEqual(['busy']);
    // What `remove` could not know is said now.
    await expect.poll(() => node.gone).toEqual(['ann']);
  });

  test('[CL-92] an empty Redis is filled again by every node, and not believed before', async () => {
    await using redis = await startRedis();
    await using a = await openNode(redis.url, 'a');
    await using b = await openNode(redis.url, 'b');
    await a.registry.set('ann', 'c1', 'online');
    await b.registry.set('bob', 'c2', 'away');
    await redis.kill();
    await expect.poll(() => [...a.reach, ...b.reach]).toEqual([false, false]);
    await redis.restart();
    const seen: unknown[] = [];
    await expect
      .poll(
        async () => {
          seen.push(await statusOf(a, 'bob'), await statusOf(b, 'ann'));
          return [a.reach.at(-1), b.reach.at(-1)];
        },
        { timeout: 15_000, interval: 20 },
      )
      .toEqual([true, true]);
    expect(await statusOf(a, 'bob')).toEqual(['away']);
    expect(await statusOf(b, 'ann')).toEqual(['online']);
    expect(seen).not.toContain('nobody');
    expect(await a.registry.remove('ann', 'c1')).toEqual({ last: true });
    await expect.poll(() => statusOf(b, 'ann')).toBe('nobody');
  });

  test('[CL-93] a Redis that hung makes nobody a ghost', async () => {
    await using redis = await startRedis();
    await using a = await openNode(redis.url, 'a');
    await using b = await openNode(redis.url, 'b');
    await a.registry.set('ann', 'c1', 'online');
    await b.registry.set('bob', 'c2', 'online');
    redis.pause();
    const fromMs = performance.now();
    await expect.poll(() => [a.reach, b.reach], { timeout: 10_000 }).toEqual([[false], [false]]);
    // Longer than a beat may be silent.
    await expect.poll(() => performance.now() - fromMs, { timeout: 15_000 }).toBeGreaterThan(PRESENCE_EXPIRY_MS + 500);
    redis.resume();
    await expect.poll(() => [a.reach.at(-1), b.reach.at(-1)], { timeout: 15_000 }).toEqual([true, true]);
    expect(await statusOf(a, 'bob')).toEqual(['online']);
    expect(await statusOf(b, 'ann')).toEqual(['online']);
    expect([...a.gone, ...b.gone]).toEqual([]);
    expect([...a.told, ...b.told].filter(([, vanished]) => vanished)).toEqual([]);
  });

  test('[CL-94] a node that was called dead is there again when it is back', async () => {
    await using redis = await startRedis();
    await using watcher = await openNode(redis.url, 'watcher');
    const proxy = await startTcpCutter({ host: '127.0.0.1', port: redis.port });
    await using cutOff = await openNode(`redis://127.0.0.1:${proxy.port}`, 'cut off');
    await cutOff.registry.set('ann', 'c1', 'online');
    await cutOff.registry.set('bob', 'c2', 'online');
    await proxy[Symbol.asyncDispose]();
    await expect.poll(() => statusOf(watcher, 'ann'), { timeout: 10_000 }).toBe('nobody');
    await cutOff.registry.remove('bob', 'c2');
    await using again = await startTcpCutter({ host: '127.0.0.1', port: redis.port }, proxy.port);
    expect(again.port).toBe(proxy.port);
    await expect.poll(() => statusOf(watcher, 'ann'), { timeout: 10_000 }).toEqual(['online']);
    await expect.poll(() => statusOf(cutOff, 'ann'), { timeout: 10_000 }).toEqual(['online']);
    expect(await statusOf(watcher, 'bob')).toBe('nobody');
  });

  test('[CL-95] a node that ends in order takes its entries along at once', async () => {
    await using redis = await startRedis();
    await using watcher = await openNode(redis.url, 'watcher');
    const leaving = await openNode(redis.url, 'leaving');
    await leaving.registry.set('ann', 'c1', 'online');
    await leaving[Symbol.asyncDispose]();
    expect(await statusOf(watcher, 'ann')).toBe('nobody');
    await expect.poll(() => watcher.told).toContainEqual(['ann', false]);
    const keys = await watcher.redis.commands.keys('test:*');
    expect(keys).toEqual(['test:presence:sessions']);
  });
});
