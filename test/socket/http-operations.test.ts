import supertest from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS, STATUS_BY_CODE } from '../../src/protocol/index.ts';
import { ROOM, startApp, type TestApp } from './http-app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());
beforeEach(() => {
  app.lines.length = 0;
  app.taken.length = 0;
});

const http = () => supertest(app.url);
const say = () => http().post(`/api/rooms/${ROOM}/messages`).set('authorization', 'Bearer good');
const errorOf = (code: keyof typeof STATUS_BY_CODE) => ({
  type: 'error',
  message: expect.any(String),
  error: expect.objectContaining({ code }),
});

describe('input', () => {
  test('[HT-1] path and body are one input; the path wins', async () => {
    const answer = await say().send({ text: 'hello', roomId: 'e'.repeat(24) });
    expect(answer.body).toEqual({ type: 'success', message: 'OK', data: { roomId: ROOM, length: 5 } });
    expect(answer.status).toBe(200);
  });

  test('[HT-1] a query is input too, numbers and flags read from text', async () => {
    const found = await http().get('/api/rooms/search?query=a%20b&limit=5').set('authorization', 'Bearer good');
    expect(found.body.data).toEqual({ query: 'a b', limit: 5 });
    const gone = await http().delete(`/api/rooms/${ROOM}?hard=true`).set('authorization', 'Bearer good');
    expect(gone.body.data).toEqual({ hard: true });
  });

  test('[HT-1] the body wins over the query', async () => {
    const answer = await http()
      .post(`/api/rooms/${ROOM}/messages?text=query`)
      .set('authorization', 'Bearer good')
      .send({ text: 'body text' });
    expect(answer.body.data.length).toBe(9);
  });

  test('[HT-4] a parameter given twice is invalid', async () => {
    const answer = await http().get('/api/rooms/search?query=a&query=b').set('authorization', 'Bearer good');
    expect(answer.status).toBe(400);
    expect(answer.body.error.detail).toEqual([{ path: 'query', message: expect.any(String) }]);
  });

  test('[PR-3] validation names the places; an unknown key is refused', async () => {
    const answer = await say().send({ text: 1, surprise: true });
    expect(answer.body).toEqual(errorOf('invalid'));
    expect(answer.body.error.detail.map(({ path }: { path: string }) => path)).toEqual(['text', '']);
  });

  test.each(['{"text":"x","__proto__":{"polluted":1}}', '{"text":"x","constructor":{"prototype":{"polluted":1}}}'])(
    '[PR-3] %s is refused and pollutes nothing',
    async (body) => {
      const answer = await say().set('content-type', 'application/json').send(body);
      expect(answer.body).toEqual(errorOf('invalid'));
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );

  test('[PR-3] __proto__ in the query is refused', async () => {
    const answer = await http().get('/api/rooms/search?query=a&__proto__=b').set('authorization', 'Bearer good');
    expect(answer.body).toEqual(errorOf('invalid'));
  });

  test('[PR-4] a body 5,000 deep is invalid', async () => {
    const answer = await say()
      .set('content-type', 'application/json')
      .send(`{"text":"x","extra":${'['.repeat(5_000)}${']'.repeat(5_000)}}`);
    expect(answer.body).toEqual(errorOf('invalid'));
    expect(answer.body.error.message).toContain('nested');
  });

  test.each([LIMITS.operationBytes + 10, 4 * LIMITS.operationBytes, 4 * 1_024 * 1_024])(
    '[PR-4] a body of %i bytes is too_large',
    async (size) => {
      const answer = await say().send({ text: 'x'.repeat(size) });
      expect(answer.status).toBe(413);
      expect(answer.body).toEqual(errorOf('too_large'));
    },
  );

  test('[PR-4] text written as escapes counts as what it holds', async () => {
    const length = 15_000;
    const answer = await say()
      .set('content-type', 'application/json')
      .send(`{"text":"${'\\u0416'.repeat(length)}"}`);
    expect(answer.body.data).toEqual({ roomId: ROOM, length });
  });

  test.each(['{', '"text"', '[1,2]', '{"text":"x"', 'null'])('[HT-4] the body %s is invalid', async (body) => {
    const answer = await say().set('content-type', 'application/json').send(body);
    expect(answer.body).toEqual(errorOf('invalid'));
    expect(JSON.stringify(answer.body)).not.toContain('JSON.parse');
  });

  test.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', 'application/xml'])(
    '[HT-4] a body of the type %s is unsupported',
    async (type) => {
      const answer = await say().set('content-type', type).send('text=x');
      expect(answer.status).toBe(415);
      expect(answer.body).toEqual(errorOf('unsupported'));
    },
  );

  test('[HT-4] a body without a type, or in an encoding that is none, is unsupported', async () => {
    const untyped = await fetch(`${app.url}/api/fail`, { method: 'POST', body: new Uint8Array([123, 125]) });
    expect(untyped.status).toBe(415);
    const encoded = await say().set('content-encoding', 'rot13').set('content-type', 'application/json').send('{}');
    expect(encoded.body).toEqual(errorOf('unsupported'));
  });

  test('[HT-1] a request without a body is an empty input', async () => {
    const answer = await http().post('/api/prompt').set('authorization', 'Bearer good');
    expect(answer.status).toBe(200);
  });

  test('[HT-2] a malformed address is invalid', async () => {
    const answer = await http().get('/api/rooms/%E0%A4%A').set('authorization', 'Bearer good');
    expect(answer.body).toEqual(errorOf('invalid'));
  });
});

describe('answers', () => {
  test.each(Object.entries(STATUS_BY_CODE))('[HT-2] %s has the status %i', async (code, status) => {
    const answer = await http().post('/api/fail').send({ code });
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ type: 'error', message: `It is ${code}`, error: { code } });
  });

  test('[HT-7] rate_limited says when to come back', async () => {
    const answer = await http().post('/api/fail').send({ code: 'rate_limited' });
    expect(answer.headers['retry-after']).toBe('2');
    expect(answer.body.error.retryAfterMs).toBe(1_500);
  });

  test("[HT-3] a flat answer carries data's fields on top, never over the envelope's", async () => {
    const answer = await http().post('/api/auth/login').send({ name: 'ann' });
    expect(answer.body).toEqual({
      type: 'success',
      message: 'OK',
      accessToken: 'for ann',
      data: { accessToken: 'for ann', type: 'not the envelope' },
    });
  });

  test('[PR-5] a bug is internal without its words, and logged', async () => {
    const answer = await http().post('/api/break');
    expect(answer.status).toBe(500);
    expect(answer.text).not.toMatch(/secret|stack|\.ts/);
    expect(app.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test.each([
    ['GET', '/api/nothing'],
    ['POST', '/api/rooms/search/deeper'],
    ['PUT', '/api/auth/login'],
    ['PATCH', '/api/fail'],
    ['GET', '/elsewhere'],
    ['POST', '/health'],
  ])('[HT-2] %s %s is not_found, in the envelope', async (method, path) => {
    const answer = await fetch(`${app.url}${path}`, { method });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toEqual(errorOf('not_found'));
  });

  test('a fixed part of a path comes before a parameter', async () => {
    const answer = await http().get('/api/rooms/search?query=x').set('authorization', 'Bearer good');
    expect(answer.body.data).toEqual({ query: 'x' });
  });

  test('answers are not to be cached, and say nothing of the software', async () => {
    const { headers } = await http().post('/api/fail').send({ code: 'conflict' });
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['x-powered-by']).toBeUndefined();
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
  });
});

describe('callers', () => {
  test.each([undefined, 'Bearer wrong', 'Basic Z29vZA==', 'good'])(
    '[HT-5] %s is unauthenticated where a token is needed, and counted by address',
    async (authorization) => {
      const request = http().get(`/api/rooms/${ROOM}`);
      if (authorization) request.set('authorization', authorization);
      const answer = await request;
      expect(answer.status).toBe(401);
      expect(answer.body).toEqual(errorOf('unauthenticated'));
      expect(app.taken).toEqual(['anonymous 127.0.0.1']);
    },
  );

  test('[HT-5] a token that is not good counts as none where none is needed', async () => {
    const answer = await http().post('/api/auth/login').set('authorization', 'Bearer wrong').send({ name: 'ann' });
    expect(answer.status).toBe(200);
  });

  test('[HT-6] a refresh token comes in the body or as bearer', async () => {
    const bearer = await http().post('/api/auth/refresh-token').set('authorization', 'Bearer r1');
    expect(bearer.body).toMatchObject({ type: 'success', used: 'r1' });
    const both = await http()
      .post('/api/auth/refresh-token')
      .set('authorization', 'Bearer r1')
      .send({ refreshToken: 'r2' });
    expect(both.body.used).toBe('r2');
    const none = await http().post('/api/auth/refresh-token');
    expect(none.body).toEqual(errorOf('invalid'));
  });

  test('[HT-11] a caller who leaves aborts what was being done for it', async () => {
    const leaving = new AbortController();
    const request = fetch(`${app.url}/api/wait`, {
      method: 'POST',
      headers: { authorization: 'Bearer good' },
      signal: leaving.signal,
    });
    await expect.poll(() => app.taken).toContain(`writes ${'c'.repeat(24)}`);
    leaving.abort();
    await expect(request).rejects.toThrow('abort');
    await expect.poll(() => app.abandoned).toEqual(['room:wait']);
    await expect
      .poll(() => app.lines.map(({ fields }) => fields))
      .toContainEqual(expect.objectContaining({ route: '/api/wait', outcome: 'aborted' }));
  });

  test('[HT-16] each request has an id and one line in the log, by its pattern', async () => {
    const answer = await http()
      .get(`/api/rooms/${ROOM}?secret=1`)
      .set('authorization', 'Bearer good')
      .set('x-request-id', 'mine-1');
    expect(answer.headers['x-request-id']).toBe('mine-1');
    await expect.poll(() => app.lines.map(({ fields }) => fields['requestId'])).toContain('mine-1');
    const line = app.lines.find(({ fields }) => fields['requestId'] === 'mine-1');
    expect(line?.fields).toMatchObject({
      method: 'GET',
      route: '/api/rooms/:roomId',
      status: 400,
      userId: 'c'.repeat(24),
    });
    expect(JSON.stringify(line)).not.toContain('secret');
    const other = await http().get('/livez').set('x-request-id', 'not plain!');
    expect(other.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('pages of other sites', () => {
  test('[HT-12] an allowed origin may read, another may not', async () => {
    const allowed = await http().get('/livez').set('origin', 'https://app.example');
    expect(allowed.headers['access-control-allow-origin']).toBe('https://app.example');
    const denied = await http().get('/livez').set('origin', 'https://evil.example');
    expect(denied.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('[HT-12] a preflight is answered for an allowed origin only', async () => {
    const ask = (origin: string) =>
      http()
        .options('/api/prompt')
        .set({ origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' });
    const allowed = await ask('https://app.example');
    expect(allowed.status).toBe(204);
    expect(allowed.headers['access-control-allow-headers']).toContain('Authorization');
    const denied = await ask('https://evil.example');
    expect(denied.headers['access-control-allow-origin']).toBeUndefined();
    expect(denied.status).toBe(404);
  });
});
