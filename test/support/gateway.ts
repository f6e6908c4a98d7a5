/** Rooms on a real Socket.IO server, without sessions: sockets join as a test says. */
import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo, Socket as TcpSocket } from 'node:net';
import { Server, type Namespace, type Socket as ServerSocket } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import { createMemoryBus, type Bus } from '../../src/cluster/index.ts';
import { fanOutAdapter, type AdapterClass } from '../../src/gateway/fan-out-adapter.ts';
import type { Backlog } from '../../src/gateway/engine.ts';
import { createSocketRooms, type SocketRooms } from '../../src/gateway/socket-rooms.ts';
import { event, LIMITS, type Room } from '../../src/protocol/index.ts';
import { silentLog } from './log.ts';
import { connectRaw, type RawClient } from './raw-client.ts';

const anything = event({ data: z.unknown(), doc: 'Anything.' });
const events = { said: anything, before: anything, between: anything, after: anything };

export interface TestMember {
  client: Socket;
  /** Every event with its object, in order. */
  heard: unknown[][];
  socket: ServerSocket;
}

export interface TestGateway extends AsyncDisposable {
  url: string;
  http: HttpServer;
  rooms: SocketRooms<typeof events>;
  namespace: Namespace;
  bugs: unknown[];
  /** What waited for those that were given up. */
  slowReaders: Backlog[];
  join(room: Room, transport?: 'websocket' | 'polling'): Promise<TestMember>;
  /** A client that can stop reading. */
  joinRaw(room: Room): Promise<{ client: RawClient; socket: ServerSocket }>;
}

export async function startGateway({
  bus = createMemoryBus({ log: silentLog }),
  adapter,
  pingIntervalMs = LIMITS.pingIntervalMs,
  pingTimeoutMs = LIMITS.pingTimeoutMs,
}: {
  bus?: Bus;
  adapter?: AdapterClass;
  pingIntervalMs?: number;
  pingTimeoutMs?: number;
} = {}): Promise<TestGateway> {
  const http = createServer();
  const connections = new Set<TcpSocket>();
  http.on('connection', (tcp) => {
    connections.add(tcp);
    tcp.once('close', () => connections.delete(tcp));
  });
  const server = new Server(http, {
    adapter: fanOutAdapter(adapter),
    pingInterval: pingIntervalMs,
    pingTimeout: pingTimeoutMs,
    destroyUpgrade: false,
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const namespace = server.of('/');
  const bugs: unknown[] = [];
  const slowReaders: Backlog[] = [];
  const rooms = createSocketRooms(namespace, events, {
    bus,
    checkEvents: true,
    onSlowReader: (_conn, backlog) => slowReaders.push(backlog),
    onBug: (error, fields) => bugs.push([error, fields]),
  });
  const clients: Socket[] = [];
  const rawClients: RawClient[] = [];
  return {
    url,
    http,
    rooms,
    namespace,
    bugs,
    slowReaders,
    async join(room, transport = 'websocket') {
      const client = io(url, { transports: [transport], forceNew: true });
      clients.push(client);
      const heard: unknown[][] = [];
      client.onAny((...args: unknown[]) => heard.push(args));
      await once(client as never, 'connect');
      const socket = namespace.sockets.get(String(client.id));
      if (!socket) throw new Error('It is not connected');
      rooms.join({ connectionId: socket.id }, room);
      return { client, heard, socket };
    },
    async joinRaw(room) {
      const known = new Set(namespace.sockets.keys());
      const client = await connectRaw(url);
      rawClients.push(client);
      const socket = [...namespace.sockets.values()].find(({ id }) => !known.has(id));
      if (!socket) throw new Error('It is not connected');
      rooms.join({ connectionId: socket.id }, room);
      return { client, socket };
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      for (const client of rawClients) client[Symbol.dispose]();
      const closed = server.close();
      // Nobody is left who would say good-bye on them.
      for (const tcp of connections) tcp.destroy();
      await closed;
      rooms.close();
    },
  };
}
