/** The server as its operator sees it: how it starts, what it refuses, how it stops, and what a restart keeps. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runToEnd, startProcess, testEnvironment } from '../support/process.ts';
import { openWorld } from '../support/server.ts';

let dataDir: string;
let env: Record<string, string>;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-start-'));
  env = testEnvironment(dataDir);
});

afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

const secrets = { JWT_SECRET: 'kX2v9QpLr7TzW4mNb8YcHd3FgJs6Ae1U', AUTH_PEPPER: 'Zp5Rt8Wq2Ns7Vb4Xm9Kc3Lf6Hj1Dg0Ya' };

test('[CF-2] [CF-3] every faulty variable is named at once, and the exit code is 78', async () => {
  const { code, output } = await runToEnd({
    ...env,
    PORT: 'eighty',
    ACCESS_TOKEN_SECONDS: '-1',
    MONGODB_URI: 'http://not-a-database',
    LOG_LEVEL: 'loud',
  });
  expect(code).toBe(78);
  for (const name of ['PORT', 'ACCESS_TOKEN_SECONDS', 'MONGODB_URI', 'LOG_LEVEL']) expect(output).toContain(name);
  expect(output).not.toContain('not-a-database');
});

test('[CF-5] production demands its secrets', async () => {
  const { code, output } = await runToEnd({ ...env, NODE_ENV: 'production', RATE_LIMIT_SCALE: '1' });
  expect(code).toBe(78);
  expect(output).toContain('JWT_SECRET');
  expect(output).toContain('AUTH_PEPPER');
});

test('production starts on a database that was migrated, and says what to do on one that was not', async () => {
  const production = { ...env, ...secrets, NODE_ENV: 'production', RATE_LIMIT_SCALE: '1', LOG_LEVEL: 'info' };
  const refused = await runToEnd(production);
  expect([refused.code, refused.output]).toEqual([78, expect.stringContaining('npm run db:migrate')]);
  expect((await runToEnd(production, 'dist/migrate.js')).code).toBe(0);
  await using server = await startProcess(production);
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: 'ok' });
  expect((await fetch(`${server.url}/dev/outbox`)).status).toBe(404);
});

test('[ST-20] a second process on the data directory exits with 78 and names the first', async () => {
  await using server = await startProcess(env);
  const { code, output } = await runToEnd(env);
  expect(code).toBe(78);
  expect(output).toContain(String(server.pid));
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});

test('an address in use is told, and the exit code is 78', async () => {
  await using server = await startProcess(env);
  const { port } = new URL(server.url);
  const { code, output } = await runToEnd({ ...env, DATA_DIR: join(dataDir, 'other'), PORT: port });
  expect([code, output]).toEqual([78, expect.stringContaining(port)]);
});

test('the banner says where the server is, what is embedded and how to change it', async () => {
  const bare = Object.fromEntries(Object.entries(env).filter(([name]) => name !== 'MONGODB_URI'));
  await using server = await startProcess(bare);
  for (const text of [
    dataDir,
    'embedded',
    'MONGODB_URI',
    'demo, offline',
    'ANTHROPIC_API_KEY',
    '/dev/outbox',
    '/docs',
  ]) {
    expect(server.output()).toContain(text);
  }
});

test('[PR-19] SIGTERM tells clients, lets them go, exits with 0, and a new start goes on with the same data', async () => {
  await using server = await startProcess(env);
  let { url } = server;
  await using world = openWorld(() => url);
  const [ada, grace] = [await world.person('Ada'), await world.person('Grace')];
  const chatId = await world.chat([ada, grace]);
  const client = await world.client(ada);
  const plain = await world.socket(grace);
  await client.send(chatId, 'before');
  const told = once(plain as never, 'server:draining');
  const gone = once(plain as never, 'disconnect');
  const ended = server.end('SIGTERM');
  expect((await told)[0]).toMatchObject({ reconnectInMs: expect.any(Number) });
  // A reason with which socket.io-client reconnects by itself.
  expect((await gone)[0]).toBe('transport close');
  expect(await ended).toBe(0);

  const back = once(plain as never, 'hello');
  await using again = await startProcess({ ...env, PORT: new URL(url).port });
  ({ url } = again);
  await back;
  await client.send(chatId, 'after');
  const { items } = await client.call('message:list', { chatId });
  expect(items.map(({ content }) => content)).toEqual(['before', 'after']);
});

test('a server that was used and closed leaves nothing open: its process ends by itself', async () => {
  expect(await runToEnd(env, 'test/support/start-use-close.mjs')).toEqual({ code: 0, output: '' });
});

test('[AI-34] a stop ends streams with their text kept', async () => {
  await using server = await startProcess(env);
  await using world = openWorld(() => server.url);
  const ada = await world.person('Ada');
  const client = await world.client(ada);
  const { streamId, chatId } = await client.call('ai:prompt', { content: 'count to 5000' });
  await client.once('ai:delta', (delta) => delta.streamId === streamId);
  expect(await server.end('SIGTERM')).toBe(0);
  await using again = await startProcess({ ...env, PORT: new URL(server.url).port });
  expect(again.pid).not.toBe(server.pid);
  const resumed = await client.call('ai:resume', { streamId, offset: 0 });
  expect(resumed.status).toBe('interrupted');
  expect(resumed.text.length).toBeGreaterThan(0);
  const { items } = await client.call('message:list', { chatId });
  expect(items.at(-1)).toMatchObject({ content: resumed.text, metadata: { incomplete: true } });
});

test('[AI-35] after kill -9 a running stream is ended within 10 s of the next start, and everyone is told', async () => {
  await using server = await startProcess(env);
  await using world = openWorld(() => server.url);
  const client = await world.client(await world.person('Ada'));
  const failed = client.once('ai:failed', undefined, { timeoutMs: 20_000 });
  const { streamId } = await client.call('ai:prompt', { content: 'count to 5000' });
  await client.once('ai:delta', (delta) => delta.streamId === streamId);
  await server.end('SIGKILL');
  await using again = await startProcess({ ...env, PORT: new URL(server.url).port });
  expect(again.pid).not.toBe(server.pid);
  expect(await failed).toMatchObject({ streamId, code: 'unavailable' });
});
