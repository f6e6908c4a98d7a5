/** The only place where the parts meet: builds them in order, wires them, and ends them in the opposite order. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeParts, type SandboxState } from './banner.ts';
import { ALL_NODES, createCluster, createJobs, createNodeCalls, createPulledStreams } from './cluster/index.ts';
import { loadHostId, loadSecrets, loadVapidKeys, type Config } from './config/index.ts';
import { composeFeatures } from './compose-features.ts';
import { asSessionRevoked } from './features/auth/index.ts';
import { contract, events, PROTOCOL_VERSION } from './features/registry.ts';
import { MediaInspector } from './features/uploads/index.ts';
import type { ConnectionRef } from './gateway/connection.ts';
import { createGateway } from './gateway/gateway.ts';
import { createRedisAdapter } from './gateway/redis-adapter.ts';
import { createAudit, createErrorHook, createMetrics, type Log } from './observability/index.ts';
import { createCall, LIMITS, type CallRecord } from './protocol/index.ts';
import { createRest } from './rest/rest.ts';
import { chooseDriver } from './sandbox/choose-driver.ts';
import { createBlobs } from './storage/blobs/index.ts';
import { lockDataDir } from './storage/data-dir-lock.ts';
import { explainDatabase } from './storage/database-fault.ts';
import { connectDatabase, ensureIndexes } from './storage/database.ts';
import { assertSchema, runMigrations } from './storage/migrations.ts';
import { migrations } from './storage/migrations/index.ts';

export interface ServerDeps {
  log: Log;
  now?: () => number;
  /** Parse every event against its schema; tests do. */
  checkEvents?: boolean;
  /** Bring the database to this version first; off production that is always done. */
  migrate?: boolean;
}

/** The database is older than this version and nobody asked to change it; the process should end with code 78. */
export class SchemaTooOld extends Error {
  override readonly name = 'SchemaTooOld';
}

/** HOST and PORT cannot be listened on; the process should end with code 78. */
export class AddressUnusable extends Error {
  override readonly name = 'AddressUnusable';
}

export interface AtelierServer {
  /** Where it listens; known after `listen`. */
  readonly url: string;
  /** What sandboxes run in, or why there are none. */
  readonly sandboxes: SandboxState;
  listen(): Promise<void>;
  /** Settles when the server cannot go on (its embedded database died). */
  readonly failed: Promise<Error>;
  /** Tells clients, ends sockets, streams and writes, then the storage. Safe to call twice. */
  close(): Promise<void>;
}

/** Rejects with `DataDirLocked`, `SchemaTooNew`, `SchemaTooOld` or the driver's error when it cannot start; nothing is left running then. */
export async function createServer(config: Config, deps: ServerDeps): Promise<AtelierServer> {
  const { log, now = Date.now, checkEvents = false, migrate = !config.production } = deps;
  /** What has been built so far, to be ended newest first. */
  const ends: (() => Promise<void> | void)[] = [];
  const endAll = async (): Promise<void> => {
    for (const end of ends.reverse()) {
      await Promise.resolve(end()).catch((error: unknown) => log.error('a part did not end in order', { error }));
    }
    ends.length = 0;
  };
  try {
    return await build();
  } catch (error) {
    await endAll();
    throw error;
  }

  async function build(): Promise<AtelierServer> {
    const lock = await lockDataDir({ dataDir: config.dataDir, shared: config.redisUrl !== undefined });
    ends.push(() => lock.close());
    const secrets = await loadSecrets(config);
    const vapidKeys = await loadVapidKeys(config);
    const metrics = createMetrics();
    ends.push(() => metrics.close());
    const errorHook = createErrorHook({ dsn: config.errorDsn, log });
    ends.push(() => errorHook.close());
    const onBug = (error: unknown, fields: Record<string, unknown> = {}): void => {
      log.error('a bug reached the boundary', { ...fields, error });
      errorHook.report(error, fields);
    };
    const database = await connectDatabase({ mongodbUri: config.mongodbUri, dataDir: config.dataDir, log });
    ends.push(() => database.close());
    const { connection } = database;

    const audit = createAudit({ connection, log, now });
    ends.push(() => audit.close());
    const cluster = await createCluster({
      connection,
      redisUrl: config.redisUrl,
      embedded: database.embedded,
      rateLimitScale: config.rateLimitScale,
      log,
      metrics,
    });
    ends.push(() => cluster.close());
    const { nodes, leases, bus, limits, redis, redisPrefix } = cluster;
    const jobs = createJobs({ connection, nodes, bus, log, now });

    const store = await createBlobs(config, { log });
    ends.push(() => store.close());
    const { blobs } = store;
    const inspector = new MediaInspector({ log });
    ends.push(() => inspector.close());

    const driver = await chooseDriver(config, { instanceId: cluster.deploymentId, secret: secrets.authPepper, log });
    const httpServer = createHttpServer();
    const allowsOrigin = originRule(config);
    const slowReaders = metrics.counter('slow_readers_total', 'Clients given up because they did not read');
    const droppedOperations = metrics.counter(
      'remote_operations_dropped_total',
      'Operations on sockets of other nodes that did not reach them',
    );
    const adapter =
      redis &&
      (await createRedisAdapter({ redis, prefix: redisPrefix, onDrop: () => droppedOperations.add({}), onBug }));
    const gateway = createGateway({
      httpServer,
      bus,
      ...(adapter ? { adapter } : {}),
      events,
      checkEvents,
      protocolVersion: PROTOCOL_VERSION,
      serverId: nodes.id,
      trustedHops: config.trustProxyHops,
      allowsOrigin,
      capScale: config.rateLimitScale,
      onSlowReader({ userId, connectionId, bytes, packets }) {
        slowReaders.add({});
        log.warn('a client that did not read was given up', { userId, connectionId, bytes, count: packets });
      },
      onBug,
      now,
    });
    const streams = createPulledStreams({ bus, nodeId: nodes.id, log });
    ends.push(() => streams.close());
    const features = composeFeatures({
      config,
      secrets,
      vapidKeys,
      connection,
      databaseBytes: () => database.sizeBytes(),
      cluster,
      calls: createNodeCalls({ bus, nodeId: nodes.id, log }),
      streams,
      sandboxDriver: driver,
      hostId: 'off' in driver ? '' : await loadHostId(config.sandboxDir),
      jobs,
      blobs,
      inspector,
      gateway,
      metrics,
      audit,
      log,
      now,
      onEnd: (end) => ends.push(end),
    });
    // Its handlers use the features, so it ends before them.
    ends.push(() => jobs.close());

    // Every model is declared now.
    const schema = await assertSchema({ connection, migrations });
    if (migrate) {
      await runMigrations({ connection, leases, migrations, log });
      await ensureIndexes(connection);
    } else if (schema.version < schema.latest) {
      throw new SchemaTooOld(
        `The database has schema version ${schema.version}, this version of Atelier needs ${schema.latest}: run npm run db:migrate.`,
      );
    }

    const call = createCall(contract, features.handlers, {
      limit: (rate, key) => limits.take(rate, key),
      explain: explainDatabase,
      requireAdmin: (operation, context) => features.requireAdmin(operation, context),
      observe: (record) => {
        if (record.userId !== undefined) features.active(record.userId);
        metrics.operation(record);
        log.info('operation', lineOf(record));
      },
      onBug: (error, record) => onBug(error, lineOf(record)),
    });

    let draining = false;
    const closing = new AbortController();
    const health = async () => {
      const up = await database.ping();
      const deaf = !bus.healthy;
      const hasStore = store.isReachable?.() ?? true;
      const degraded = deaf || !hasStore;
      return {
        status: up ? (degraded ? ('degraded' as const) : ('ok' as const)) : ('down' as const),
        message: healthMessage({ up, draining, deaf, hasStore }),
        timestamp: new Date(now()).toISOString(),
        parts: {
          database: up ? 'ok' : 'down',
          bus: deaf ? 'degraded' : 'ok',
          ...(redis ? { redis: redis.ready ? 'ok' : 'out of reach' } : {}),
          ...(store.isReachable ? { s3: hasStore ? 'ok' : 'out of reach' } : {}),
          ...Object.fromEntries(
            describeParts(config, driver).map(({ part, state, hint }) => [part, hint ? `${state}; ${hint}` : state]),
          ),
        },
      };
    };
    const { outbox } = features;
    const authenticate = (accessToken: string) => features.authenticate(accessToken).catch(rethrowExplained);
    const app = createRest({
      contract,
      events,
      call,
      authenticate,
      limits,
      explain: explainDatabase,
      log,
      metrics,
      avatar: features.avatar,
      routes: features.routes,
      streams: features.streams,
      ...(outbox && !config.production ? { outbox: () => outbox.list() } : {}),
      health,
      isReady: async () => !draining && (await database.ping()),
      metricsText: () => metrics.text(),
      trustProxyHops: config.trustProxyHops,
      allowedOrigins: allowsOrigin,
      production: config.production,
      ...(config.metricsToken === undefined ? {} : { metricsToken: config.metricsToken }),
      serverId: nodes.id,
      closing: closing.signal,
    });
    httpServer.on('request', app);
    gateway.serve({
      call,
      authenticate,
      hooks: [
        ...features.present.map((feature) => ({
          connected: async (connection: ConnectionRef) => feature.connected?.(connection).catch(rethrowExplained),
          disconnected: (connection: ConnectionRef, vanished: boolean) => feature.disconnected?.(connection, vanished),
        })),
        { connected: async ({ userId }) => features.active(userId) },
      ],
      upgrades: features.upgrades,
    });
    const unsubscribe = bus.subscribe(ALL_NODES, (data) => {
      const notice = asSessionRevoked(data);
      if (!notice) return;
      gateway.closeSessions(notice.userId, notice.sessionIds, notice.reason);
      void features.previews.recheck((pass) => pass.userId === notice.userId);
    });
    ends.push(unsubscribe);
    metrics.gauge('sockets', 'Open sockets', () => gateway.connectionCount());
    metrics.gauge('rooms', 'Rooms with a socket of this node', () => gateway.roomCount());
    metrics.gauge('outbound_bytes', 'What is kept for sockets whose clients have not taken it', () =>
      gateway.outboundBytes(),
    );
    metrics.gauge(
      'outbound_largest_bytes',
      'The most that waited for one socket since the figures were last read',
      () => gateway.largestOutboundBytes(),
    );
    metrics.gauge('audit_queue', 'Audit rows that wait for their write', () => audit.waiting);
    await features.recover();

    let url = '';
    let closed: Promise<void> | undefined;
    return {
      get url() {
        return url;
      },
      failed: database.failed,
      sandboxes: driver,
      async listen() {
        httpServer.listen({ port: config.port, host: config.host, backlog: LIMITS.listenBacklog });
        await once(httpServer, 'listening').catch((error: unknown) => {
          throw new AddressUnusable(`Cannot listen on ${config.host}:${config.port}: ${messageOf(error)}`, {
            cause: error,
          });
        });
        if (!('off' in driver) && (config.previewUrl !== undefined || !config.production)) {
          await features.previews.listen(config.previewPort, config.host).catch((error: unknown) => {
            throw new AddressUnusable(
              `Cannot listen on ${config.host}:${config.previewPort} (PREVIEW_PORT): ${messageOf(error)}`,
              {
                cause: error,
              },
            );
          });
        }
        // Not before: a command that only prepares the database runs no jobs.
        await features.start();
        await jobs.start();
        const { port } = httpServer.address() as AddressInfo;
        url = `http://${config.host === '127.0.0.1' ? 'localhost' : config.host}:${port}`;
      },
      close: () => {
        closed ??= (async () => {
          // Balancers see it first, then clients; then nothing new comes in and what is under way ends.
          draining = true;
          if (httpServer.listening) {
            await Promise.all([gateway.drain(), features.drain()]);
            closing.abort();
            const cut = setTimeout(() => httpServer.closeAllConnections(), LAST_REQUESTS_MS);
            await gateway.close();
            clearTimeout(cut);
          }
          await endAll();
        })();
        return closed;
      },
    };
  }
}

const rethrowExplained = (error: unknown): never => {
  throw explainDatabase(error);
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function healthMessage(state: { up: boolean; draining: boolean; deaf: boolean; hasStore: boolean }): string {
  if (!state.up) return 'the database does not answer';
  if (state.draining) return 'stopping';
  if (state.deaf) return 'this node hears nothing of the others; what is written is kept';
  return state.hasStore ? 'at your service' : 'the store of uploads does not answer';
}

/** What requests under way get before their connections are cut. */
const LAST_REQUESTS_MS = 2_000;

/** The parts of a call that a log line carries. */
const lineOf = ({ operation, userId, requestId, outcome, durationMs }: CallRecord): Record<string, unknown> => ({
  operation,
  userId,
  requestId,
  outcome,
  durationMs: Math.round(durationMs * 10) / 10,
});

function originRule(config: Config): (origin: string) => boolean {
  const allowed = new Set(config.allowedOrigins);
  return (origin) => {
    if (allowed.has(origin)) return true;
    return config.allowLocalhostOrigins && /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);
  };
}
