/** The documents feature on several nodes of one process: one database, gateways and a bus of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Types, type Connection } from 'mongoose';
import * as Y from 'yjs';
import { createCluster, type Bus, type Cluster } from '../../src/cluster/index.ts';
import type { Access } from '../../src/features/documents/contract.ts';
import type { PeerAccess } from '../../src/features/documents/open-document.ts';
import { createDocumentParts, type DocumentParts } from '../../src/features/documents/index.ts';
import type { Yjs } from '../../src/features/documents/yjs.ts';
import { Admission } from '../../src/gateway/admission.ts';
import { routeUpgrades } from '../../src/gateway/upgrades.ts';
import { createMetrics } from '../../src/observability/index.ts';
import { Fault, LIMITS } from '../../src/protocol/index.ts';
import { createDiskBlobs, type Blobs } from '../../src/storage/blobs/index.ts';
import { ensureIndexes } from '../../src/storage/database.ts';
import { FakeClock } from '../contract/fake-clock.ts';
import { createBusNetwork, type BusNetwork } from './bus-network.ts';
import { openTestDatabase } from './database.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { silentLog as log } from './log.ts';

export interface DocumentNode extends DocumentParts {
  /** With models of its own. */
  connection: Connection;
  cluster: Cluster;
  gateway: TestGateway;
  bus: Bus;
  yjs: Yjs;
  bugs: unknown[];
  /** Who is out there as seen by `/yjs`: tokens are `<userId>/<sessionId>` and, where they end, `/<milliseconds>`. */
  doors: TestDoors;
  /** What was told of stored texts. */
  saved: { fileId: string; userId: string | undefined; sizeBytes: number }[];
}

export interface TestDoors {
  endedSessions: Set<string>;
  /** Thrown at whoever changes something. */
  limit: ((userId: string) => void) | undefined;
  slow: unknown[];
  clock: FakeClock;
  /** Added to the time of day. */
  aheadMs: number;
}

export interface DocumentWorld extends AsyncDisposable {
  nodes: DocumentNode[];
  blobs: Blobs;
  network: BusNetwork;
  /** What users may do besides writing everywhere, by user. */
  access: Map<string, Access | 'none'>;
  /** Tells all nodes that it has changed. */
  accessChanged(): void;
  removed(fileIds: string[]): void;
}

export const newId = (): string => new Types.ObjectId().toHexString();
export const PROJECT = newId();

export async function openDocumentWorld(count = 1): Promise<DocumentWorld> {
  const database = await openTestDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'atelier-blobs-'));
  const blobs = await createDiskBlobs({ directory });
  const network = createBusNetwork();
  const access = new Map<string, Access | 'none'>();
  const accessListeners = new Set<(change: { projectId: string; userIds: undefined }) => void>();
  const removedListeners = new Set<(fileIds: readonly string[]) => void>();
  const ends: (() => Promise<unknown>)[] = [];
  const nodes: DocumentNode[] = [];
  for (let i = 0; i < count; i++) {
    const metrics = createMetrics();
    // Models of its own.
    const connection = database.connection.useDb(database.connection.name);
    const cluster = await createCluster({
      connection,
      redisUrl: undefined,
      embedded: database.embedded,
      rateLimitScale: 0,
      log,
      metrics,
    });
    const bus = count > 1 ? network.node() : cluster.bus;
    const gateway = await startGateway({ bus });
    const bugs: unknown[] = [];
    const saved: DocumentNode['saved'] = [];
    const clock = new FakeClock();
    const doors: TestDoors = { endedSessions: new Set(), limit: undefined, slow: [], clock, aheadMs: 0 };
    const admission = new Admission({
      trustedHops: 0,
      allowsOrigin: (origin) => origin === 'http://localhost',
      capScale: 1,
    });
    const parts = createDocumentParts({
      connection,
      rooms: gateway.rooms,
      bus,
      leases: cluster.leases,
      nodeId: `node-${i}`,
      onNodeDeath: () => () => {},
      blobs,
      async access(_fileId, userId) {
        const granted = access.get(userId) ?? 'write';
        if (granted === 'none') throw new Fault('not_found', 'There is no such file');
        return { projectId: PROJECT, access: granted };
      },
      onAccessChanged(listener) {
        accessListeners.add(listener);
        return () => void accessListeners.delete(listener);
      },
      onRemoved(listener) {
        removedListeners.add(listener);
        return () => void removedListeners.delete(listener);
      },
      saved: async (fileId, change) => void saved.push({ fileId, ...change }),
      yjs: {
        async authenticate(token) {
          const [userId = '', sessionId = '', expiresAtMs = 'Infinity'] = token.split('/');
          if (sessionId === '') throw new Fault('unauthenticated', 'No such token');
          return { userId, sessionId, expiresAtMs: Number(expiresAtMs) };
        },
        isLive: async (sessionId) => !doors.endedSessions.has(sessionId),
        limit: (userId) => doors.limit?.(userId),
        messagesPerSecond: LIMITS.yjsMessagesPerSecond,
        maxPerUser: admission.maxPerUser,
        admit: (request) => admission.admit(request),
        onSlow: (reader) => doors.slow.push(reader),
        secret: 'a pepper',
        sessionDays: 30,
        clock,
      },
      onBug: (error) => bugs.push(error),
      nameOf: async (userIds) => new Map(userIds.map((userId) => [userId, `Name ${userId}`])),
      log,
      now: () => Date.now() + doors.aheadMs,
    });
    const { yjs } = parts.feature;
    routeUpgrades(gateway.http, [yjs.upgrade], (error) => bugs.push(error));
    await ensureIndexes(connection);
    nodes.push({ ...parts, connection, cluster, yjs, gateway, bus, bugs, doors, saved });
    ends.unshift(
      () => parts.feature.close(),
      async () => gateway[Symbol.asyncDispose](),
      () => cluster.close(),
      async () => metrics.close(),
    );
  }
  return {
    nodes,
    blobs,
    network,
    access,
    accessChanged() {
      for (const tell of accessListeners) tell({ projectId: PROJECT, userIds: undefined });
    },
    removed(fileIds) {
      for (const tell of removedListeners) tell(fileIds);
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) await end();
      await database.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A client with a Y.Doc, as a peer of a node. */
export interface TestPeer {
  userId: string;
  doc: Y.Doc;
  text: Y.Text;
  /** Updates that were told to it. */
  heard: Uint8Array[];
  access: PeerAccess[];
  /** Sends what the doc has made since the last time; resolves when durable. */
  push(): Promise<void>;
  send(update: Uint8Array): Promise<void>;
  close(): void;
}

export async function openPeer(node: DocumentNode, fileId: string, userId = newId()): Promise<TestPeer> {
  const doc = new Y.Doc();
  const heard: Uint8Array[] = [];
  const access: PeerAccess[] = [];
  const peer = await node.documents.openPeer({
    fileId,
    userId,
    onUpdate(update) {
      heard.push(update);
      Y.applyUpdate(doc, update, 'server');
    },
    onAccess: (granted) => access.push(granted),
  });
  for (const update of peer.updates) Y.applyUpdate(doc, update, 'server');
  let made: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array, origin: unknown) => {
    if (origin !== 'server') made.push(update);
  });
  return {
    userId,
    doc,
    text: doc.getText('content'),
    heard,
    access,
    async push() {
      const updates = made;
      made = [];
      if (updates.length > 0) await peer.update(Y.mergeUpdates(updates));
    },
    send: (update) => peer.update(update),
    close: () => peer.close(),
  };
}
