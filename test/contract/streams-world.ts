/** Two nodes whose pulled streams go over every form of the bus. */
import { randomUUID } from 'node:crypto';
import { describe } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { createPulledStreams } from '../../src/cluster/pulled-streams.ts';
import type { PulledStreams } from '../../src/cluster/pulled-stream.ts';
import { createRedisBus } from '../../src/cluster/redis-bus.ts';
import type { Log } from '../../src/observability/log.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { hasRedis, startRedis } from '../support/redis.ts';
import { sharedRedis } from '../support/shared-redis.ts';
import { FakeClock } from './fake-clock.ts';

/** One node. */
export interface StreamNode {
  nodeId: string;
  streams: PulledStreams;
  clock: FakeClock;
}

export interface StreamsWorld {
  here: StreamNode;
  there: StreamNode;
  /** Messages of the log's errors, of both nodes. */
  errors: string[];
  /** Resolves when what either node has published so far has reached the other, and each knows what the other serves. */
  arrived(): Promise<void>;
  close(): Promise<void>;
}

/** Calls back once for every form of the bus, with what opens a world. */
export function forEachBus(describeOne: (name: string, open: () => Promise<StreamsWorld>) => void): void {
  describeOne('memory', () => {
    let bus: Bus | undefined;
    return openWorld(async (_nodeId, log) => {
      const shared = (bus ??= createMemoryBus({ log }));
      return { bus: shared, close: () => shared.close() };
    });
  });
  describe.runIf(hasRedis())('on one Redis', () => {
    const server = sharedRedis(startRedis);
    describeOne('Redis', () => {
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
}

/** A world of two nodes on their ends of a bus. */
async function openWorld(
  open: (nodeId: string, log: Log) => Promise<{ bus: Bus; close(): Promise<void> }>,
): Promise<StreamsWorld> {
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
