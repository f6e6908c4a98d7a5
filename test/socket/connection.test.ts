/** The socket's handshake and life: who may connect, for how long, and what ends it. */
import { once } from 'node:events';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { LIMITS } from '../../src/protocol/index.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startServer();
  ada = await server.person('Ada');
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function refusal(auth: object, options: object = {}): Promise<{ data?: { code: string; detail?: unknown } }> {
  const socket = io(server.url, { auth, forceNew: true, reconnection: false, transports: ['websocket'], ...options });
  try {
    return await new Promise((resolve, reject) => {
      socket.once('connect_error', resolve);
      socket.once('connect', () => reject(new Error('it was let in')));
    });
  } finally {
    socket.close();
  }
}

test.each([
  ['no token', {}],
  ['an empty token', { token: '' }],
  ['a token that is no text', { token: { $gt: '' } }],
  ['a made-up token', { token: 'eyJhbGciOiJub25lIn0.e30.' }],
])('[PR-16] %s is unauthenticated', async (_what, auth) => {
  expect(await refusal(auth)).toMatchObject({ data: { code: 'unauthenticated' } });
});

test('[PR-16] the token is not taken from the query', async () => {
  expect(await refusal({}, { query: { token: ada.accessToken } })).toMatchObject({ data: { code: 'unauthenticated' } });
});

test('[PR-16] another protocol version is unsupported and told which are', async () => {
  expect(await refusal({ token: ada.accessToken, protocol: 2 })).toMatchObject({
    data: { code: 'unsupported', detail: { supported: [1] } },
  });
  const socket = io(server.url, { auth: { token: ada.accessToken, protocol: 1 }, forceNew: true });
  await once(socket as never, 'hello');
  socket.close();
});

test('[PR-16] a refused transport is closed, whatever it tries', async () => {
  const transport = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const packets: string[] = [];
  transport.on('message', (data: Buffer) => packets.push(data.toString()));
  await once(transport, 'message');
  for (let n = 0; n < 50; n++) transport.send(`40{"token":"guess-${n}"}`);
  // And a good one, too late.
  transport.send(`40${JSON.stringify({ token: ada.accessToken })}`);
  await once(transport, 'close');
  expect(packets.filter((packet) => packet.startsWith('44')).length).toBeGreaterThan(0);
  expect(packets.filter((packet) => packet.startsWith('40'))).toEqual([]);
});

test('[PR-24] a page of a foreign origin is refused, on both transports; no origin is no page', async () => {
  for (const transports of [['websocket'], ['polling']]) {
    const failed = await refusal(
      { token: ada.accessToken },
      { transports, extraHeaders: { origin: 'https://evil.example' } },
    );
    expect(failed.data?.code).toBeUndefined();
  }
  const page = await server.socket(ada, { extraHeaders: { origin: 'http://localhost:5173' } });
  page.close();
});

test('[PR-17] hello comes once, and operations sent before it are answered after it', async () => {
  const socket = io(server.url, { auth: { token: ada.accessToken }, forceNew: true });
  const order: string[] = [];
  socket.on('hello', () => order.push('hello'));
  const answered = socket.emitWithAck('chat:list', {}).then(() => order.push('answer'));
  const [hello] = (await once(socket as never, 'hello')) as [Record<string, unknown>];
  await answered;
  expect(order).toEqual(['hello', 'answer']);
  expect(hello).toMatchObject({
    protocol: 1,
    serverId: expect.any(String),
    userId: ada.id,
    sessionId: expect.stringMatching(/^[0-9a-f]{24}$/),
    limits: { messageBytes: LIMITS.messageBytes },
  });
  expect(hello['expiresInSeconds']).toBeGreaterThan(800);
  socket.close();
});

test('[AU-5] logging out closes the sockets of that session only, and tells why', async () => {
  const { body } = await server.request('POST', '/api/auth/login', {
    body: { email: ada.email, password: ada.password },
  });
  const other = { ...ada, ...(body as unknown as Person) };
  const [mine, theirs] = [await server.socket(ada), await server.socket(other, { reconnection: false })];
  const reason = once(theirs as never, 'session:closed');
  const gone = once(theirs as never, 'disconnect');
  expect(
    await server.request('POST', '/api/auth/logout', { body: { refreshToken: other.refreshToken } }),
  ).toMatchObject({
    status: 200,
  });
  expect((await reason)[0]).toEqual({ reason: 'logout' });
  await gone;
  expect(await refusal({ token: other.accessToken })).toMatchObject({ data: { code: 'unauthenticated' } });
  expect(mine.connected).toBe(true);
});

test('[AU-5] what is under way when a session ends is answered, and nothing new is taken', async () => {
  const grace = await server.person('Grace');
  const socket = await server.socket(grace, { reconnection: false });
  const gone = once(socket as never, 'disconnect');
  const late = new Promise((resolve) =>
    socket.once('session:closed', () => socket.emit('user:get', { userId: grace.id }, resolve)),
  );
  const ended = socket.emitWithAck('user:delete-account', { password: grace.password });
  expect(await ended).toEqual({ ok: true, data: {} });
  expect(await Promise.race([late, gone])).not.toMatchObject({ ok: true });
  await gone;
});

test('[AU-6] a session that ends says so before and takes a newer token of the same user on the live socket', async () => {
  await using short = await startServer({ ACCESS_TOKEN_SECONDS: '60' });
  const grace = await short.person('Grace');
  const socket = await short.socket(grace);
  const notices: { expiresInSeconds: number }[] = [];
  socket.on('session:expiring', (notice: { expiresInSeconds: number }) => notices.push(notice));
  const stranger = await short.person('Stranger');
  expect(await socket.emitWithAck('auth:refresh', { accessToken: stranger.accessToken })).toMatchObject({
    ok: false,
    error: { code: 'forbidden' },
  });
  const renewed = await short.request('POST', '/api/auth/refresh-token', {
    body: { refreshToken: grace.refreshToken },
  });
  const { accessToken } = renewed.body as unknown as Person;
  expect(await socket.emitWithAck('auth:refresh', { accessToken })).toMatchObject({
    ok: true,
    data: { expiresInSeconds: expect.any(Number) },
  });
  await expect.poll(() => notices.length).toBeGreaterThan(0);
  expect(notices.at(-1)?.expiresInSeconds).toBeLessThanOrEqual(60);
});

test('[AU-6] a session that has ended closes its socket after the time of grace', { timeout: 60_000 }, async () => {
  let aheadMs = 0;
  await using short = await startServer({ ACCESS_TOKEN_SECONDS: '60' }, { now: () => Date.now() + aheadMs });
  const grace = await short.person('Grace');
  aheadMs = 58_000;
  const socket = await short.socket(grace, { reconnection: false });
  const reason = once(socket as never, 'session:closed');
  const gone = once(socket as never, 'disconnect');
  expect((await reason)[0]).toEqual({ reason: 'expired' });
  await gone;
});

test('[PR-23] one user and one address have a bounded number of connections', { timeout: 60_000 }, async () => {
  await using limited = await startServer({ RATE_LIMIT_SCALE: '1' });
  const grace = await limited.person('Grace');
  const sockets = await Promise.all(Array.from({ length: LIMITS.connectionsPerUser }, () => limited.socket(grace)));
  const refused = io(limited.url, { auth: { token: grace.accessToken }, forceNew: true, reconnection: false });
  const [error] = (await once(refused as never, 'connect_error')) as [{ data: unknown }];
  expect(error.data).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) });
  refused.close();
  sockets[0]?.close();
  await expect
    .poll(async () => {
      const again = io(limited.url, { auth: { token: grace.accessToken }, forceNew: true, reconnection: false });
      const outcome = await Promise.race([
        once(again as never, 'hello').then(() => 'in'),
        once(again as never, 'connect_error').then(() => 'out'),
      ]);
      again.close();
      return outcome;
    })
    .toBe('in');
});

test(
  '[PR-12] [PR-13] too many operations under way, or of a rate class, are rate_limited',
  { timeout: 60_000 },
  async () => {
    await using limited = await startServer({ RATE_LIMIT_SCALE: '0.1' });
    const socket = await limited.socket(await limited.person('Grace'));
    const answers = await Promise.all(
      Array.from(
        { length: 60 },
        () => socket.timeout(10_000).emitWithAck('chat:list', {}) as Promise<{ ok: boolean; error?: object }>,
      ),
    );
    const refused = answers.filter(({ ok }) => !ok);
    expect(refused.length).toBeGreaterThan(0);
    for (const { error } of refused)
      expect(error).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) });

    const flood = await server.socket(ada);
    const results = await Promise.all(
      Array.from(
        { length: 200 },
        () => flood.timeout(10_000).emitWithAck('chat:heads', {}) as Promise<{ ok: boolean }>,
      ),
    );
    expect(results.filter(({ ok }) => ok).length).toBeGreaterThanOrEqual(LIMITS.operationsUnderWay);
    expect(results.filter(({ ok }) => !ok).length).toBeGreaterThan(0);
  },
);

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
