/** Rooms on a real Socket.IO server, without sessions: sockets join as a test says. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Namespace, type Socket as ServerSocket } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import { createMemoryBus, type Bus } from '../../src/cluster/index.ts';
import { fanOutAdapter, type AdapterClass } from '../../src/gateway/fan-out-adapter.ts';
import { createSocketRooms, type SocketRooms } from '../../src/gateway/socket-rooms.ts';
import type { Log } from '../../src/observability/log.ts';
import { event, type Room } from '../../src/protocol/index.ts';

const anything = event({ data: z.unknown(), doc: 'Anything.' });
const events = { said: anything, before: anything, between: anything, after: anything };
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

export interface TestMember {
  client: Socket;
  /** Every event with its object, in order. */
  heard: unknown[][];
  socket: ServerSocket;
}

export interface TestGateway extends AsyncDisposable {
  url: string;
  rooms: SocketRooms<typeof events>;
  namespace: Namespace;
  bugs: unknown[];
  join(room: Room, transport?: 'websocket' | 'polling'): Promise<TestMember>;
}

export async function startGateway({
  bus = createMemoryBus({ log: silent }),
  adapter,
}: {
  bus?: Bus;
  adapter?: AdapterClass;
} = {}): Promise<TestGateway> {
  const http = createServer();
  const server = new Server(http, { adapter: fanOutAdapter(adapter) });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const namespace = server.of('/');
  const bugs: unknown[] = [];
  const rooms = createSocketRooms(namespace, events, {
    bus,
    checkEvents: true,
    onBug: (error, fields) => bugs.push([error, fields]),
  });
  const clients: Socket[] = [];
  return {
    url,
    rooms,
    namespace,
    bugs,
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
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      await server.close();
      rooms.close();
    },
  };
}
