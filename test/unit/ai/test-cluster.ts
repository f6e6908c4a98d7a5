/** The cluster's ports in one process, with deaths at a test's command. */
import { randomBytes } from 'node:crypto';
import type { Bus, BusListener } from '../../../src/cluster/bus.ts';
import type { Leases, Nodes } from '../../../src/cluster/lease.ts';
import type { StreamLog } from '../../../src/cluster/stream-log.ts';

export interface TestCluster {
  bus: Bus;
  streamLog: StreamLog;
  leases: Leases;
  /** A node of its own. */
  join(): Nodes;
  /** Lets the others know that a node is dead. */
  kill(nodeId: string): void;
}

export function createTestCluster(): TestCluster {
  const dead = new Set<string>();
  const mourners = new Set<(nodeId: string) => void>();
  const listeners = new Map<string, Set<BusListener>>();
  const texts = new Map<string, string>();
  const held = new Set<string>();
  return {
    bus: {
      publish: (topic, data) => listeners.get(topic)?.forEach((listener) => listener(data)),
      subscribe(topic, listener) {
        const those = listeners.get(topic) ?? new Set();
        listeners.set(topic, those.add(listener));
        return () => those.delete(listener);
      },
      request: () => Promise.reject(new Error('Nobody is asked here')),
      respond: () => () => {},
      onReady: () => () => {},
      healthy: true,
      close: async () => {},
    },
    streamLog: {
      async append(streamId, offset, text) {
        const known = texts.get(streamId) ?? '';
        texts.set(streamId, known + text.slice(known.length - offset));
      },
      async read(streamId, offset) {
        const text = texts.get(streamId);
        return text === undefined ? undefined : { text: text.slice(offset), offset: Math.min(offset, text.length) };
      },
      async remove(streamId) {
        texts.delete(streamId);
      },
      close: async () => {},
    },
    leases: {
      async tryAcquire(name) {
        if (held.has(name)) return undefined;
        held.add(name);
        return { name, fence: 1, lost: new AbortController().signal, release: async () => void held.delete(name) };
      },
      acquire: () => Promise.reject(new Error('Nobody waits here')),
    },
    join: () => ({
      id: randomBytes(8).toString('hex'),
      isAlive: (nodeId) => !dead.has(nodeId),
      onDeath(listener) {
        mourners.add(listener);
        return () => mourners.delete(listener);
      },
      close: async () => {},
    }),
    kill(nodeId) {
      dead.add(nodeId);
      for (const mourner of mourners) mourner(nodeId);
    },
  };
}
