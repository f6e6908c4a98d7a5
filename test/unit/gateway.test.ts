/** Whole gateways of several nodes over one bus, with operations of the test's own. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import { connect as connectTcp, type AddressInfo, type Socket as TcpSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { io, type Socket } from 'socket.io-client';
import { expect, onTestFinished, test } from 'vitest';
import { createGateway, type Gateway, type SlowReader } from '../../src/gateway/gateway.ts';
import type { Bus } from '../../src/cluster/index.ts';
import { events } from '../../src/features/registry.ts';
import type { UpgradeRoute } from '../../src/gateway/upgrades.ts';
import { LIMITS, userRoom, type Answer } from '../../src/protocol/index.ts';
import { createBusNetwork } from '../support/bus-network.ts';
import { connectRaw, type RawClient } from '../support/raw-client.ts';

const MIB = 1024 * 1024;

interface Node {
  url: string;
  gateway: Gateway<typeof events>;
  slowReaders: SlowReader[];
  /** Connects with a token that says who it is and in which session; resolves with the `hello`. */
  connect(token: string): Promise<{ client: Socket; hello: Record<string, unknown> }>;
  connectRaw(token: string): Promise<RawClient>;
}

const idOf = (name: string): string => Buffer.from(name.padEnd(12, '-')).toString('hex');

async function startNode(bus: Bus, upgrades: readonly UpgradeRoute[] = []): Promise<Node> {
  const httpServer = createServer();
  const slowReaders: SlowReader[] = [];
  const gateway = createGateway({
    httpServer,
    bus,
    events,
    checkEvents: false,
    protocolVersion: 1,
    serverId: 'node',
    trustedHops: 0,
    allowsOrigin: () => true,
    capScale: 0,
    onSlowReader: (reader) => slowReaders.push(reader),
    onBug: (error) => expect.fail(String(error)),
    now: Date.now,
  });
  gateway.serve({
    call: async (_name, input): Promise<Answer<unknown>> => {
      const { bytes } = input as { bytes: number };
      return { ok: true, data: { text: 'x'.repeat(bytes) } };
    },
    authenticate: async (token) => {
      const [user = '', session = ''] = token.split('/');
      return { userId: idOf(user), sessionId: idOf(session), expiresAtMs: Date.now() + 3_600_000 };
    },
    hooks: [],
    upgrades,
  });
  httpServer.listen(0, '127.0.0.1');
  await once(httpServer, 'listening');
  const url = `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`;
  const clients: Disposable[] = [];
  onTestFinished(async () => {
    for (const client of clients) client[Symbol.dispose]();
    await gateway.close();
  });
  return {
    url,
    gateway,
    slowReaders,
    async connect(token) {
      const client = io(url, { auth: { token }, forceNew: true, transports: ['websocket'], reconnection: false });
      clients.push({ [Symbol.dispose]: () => client.close() });
      const [hello] = (await once(client as never, 'hello')) as [Record<string, unknown>];
      return { client, hello };
    },
    async connectRaw(token) {
      const client = await connectRaw(url, token);
      clients.push(client);
      return client;
    },
  };
}

test('[PR-17] hello waits until what other nodes emit to the user is heard', async () => {
  const network = createBusNetwork();
  let heard = (): void => {};
  const asked: string[] = [];
  const bus: Bus = Object.assign(network.node(), {
    listening: (topic: string) => {
      asked.push(topic);
      return new Promise<void>((resolve) => {
        heard = resolve;
      });
    },
  });
  const [here, there] = [await startNode(bus), await startNode(network.node())];
  let said = false;
  const connected = here.connect('ada/1').then((connection) => {
    said = true;
    return connection;
  });
  await expect.poll(() => asked.length).toBe(1);
  expect(said).toBe(false);
  heard();
  const { client } = await connected;
  const closing = once(client as never, 'session:expiring');
  there.gateway.rooms.emit(userRoom(idOf('ada')), 'session:expiring', { expiresInSeconds: 1 });
  expect(await closing).toEqual([{ expiresInSeconds: 1 }]);
});

test('[PR-18] the next hello of the session says why the connection before it was ended, on any node and once', async () => {
  const network = createBusNetwork();
  const [here, there] = [await startNode(network.node()), await startNode(network.node())];
  const slow = await here.connectRaw('ada/slow');
  slow.stopReading();
  const text = 'x'.repeat(60_000);
  for (let n = 0; n < 1_000 && here.slowReaders.length === 0; n++) {
    here.gateway.rooms.emit(userRoom(idOf('ada')), 'message:deleted', {
      chatId: idOf('chat'),
      rev: 1,
      message: { text },
    } as never);
    await new Promise(setImmediate);
  }
  expect(here.slowReaders).toEqual([
    { userId: idOf('ada'), connectionId: expect.any(String), bytes: expect.any(Number), packets: expect.any(Number) },
  ]);
  const hellos = [await there.connect('ada/other'), await there.connect('ada/slow'), await here.connect('ada/slow')];
  expect(hellos.map(({ hello }) => hello['previousClose'])).toEqual([undefined, 'slow_consumer', undefined]);
});

test('[PR-32] who asks and does not read is refused before it costs much, and gets what it asked for before', async () => {
  const node = await startNode(createBusNetwork().node());
  const client = await node.connectRaw('ada/1');
  client.stopReading();
  const answerBytes = 3 * MIB;
  const asked = 20;
  for (let n = 0; n < asked; n++) client.emit('doc:open', { bytes: answerBytes }, n);
  await expect.poll(() => node.gateway.outboundBytes()).toBeGreaterThan(LIMITS.outboundWaitingBytes - answerBytes);
  // Its answer needs no room, but comes in its turn.
  client.emit('doc:open', { bytes: 10 }, asked);
  expect(node.gateway.outboundBytes()).toBeLessThan(LIMITS.outboundWaitingBytes + 2 * answerBytes);
  expect(node.slowReaders).toEqual([]);
  client.readOn();
  await expect.poll(() => client.answer(asked), { timeout: 20_000 }).toBeDefined();
  const answers = Array.from({ length: asked }, (_, n) => client.answer(n));
  const refused = answers.findIndex((answer) => answer?.ok !== true);
  expect(refused).toBeGreaterThan(4);
  for (const answer of answers.slice(refused)) expect(answer).toMatchObject({ error: { code: 'rate_limited' } });
  await expect.poll(() => node.gateway.outboundBytes()).toBe(0);
  client.emit('doc:open', { bytes: answerBytes }, 99);
  await expect.poll(() => client.answer(99)?.ok).toBe(true);
});

test('[DC-41] a foreign upgrade gets to its feature, one that nobody knows is ended', async () => {
  const sockets: Duplex[] = [];
  const route: UpgradeRoute = {
    prefix: '/yjs/',
    handle(_request, socket) {
      sockets.push(socket);
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    },
  };
  const node = await startNode(createBusNetwork().node(), [route]);
  const { port } = new URL(node.url);
  const upgrade = (path: string): TcpSocket => {
    const socket = connectTcp(Number(port), '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    return socket;
  };
  const known = upgrade('/yjs/1');
  await once(known, 'data');
  const unknown = upgrade('/elsewhere');
  const [answer] = (await once(unknown, 'data')) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1\.1 404 /);
  await once(unknown, 'close');
  // Socket.IO works beside it.
  await node.connect('ada/1');
  expect(sockets[0]?.destroyed).toBe(false);
  known.destroy();
  sockets[0]?.destroy();
});
