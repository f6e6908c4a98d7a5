/** The one place where the forms of the cluster's ports are chosen: those on Redis where there is one, else those in memory. */
import type { Connection } from 'mongoose';
import type { Log } from '../observability/log.ts';
import type { Metrics } from '../observability/metrics.ts';
import { connectRedis, type RedisConnections } from '../storage/redis.ts';
import type { Bus } from './bus.ts';
import { readDeploymentId } from './deployment-id.ts';
import type { Leases } from './lease.ts';
import { createLeases } from './leases.ts';
import { createLimits, type Limits } from './limits.ts';
import { createMemoryBus } from './memory-bus.ts';
import { createMemoryPresenceRegistry } from './memory-presence-registry.ts';
import { createMemoryStreamLog } from './memory-stream-log.ts';
import { createNodes, type DatabaseNodes } from './nodes.ts';
import type { PresenceRegistry } from './presence-registry.ts';
import { redisLimiter } from './redis-limiter.ts';
import { createRedisPresenceRegistry } from './redis-presence-registry.ts';
import { createRedisStreamLog } from './redis-stream-log.ts';
import type { StreamLog } from './stream-log.ts';

export interface ClusterOptions {
  connection: Connection;
  /** Without it this node is the only one of its database. */
  redisUrl: string | undefined;
  /** No other machine can reach the database. */
  embedded: boolean;
  rateLimitScale: number;
  log: Log;
  metrics: Metrics;
}

export interface Cluster {
  nodes: DatabaseNodes;
  leases: Leases;
  bus: Bus;
  presenceRegistry: PresenceRegistry;
  streamLog: StreamLog;
  limits: Limits;
  /** Tells this deployment from others that use the same Redis or Docker engine. */
  deploymentId: string;
  /** Undefined where the node is alone. */
  redis: RedisConnections | undefined;
  /** Begins every key and channel of this deployment there; goes with `redis`. */
  redisPrefix: string;
  close(): Promise<void>;
}

type Ports = Omit<Cluster, 'nodes' | 'leases' | 'deploymentId' | 'close'>;

/** Goes with every key and channel; nodes whose messages have another form do not hear each other. */
const WIRE_VERSION = 1;

/** Rejects when the database fails; nothing is left open then. A Redis that is out of reach stops nothing. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const { connection, redisUrl, embedded, rateLimitScale, log, metrics } = options;
  const ends: { close(): Promise<void> }[] = [];
  const ending = <T extends { close(): Promise<void> }>(part: T): T => {
    ends.unshift(part);
    return part;
  };
  const close = async (): Promise<void> => {
    for (const part of ends.splice(0)) await part.close();
  };
  try {
    const nodes = ending(await createNodes({ connection, log, alone: embedded && redisUrl === undefined }));
    const leases = createLeases({ connection, nodes, log });
    const deploymentId = await readDeploymentId(connection);
    const ports = redisUrl === undefined ? inMemory() : await onRedis(redisUrl, { nodeId: nodes.id, deploymentId });
    return { nodes, leases, deploymentId, ...ports, close };
  } catch (error) {
    await close();
    throw error;
  }

  function inMemory(): Ports {
    return {
      redis: undefined,
      redisPrefix: '',
      bus: ending(createMemoryBus({ log })),
      presenceRegistry: ending(createMemoryPresenceRegistry()),
      streamLog: ending(createMemoryStreamLog()),
      limits: ending(createLimits({ scale: rateLimitScale })),
    };
  }

  async function onRedis(
    url: string,
    { nodeId, deploymentId }: { nodeId: string; deploymentId: string },
  ): Promise<Ports> {
    const prefix = `atelier:${deploymentId}:${WIRE_VERSION}`;
    const redis = ending(await connectRedis({ url, log }));
    // Loaded only where they are used: they bring msgpackr along.
    const { createRedisBus } = await import('./redis-bus.ts');
    const dropped = metrics.counter('bus_dropped_total', 'Messages that did not reach other nodes', ['reason']);
    metrics.gauge('redis_up', 'Whether Redis is in reach', () => (redis.ready ? 1 : 0));
    const onDrop = (reason: string): void => dropped.add({ reason });
    const bus = ending(await createRedisBus({ redis, prefix, nodeId, log, onDrop }));
    return {
      redis,
      redisPrefix: prefix,
      bus,
      presenceRegistry: ending(await createRedisPresenceRegistry({ redis, prefix, nodeId, bus, log })),
      streamLog: ending(createRedisStreamLog({ redis, prefix })),
      limits: ending(createLimits({ scale: rateLimitScale, createLimiter: redisLimiter({ redis, prefix }) })),
    };
  }
}
