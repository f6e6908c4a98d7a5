import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';
import { CreditPool } from '../../src/cluster/credit-pool.ts';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { PulledReader } from '../../src/cluster/pulled-reader.ts';
import type { StreamMessage } from '../../src/cluster/pulled-stream.ts';
import { createPulledStreams } from '../../src/cluster/pulled-streams.ts';
import { createRedisBus } from '../../src/cluster/redis-bus.ts';
import type { Log } from '../../src/observability/log.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { hasRedis, startRedis } from '../support/redis.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { FakeClock } from './fake-clock.ts';
import { describePulledStreams } from './pulled-streams.contract.ts';

/** A world of two nodes on their ends of a bus. */
async function openWorld(open: (nodeId: string, log: Log) => Promise<{ bus: Bus; close(): Promise<void> }>) {
  const errors: string[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (text) => errors.push(text), child: () => log };
  const join = async (nodeId: string) => {
    const clock = new FakeClock();
    const end = await open(nodeId, log);
    const { bus } = end;
    return { nodeId, clock, bus, end, streams: createPulledStreams({ bus, nodeId, log, clock }) };
  };
  const [here, there] = [await join('here'), await join('there')];
  let probes = 0;
  const arrived = async (): Promise<void> => {
    for (const topic of ['pulled:here', 'pulled:there', 'pulled-who:file', 'pulled-who:terminal']) {
      await Promise.all([here.bus.listening(topic), there.bus.listening(topic)]);
    }
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      const topic = `probe:${probes++}`;
      const probe = new Promise<void>((resolve) => to.bus.subscribe(topic, () => resolve()));
      await to.bus.listening(topic);
      from.bus.publish(topic, null);
      await probe;
    }
  };
  await arrived();
  return {
    here,
    there,
    errors,
    arrived,
    async close() {
      await Promise.all([here.streams.close(), there.streams.close()]);
      await Promise.all([here.end.close(), there.end.close()]);
    },
  };
}

describePulledStreams('memory', () => {
  let bus: Bus | undefined;
  return openWorld(async (_nodeId, log) => {
    const shared = (bus ??= createMemoryBus({ log }));
    return { bus: shared, close: () => shared.close() };
  });
});

describe.runIf(hasRedis())('on one Redis', () => {
  const server = sharedRedis(startRedis);
  describePulledStreams('Redis', () => {
    const prefix = randomUUID();
    return openWorld(async (nodeId, log) => {
      const redis = await connectRedis({ url: server.url, log });
      const bus = await createRedisBus({ redis, prefix, nodeId, log });
      const close = async (): Promise<void> => {
        await bus.close();
        await redis.close();
      };
      return { bus, close };
    });
  });
});

describe('the reading end of a pulled stream', () => {
  const open = () => {
    const sent: StreamMessage[] = [];
    const pool = new CreditPool(LIMITS.pulledNodeBytes);
    const send = (_nodeId: string, message: StreamMessage): void => void sent.push(message);
    const reader = new PulledReader({ id: 's', nodeId: 'a', sourceId: 'b', pool, send, onEnd() {} }, 0);
    reader.open('file', {});
    return { reader, sent, pool };
  };
  const data = (offset: number, text: string): StreamMessage => ({
    type: 'data',
    id: 's',
    offset,
    data: Buffer.from(text),
  });
  const lost = { code: 'unavailable', message: 'A part of the stream was lost between the nodes' };

  test('[CL-252] fails rather than show a hole, whichever message was lost', async () => {
    const after: StreamMessage[] = [
      data(8, 'def'),
      { type: 'alive', id: 's', offset: 8 },
      { type: 'end', id: 's', offset: 8 },
    ];
    for (const message of after) {
      const { reader, sent } = open();
      reader.receive(data(0, 'abc'), 0);
      reader.receive(message, 0);
      expect(Buffer.from((await reader.next()) ?? []).toString()).toBe('abc');
      await expect(reader.next()).rejects.toMatchObject(lost);
      expect(sent.at(-1)).toEqual({ type: 'cancel', id: 's' });
    }
  });

  test('[CL-254] takes its turn when too much is under way to its node', () => {
    const pool = new CreditPool(100_000);
    const order: string[] = [];
    expect(pool.take(90_000, () => {})).toBe(90_000);
    const ask = (name: string, bytes: number) => pool.take(bytes, () => order.push(`${name} ${ask(name, bytes)}`));
    expect(ask('first', 50_000)).toBe(0);
    expect(ask('second', 50_000)).toBe(0);
    expect(ask('small', 5_000)).toBe(5_000);
    pool.give(10_000);
    expect(order).toEqual([]);
    pool.give(60_000);
    expect(order).toEqual(['first 50000']);
    pool.give(25_000);
    expect(order).toEqual(['first 50000', 'second 50000']);
  });

  test('[CL-253] gives back what it was granted but never got', () => {
    const { reader, pool } = open();
    const take = () => pool.take(LIMITS.pulledNodeBytes, () => {});
    const rest = LIMITS.pulledNodeBytes - LIMITS.pulledWindowBytes;
    expect(take()).toBe(rest);
    reader.receive(data(0, 'abc'), 0);
    reader.cancel();
    pool.give(rest);
    expect(take()).toBe(LIMITS.pulledNodeBytes);
  });
});
