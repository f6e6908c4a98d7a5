/** A node's end of a bus on Redis, and what a test sees of it. */
import { createRedisBus } from '../../src/cluster/redis-bus.ts';
import type { Bus } from '../../src/cluster/index.ts';
import { connectRedis, type RedisConnections } from '../../src/storage/redis.ts';
import { silentLog as log } from './log.ts';

export interface RedisNode extends AsyncDisposable {
  redis: RedisConnections;
  bus: Bus;
  /** Why messages were dropped, one by one. */
  dropped: string[];
}

export async function openRedisNode(url: string, nodeId: string, prefix = 'test'): Promise<RedisNode> {
  const redis = await connectRedis({ url, log });
  const dropped: string[] = [];
  const bus = await createRedisBus({ redis, prefix, nodeId, log, onDrop: (reason) => dropped.push(reason) });
  return {
    redis,
    bus,
    dropped,
    async [Symbol.asyncDispose]() {
      await bus.close();
      await redis.close();
    },
  };
}
