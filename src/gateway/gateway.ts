/**
 * Socket.IO on the server's HTTP port: who may connect, one `Connection` per socket, typed rooms, sessions that end,
 * and an orderly drain.
 */
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Server, type Socket } from 'socket.io';
import type { Bus } from '../cluster/index.ts';
import { EVERYONE, LIMITS, userRoom, type Call, type EventMap, type Rooms, type Session } from '../protocol/index.ts';
import { Admission } from './admission.ts';
import { Connection, type CloseReason, type ConnectionDeps, type ConnectionHook } from './connection.ts';
import { engineOf, type Backlog } from './engine.ts';
import { fanOutAdapter, type AdapterClass, type FanOutAdapter } from './fan-out-adapter.ts';
import { createHandshake } from './handshake.ts';
import { PreviousCloses } from './previous-closes.ts';
import { createSocketRooms } from './socket-rooms.ts';
import { routeUpgrades, type UpgradeRoute } from './upgrades.ts';

export interface GatewayOptions<E extends EventMap> {
  httpServer: HttpServer;
  /** Carries events between the rooms of the nodes. */
  bus: Bus;
  /** Socket.IO's own adapter: the in-memory one if not given. */
  adapter?: AdapterClass;
  events: E;
  checkEvents: boolean;
  protocolVersion: number;
  serverId: string;
  trustedHops: number;
  /** Whether a browser page of this origin may connect; requests without an Origin are not from a page. */
  allowsOrigin: (origin: string) => boolean;
  /** Multiplies the connection caps; 0 switches them off. */
  capScale: number;
  /** A client that did not read has been given up. */
  onSlowReader: (reader: SlowReader) => void;
  /** The one error boundary. */
  onBug: (error: unknown, fields?: Record<string, unknown>) => void;
  now: () => number;
}

export interface SlowReader extends Backlog {
  /** Undefined while it had no session yet. */
  userId: string | undefined;
  connectionId: string | undefined;
}

/** What the gateway serves once the features stand. */
export interface GatewayService {
  call: Call;
  authenticate: (accessToken: string) => Promise<Session>;
  hooks: readonly ConnectionHook[];
  /** Connections that are neither HTTP nor Socket.IO; all others are ended. */
  upgrades?: readonly UpgradeRoute[];
}

export interface Gateway<E extends EventMap> {
  /** Features emit through this from their construction on. */
  rooms: Rooms<E>;
  /** Who may come in, for connections of other kinds. */
  admission: Admission;
  /** Opens the doors: call it once, before the HTTP server listens. */
  serve(service: GatewayService): void;
  /** Ends the sockets of sessions on this node. */
  closeSessions(userId: string, sessionIds: readonly string[], reason: CloseReason): void;
  connectionCount(): number;
  roomCount(): number;
  /** What is kept for sockets whose clients have not taken it: of all, and the most for one since this was asked last. */
  outboundBytes(): number;
  largestOutboundBytes(): number;
  /** Tells everyone, then closes the transports over `LIMITS.drainMs`; clients reconnect elsewhere by themselves. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export function createGateway<E extends EventMap>(options: GatewayOptions<E>): Gateway<E> {
  const admission = new Admission(options);
  const io = new Server({
    adapter: fanOutAdapter(options.adapter),
    serveClient: false,
    maxHttpBufferSize: LIMITS.packetBytes,
    pingInterval: LIMITS.pingIntervalMs,
    pingTimeout: LIMITS.pingTimeoutMs,
    connectTimeout: LIMITS.connectTimeoutMs,
    perMessageDeflate: false,
    httpCompression: false,
    cors: {
      origin: (origin, done) => done(null, origin === undefined || options.allowsOrigin(origin)),
      credentials: true,
    },
    // CORS settings do not gate websockets, so origins are checked here for both transports.
    allowRequest: (request, done) => {
      const refused = admission.refusal(request, isNew(request));
      if (refused) done(REFUSALS[refused], false);
      else done(null, true);
    },
    // It would end what is not its own, unless that speaks within a second.
    destroyUpgrade: false,
  });
  const namespace = io.of('/');
  const adapter = namespace.adapter as unknown as FanOutAdapter;
  const connections = new Map<string, Connection>();
  const previousCloses = new PreviousCloses(options.bus);
  const rooms = createSocketRooms(namespace, options.events, {
    ...options,
    onSlowReader(conn, backlog) {
      const slow = [...connections.values()].find(({ socket }) => engineOf(socket) === conn);
      if (slow) previousCloses.remember(slow.session.sessionId);
      options.onSlowReader({ ...backlog, userId: slow?.ref.userId, connectionId: slow?.ref.id });
    },
  });
  /** Sessions that ended lately: one may end between its check at the handshake and its socket's registration. */
  const endedSessions = new LRUCache<string, CloseReason>({ max: 10_000, ttl: 60_000 });

  function serve(service: GatewayService): void {
    namespace.use(
      createHandshake({
        authenticate: service.authenticate,
        protocolVersion: options.protocolVersion,
        connectionsOf: (userId) => rooms.size(userRoom(userId)),
        maxConnectionsPerUser: admission.maxPerUser,
        onPassed: (socket) => rooms.gather(socket),
        onBug: options.onBug,
      }),
    );
    const deps: ConnectionDeps = {
      call: service.call,
      hooks: service.hooks,
      listening: (userId) => rooms.listening(userRoom(userId)),
      hello(sessionId) {
        const previousClose = previousCloses.take(sessionId);
        return {
          protocol: options.protocolVersion,
          serverId: options.serverId,
          limits: LIMITS,
          ...(previousClose ? { previousClose } : {}),
        };
      },
      ended: ({ socket }) => connections.delete(socket.id),
      onBug: options.onBug,
      now: options.now,
    };
    namespace.on('connection', (socket) => {
      const { session } = socket.data as { session: Session };
      void socket.join([userRoom(session.userId), EVERYONE]);
      const connection = new Connection(socket, session, admission.originOf(socket.request), deps);
      connections.set(socket.id, connection);
      forgetHandshake(socket);
      const ended = endedSessions.get(session.sessionId);
      if (ended) connection.close(ended);
    });
    io.attach(options.httpServer);
    routeUpgrades(options.httpServer, service.upgrades ?? [], options.onBug);
    io.engine.on('connection', (transport: CountedTransport) => {
      transport.countedIp = admission.originOf(transport.request).ip;
      admission.add(transport.countedIp);
      transport.on('close', uncount);
    });
    // One function for all, since a closure for each would cost memory.
    function uncount(this: CountedTransport): void {
      admission.remove(this.countedIp);
    }
  }

  function closeSessions(userId: string, sessionIds: readonly string[], reason: CloseReason): void {
    for (const sessionId of sessionIds) endedSessions.set(sessionId, reason);
    for (const id of adapter.rooms.get(userRoom(userId)) ?? []) {
      const connection = connections.get(id);
      if (connection && sessionIds.includes(connection.session.sessionId)) connection.close(reason);
    }
  }

  async function drain(): Promise<void> {
    admission.close();
    rooms.flush();
    const ends = [...connections.values()].map((connection) => {
      const inMs = Math.floor(Math.random() * LIMITS.drainMs);
      connection.socket.emit('server:draining', { reconnectInMs: inMs });
      return new Promise<void>((resolve) => {
        connection.socket.once('disconnect', () => resolve());
        setTimeout(() => connection.socket.conn.close(), inMs);
      });
    });
    await Promise.race([
      Promise.all(ends),
      new Promise((resolve) => setTimeout(resolve, LIMITS.drainMs + 2_000).unref()),
    ]);
  }

  return {
    rooms,
    admission,
    serve,
    closeSessions,
    connectionCount: () => connections.size,
    roomCount: () => adapter.rooms.size,
    outboundBytes: () => rooms.outboundBytes(),
    largestOutboundBytes: () => rooms.largestOutboundBytes(),
    drain,
    async close() {
      rooms.flush();
      await io.close();
      rooms.close();
      previousCloses.close();
    },
  };
}

interface CountedTransport {
  readonly request: IncomingMessage;
  countedIp: string;
  on(event: 'close', listener: (this: CountedTransport) => void): void;
}

const REFUSALS = { stopping: 'stopping', origin: 'origin not allowed', full: 'too many connections' } as const;

const NOTHING = Object.freeze({});
const NO_HEADERS: readonly string[] = Object.freeze([]);

/** The request and its headers are a third of what an idle connection costs, and the token is nobody's any more. */
function forgetHandshake(socket: Socket): void {
  Object.assign(socket.handshake, { headers: NOTHING, auth: NOTHING, query: NOTHING, url: '', time: '' });
  // It is held by more than its connection, so it is emptied and not only let go.
  Object.assign(socket.request, { headers: NOTHING, rawHeaders: NO_HEADERS, url: '', _query: NOTHING });
  (socket.conn as { request: unknown }).request = undefined;
}

/** Whether a request opens a transport, as opposed to one that belongs to an open one; engine.io has read its query. */
const isNew = (request: IncomingMessage & { _query?: Record<string, unknown> }): boolean =>
  request._query?.['sid'] === undefined;
