/** Socket.IO's remote operations over two nodes and a real Redis, through an outage, too. */
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRedisAdapter } from '../../src/gateway/redis-adapter.ts';
import { chatRoom } from '../../src/protocol/index.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { silentLog } from '../support/log.ts';
import { hasRedis, startRedis, startRedisCluster } from '../support/redis.ts';

const [first, second] = [chatRoom('1'), chatRoom('2')];

async function startNode(url: string): Promise<TestGateway & { drops: number }> {
  const redis = await connectRedis({ url, log: silentLog });
  const node = { drops: 0 };
  const adapter = await createRedisAdapter({
    redis,
    prefix: 'atelier:test:1',
    onDrop: () => node.drops++,
    onBug: (error) => expect.fail(String(error)),
  });
  const gateway = await startGateway({ adapter });
  onTestFinished(async () => {
    await gateway[Symbol.asyncDispose]();
    await redis.close();
  });
  return Object.assign(node, gateway);
}

/** Nodes hear each other only once both have subscribed. */
const together = (nodes: TestGateway[]): Promise<void> =>
  expect
    .poll(async () => Promise.all(nodes.map(({ namespace }) => namespace.adapter.serverCount().catch(() => 0))), {
      timeout: 20_000,
    })
    .toEqual(nodes.map(() => nodes.length));

describe.runIf(hasRedis())('on one Redis', () => {
  test('sockets of every node join, leave and end; servers talk', async () => {
    await using redis = await startRedis();
    const [here, there] = [await startNode(redis.url), await startNode(redis.url)];
    await together([here, there]);
    const member = await there.join(first);
    here.namespace.in(first).socketsJoin(second);
    await expect.poll(() => there.rooms.has(second)).toBe(true);
    // It is one of our rooms like any other.
    there.rooms.emit(second, 'said', { n: 1 });
    await expect.poll(() => member.heard).toEqual([['said', { n: 1 }]]);
    here.namespace.in(second).socketsLeave(first);
    await expect.poll(() => there.rooms.has(first)).toBe(false);
    const words: unknown[] = [];
    there.namespace.on('word' as never, ((word: unknown) => words.push(word)) as never);
    here.namespace.serverSideEmit('word', { n: 2 });
    await expect.poll(() => words).toEqual([{ n: 2 }]);
    expect((await here.namespace.in(second).fetchSockets()).map(({ id }) => id)).toEqual([member.socket.id]);
    const gone = once(member.client as never, 'disconnect');
    here.namespace.in(second).disconnectSockets(true);
    await gone;
  });

  test('an outage breaks nothing here, and the nodes find each other after it', { timeout: 60_000 }, async () => {
    await using redis = await startRedis();
    const [here, there] = [await startNode(redis.url), await startNode(redis.url)];
    await together([here, there]);
    const [mine] = [await here.join(first), await there.join(first)];
    await redis.kill();
    await expect
      .poll(() => {
        here.namespace.in(first).socketsJoin(second);
        return here.drops;
      })
      .toBeGreaterThan(0);
    await expect(here.namespace.in(first).fetchSockets()).rejects.toThrow(
      /closed|writeable|refused|enableOfflineQueue|Stream/,
    );
    here.namespace.serverSideEmit('word', { n: 1 });
    here.rooms.emit(first, 'said', { n: 1 });
    await expect.poll(() => mine.heard).toEqual([['said', { n: 1 }]]);
    await redis.restart();
    await together([here, there]);
    here.namespace.in(first).socketsJoin(second);
    await expect.poll(() => there.rooms.has(second), { timeout: 10_000 }).toBe(true);
  });

  test('a node starts without it', { timeout: 60_000 }, async () => {
    await using redis = await startRedis();
    await redis.kill();
    const node = await startNode(redis.url);
    const { heard } = await node.join(first);
    node.namespace.in(first).socketsJoin(second);
    node.rooms.emit(first, 'said', { n: 1 });
    await expect.poll(() => heard).toEqual([['said', { n: 1 }]]);
    await redis.restart();
    await together([node]);
  });
});

test.runIf(hasRedis())('on a Redis Cluster', { timeout: 60_000 }, async () => {
  await using redis = await startRedisCluster();
  const [here, there] = [await startNode(redis.url), await startNode(redis.url)];
  await there.join(first);
  await together([here, there]);
  here.namespace.in(first).socketsJoin(second);
  await expect.poll(() => there.rooms.has(second)).toBe(true);
});
