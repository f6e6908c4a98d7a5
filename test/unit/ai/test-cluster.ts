/** Several nodes in one process on the real parts of the cluster, with a time of its own and deaths at a test's command. */
import type { Connection } from 'mongoose';
import type { Clock } from '../../../src/cluster/clock.ts';
import {
  createLeases,
  createMemoryBus,
  createMemoryStreamLog,
  createNodes,
  type Bus,
  type DatabaseNodes,
  type Leases,
  type StreamLog,
} from '../../../src/cluster/index.ts';
import { createTestLog } from './test-log.ts';

export interface TestCluster {
  bus: Bus;
  streamLog: StreamLog;
  /** A node of its own, with its beat in the database. */
  join(connection: Connection): Promise<{ nodes: DatabaseNodes; leases: Leases }>;
  /** The node beats no more; time passes until the others have seen it. */
  kill(nodeId: string): Promise<void>;
  close(): Promise<void>;
}

const BEAT_MS = 2_000;
/** Until a node without a beat is dead for certain: 8 s, and one more look. */
const BEATS_TO_DEATH = 5;

export function createTestCluster(): TestCluster {
  const log = createTestLog();
  const bus = createMemoryBus({ log });
  const streamLog = createMemoryStreamLog();
  const alive = new Map<string, DatabaseNodes>();
  const all: DatabaseNodes[] = [];
  let nowMs = 0;
  // Beats come by `kill` only, each awaited.
  const clock: Clock = { now: () => nowMs, every: () => () => {} };
  return {
    bus,
    streamLog,
    async join(connection) {
      const nodes = await createNodes({ connection, log, clock });
      alive.set(nodes.id, nodes);
      all.push(nodes);
      return { nodes, leases: createLeases({ connection, nodes, log, clock }) };
    },
    async kill(nodeId) {
      alive.delete(nodeId);
      for (let beat = 0; beat < BEATS_TO_DEATH; beat++) {
        nowMs += BEAT_MS;
        for (const nodes of alive.values()) await nodes.tick();
      }
    },
    async close() {
      for (const nodes of all) await nodes.close();
      await streamLog.close();
      await bus.close();
    },
  };
}
