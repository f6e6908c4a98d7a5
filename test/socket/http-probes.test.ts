import supertest from 'supertest';
import { afterEach, expect, test } from 'vitest';
import type { RestDeps } from '../../src/rest/deps.ts';
import { startApp, USER, type TestApp } from './http-app.ts';

let app: TestApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

const start = async (overrides: Partial<RestDeps> = {}) => {
  app = await startApp(overrides);
  return supertest(app.url);
};

test("[HT-13] a user's picture needs no token, runs nothing, and is answered with 304 to whoever has it", async () => {
  const http = await start();
  const answer = await http.get(`/api/users/${USER}/avatar`).buffer(true);
  expect(answer.status).toBe(200);
  expect(String(answer.body)).toContain('<svg');
  expect(answer.headers).toMatchObject({
    'content-type': 'image/svg+xml; charset=utf-8',
    'content-security-policy': expect.stringContaining("default-src 'none'"),
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'cross-origin',
    'cache-control': 'public, max-age=300',
    etag: expect.stringMatching(/^"[\w-]+"$/),
  });
  const again = await http.get(`/api/users/${USER}/avatar`).set('if-none-match', answer.headers['etag'] as string);
  expect(again.status).toBe(304);
});

test.each(['e'.repeat(24), 'nonsense', '__proto__'])('[HT-13] of %s there is no picture', async (id) => {
  const http = await start();
  const answer = await http.get(`/api/users/${id}/avatar`);
  expect(answer.status).toBe(404);
  expect(answer.body.error.code).toBe('not_found');
});

test('[HT-14] metrics want their token where one is set', async () => {
  const http = await start({ metricsToken: 'sesame' });
  expect((await http.get('/metrics')).status).toBe(401);
  expect((await http.get('/metrics').set('authorization', 'Bearer sesam')).status).toBe(401);
  const answer = await http.get('/metrics').set('authorization', 'Bearer sesame');
  expect(answer.text).toBe('up 1\n');
  expect(answer.headers['content-type']).toContain('text/plain');
});

const STRANGE = [
  { 'x-forwarded-for': '127.0.0.1' },
  { forwarded: 'for=127.0.0.1' },
  { 'x-real-ip': '127.0.0.1' },
  { host: 'rebound.example:3000' },
  { host: '127.evil.example' },
];

test.each(STRANGE)('[HT-14] without a token metrics are for the machine itself, not %o', async (headers) => {
  const http = await start({ trustProxyHops: 1 });
  expect((await http.get('/metrics')).status).toBe(200);
  expect((await http.get('/metrics').set(headers)).status).toBe(403);
});

test.each(STRANGE)('[HT-15] the outbox answers the machine itself, not %o', async (headers) => {
  const http = await start({ trustProxyHops: 1 });
  const answer = await http.get('/dev/outbox');
  expect(answer.body.data.items).toEqual([{ to: '+14155550100', text: 'Your code is 123456' }]);
  expect((await http.get('/dev/outbox').set(headers)).status).toBe(404);
});

test('[HT-15] in production there is no outbox', async () => {
  const http = await start({ production: true });
  expect((await http.get('/dev/outbox')).status).toBe(404);
});

test('[HT-17] alive, ready and healthy are three questions', async () => {
  let status: 'ok' | 'degraded' | 'down' = 'ok';
  let isReady = true;
  const http = await start({
    isReady: async () => isReady,
    health: async () => ({ status, message: 'As told', timestamp: '2026-01-01T00:00:00Z', parts: { database: 'up' } }),
  });
  const statuses = async () => [
    (await http.get('/livez')).status,
    (await http.get('/readyz')).status,
    (await http.get('/health')).status,
  ];
  expect(await statuses()).toEqual([200, 200, 200]);
  status = 'degraded';
  expect(await statuses()).toEqual([200, 200, 200]);
  status = 'down';
  isReady = false;
  expect(await statuses()).toEqual([200, 503, 503]);
  expect((await http.get('/health')).body).toEqual({
    status: 'down',
    message: 'As told',
    timestamp: '2026-01-01T00:00:00Z',
    parts: { database: 'up' },
  });
});

test('[HT-17] /livez answers when everything else is broken', async () => {
  const broken = () => Promise.reject(new Error('gone'));
  const http = await start({ isReady: broken, health: broken });
  expect((await http.get('/livez')).body).toMatchObject({ status: 'ok' });
  const ready = await http.get('/readyz');
  expect(ready.status).toBe(500);
  expect(ready.text).not.toContain('gone');
});

test('addresses are believed only from the proxies that are there', async () => {
  const http = await start({ trustProxyHops: 1 });
  await http.post('/api/fail').set('x-forwarded-for', '1.1.1.1, 2.2.2.2').send({ code: 'conflict' });
  expect(app?.taken).toEqual(['writes 2.2.2.2']);
  await app?.close();
  const direct = await start();
  await direct.post('/api/fail').set('x-forwarded-for', '1.1.1.1').send({ code: 'conflict' });
  expect(app?.taken).toEqual(['writes 127.0.0.1']);
});

test('requests are measured by route', async () => {
  const http = await start();
  await http.get(`/api/users/${USER}/avatar`);
  await expect.poll(() => app?.requests).toHaveLength(1);
  expect(app?.requests).toEqual([
    { method: 'GET', route: '/api/users/:id/avatar', status: 200, durationMs: expect.any(Number) },
  ]);
});

test('the documents are served, the page without anything from elsewhere', async () => {
  const http = await start();
  const home = await http.get('/');
  expect([home.status, home.headers['location']]).toEqual([302, '/docs']);
  const page = await http.get('/docs');
  expect(page.headers['content-type']).toContain('text/html');
  expect(page.headers['content-security-policy']).toMatch(/default-src 'none'; style-src 'sha256-/);
  expect(page.text).not.toMatch(/<script|src=|@import|https?:\/\//);
  expect(page.text).toContain('/api/rooms/{roomId}/messages');
  expect((await http.get('/docs/openapi.json')).body.openapi).toBe('3.1.0');
  expect((await http.get('/docs/asyncapi.json')).body.asyncapi).toBe('3.0.0');
  const text = await http.get('/docs/protocol.md').buffer(true);
  expect(text.headers['content-type']).toContain('text/markdown');
  expect(text.text).toContain('### room:say');
});
