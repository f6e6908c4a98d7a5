import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { expect, test } from 'vitest';
import { z } from 'zod';
import * as ws from 'ws';
import { FanOutAdapter } from '../../src/gateway/fan-out-adapter.ts';
import { createSocketRooms } from '../../src/gateway/socket-rooms.ts';
import { binaryFrame, textFrame } from '../../src/gateway/websocket-frame.ts';
import { event, userRoom } from '../../src/protocol/index.ts';

async function setUp() {
  const http = createServer();
  const server = new Server(http, { adapter: FanOutAdapter });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const namespace = server.of('/');
  const clients: Socket[] = [];
  return {
    server,
    adapter: namespace.adapter as unknown as FanOutAdapter,
    async join(room: string, transport: 'websocket' | 'polling' = 'websocket') {
      const client = io(url, { transports: [transport], forceNew: true });
      clients.push(client);
      const heard: unknown[][] = [];
      client.onAny((...args: unknown[]) => heard.push(args));
      await once(client as never, 'connect');
      const socket = namespace.sockets.get(String(client.id));
      await socket?.join(room);
      return { client, heard, socket };
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      await server.close();
    },
  };
}

test.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])('frames of %d bytes are those of RFC 6455', (size) => {
  const text = 'a'.repeat(size);
  // Not in its types.
  const sender = (ws as unknown as { Sender: { frame: (data: Buffer, options: object) => Buffer[] } }).Sender;
  const options = { fin: true, rsv1: false, mask: false, readOnly: true };
  const expectText = Buffer.concat(sender.frame(Buffer.from(text), { ...options, opcode: 1 }));
  expect(textFrame(text).equals(expectText)).toBe(true);
  const expectBinary = Buffer.concat(sender.frame(Buffer.from(text), { ...options, opcode: 2 }));
  expect(binaryFrame(Buffer.from(text)).equals(expectBinary)).toBe(true);
});

test('[PR-20] events of a room arrive in order, text and binary mixed, on websocket and long-polling', async () => {
  await using setup = await setUp();
  const members = [await setup.join('r'), await setup.join('r', 'polling'), await setup.join('other')];
  const expected: unknown[][] = [];
  for (let n = 0; n < 30; n++) {
    const data = n % 3 === 0 ? { n, bytes: Buffer.from([n, n + 1]) } : { n, text: 'ü'.repeat(n * 50) };
    setup.adapter.enqueue('r', setup.adapter.encode('event', data));
    expected.push(['event', data]);
  }
  for (const { heard } of members.slice(0, 2)) {
    await expect.poll(() => heard.length).toBe(30);
    expect(heard.map(([, data]) => (data as { n: number }).n)).toEqual(expected.map((_, n) => n));
    expect(heard[3]?.[1]).toEqual({ n: 3, bytes: expect.anything() });
    expect([...((heard[3]?.[1] ?? { bytes: [] }) as { bytes: Iterable<number> }).bytes]).toEqual([3, 4]);
    expect(heard[4]?.[1]).toEqual(expected[4]?.[1]);
  }
  expect(members[2]?.heard).toEqual([]);
});

test('[PR-21] a joiner does not get what was emitted before it joined; a leaver gets it', async () => {
  await using setup = await setUp();
  const early = await setup.join('r');
  const late = await setup.join('elsewhere');
  setup.adapter.enqueue('r', setup.adapter.encode('before', {}));
  await late.socket?.join('r');
  setup.adapter.enqueue('r', setup.adapter.encode('between', {}));
  await early.socket?.leave('r');
  setup.adapter.enqueue('r', setup.adapter.encode('after', {}));
  await expect
    .poll(() => late.heard)
    .toEqual([
      ['between', {}],
      ['after', {}],
    ]);
  await expect
    .poll(() => early.heard)
    .toEqual([
      ['before', {}],
      ['between', {}],
    ]);
});

test('[PR-22] one tick is one write per websocket', async () => {
  await using setup = await setUp();
  const { heard, socket } = await setup.join('r');
  let writes = 0;
  socket?.conn.on('packetCreate', () => writes++);
  for (let n = 0; n < 10; n++) setup.adapter.enqueue('r', setup.adapter.encode('event', { n }));
  await expect.poll(() => heard.length).toBe(10);
  expect(writes).toBe(1);
});

test('[PR-10] an event that cannot be encoded is reported as a bug and breaks nothing', async () => {
  await using setup = await setUp();
  const room = userRoom('ada');
  const { heard } = await setup.join(room);
  const bugs: unknown[] = [];
  const rooms = createSocketRooms(
    setup.server.of('/'),
    { said: event({ data: z.unknown(), doc: 'Anything.' }) },
    { checkEvents: true, onBug: (error, fields) => bugs.push([error, fields]) },
  );
  rooms.emit(room, 'said', { n: 1n });
  rooms.emit(room, 'said', { n: 2 });
  await expect.poll(() => heard).toEqual([['said', { n: 2 }]]);
  expect(bugs).toEqual([[expect.any(TypeError), { event: 'said' }]]);
});
