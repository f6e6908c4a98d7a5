import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { ROOM, startApp, STREAM, type TestApp } from './http-app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await startApp({ heartbeatMs: 20 });
});
afterEach(() => app.close());

const bearer = { authorization: 'Bearer good' };

/** Reads until a part of the stream has been seen. */
class Reader {
  readonly response: Response;
  text = '';
  readonly #source: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();

  constructor(response: Response) {
    this.response = response;
    this.#source = response.body!.getReader();
  }

  /** All text so far, once it contains `part`; everything when the stream ends. */
  async until(part: string): Promise<string> {
    while (!this.text.includes(part)) {
      const { done, value } = await this.#source.read();
      if (done) break;
      this.text += this.#decoder.decode(value, { stream: true });
    }
    return this.text;
  }

  leave(): Promise<void> {
    return this.#source.cancel();
  }
}

const prompt = async (path = `/api/rooms/${ROOM}/prompt`, body = {}): Promise<Reader> =>
  new Reader(
    await fetch(app.url + path, {
      method: 'POST',
      headers: { ...bearer, accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );

const resume = (headers: Record<string, string>, query = '', streamId = STREAM): Promise<Response> =>
  fetch(`${app.url}/api/streams/${streamId}${query}`, { headers: { ...bearer, ...headers } });

const withoutBeats = (text: string): string => text.replaceAll(':\n\n', '');

test.each(['/api/prompt', `/api/rooms/${ROOM}/prompt`])('[HT-8] POST %s is answered by the stream', async (path) => {
  app.stream.push('Hello');
  const reader = await prompt(path);
  expect(reader.response.status).toBe(200);
  expect(reader.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(reader.response.headers.get('cache-control')).toContain('no-transform');
  expect(reader.response.headers.get('content-encoding')).toBeNull();
  await reader.until('Hello');
  app.stream.push(' you\n');
  app.stream.finish();
  expect(withoutBeats(await reader.until('never'))).toBe(
    [
      `id: ${STREAM}:0\nevent: started\ndata: {"streamId":"${STREAM}"}\n\n`,
      `id: ${STREAM}:5\nevent: delta\ndata: {"offset":0,"text":"Hello"}\n\n`,
      `id: ${STREAM}:10\nevent: delta\ndata: {"offset":5,"text":" you\\n"}\n\n`,
      `id: ${STREAM}:10\nevent: finished\ndata: {"length":10}\n\n`,
    ].join(''),
  );
});

test('[HT-8] without that Accept the answer is the usual one', async () => {
  const answer = await fetch(`${app.url}/api/prompt`, {
    method: 'POST',
    headers: { ...bearer, accept: '*/*', 'content-type': 'application/json' },
    body: '{"wait":true}',
  });
  expect(await answer.json()).toEqual({ type: 'success', message: 'OK', data: { streamId: STREAM, waited: true } });
});

test('[HT-8] a refusal of the operation comes as an ordinary answer', async () => {
  const reader = await prompt('/api/rooms/none/prompt');
  expect(reader.response.status).toBe(400);
  expect(JSON.parse(await reader.until('never'))).toMatchObject({ type: 'error', error: { code: 'invalid' } });
});

test.each([{ 'last-event-id': `${STREAM}:5` }, undefined])(
  '[HT-9] a reader goes on where it was (%o)',
  async (headers) => {
    app.stream.push('Hello you');
    app.stream.finish();
    const answer = headers ? await resume(headers) : await resume({}, '?offset=5');
    expect(withoutBeats(await answer.text())).toBe(
      `id: ${STREAM}:9\nevent: delta\ndata: {"offset":5,"text":" you"}\n\nid: ${STREAM}:9\nevent: finished\ndata: {"length":9}\n\n`,
    );
  },
);

test.each([
  ['somebody else', { authorization: 'Bearer stranger' }, '', STREAM, 'not_found'],
  ['nobody', { authorization: '' }, '', STREAM, 'unauthenticated'],
  ['a wrong token', { authorization: 'Bearer wrong' }, '', STREAM, 'unauthenticated'],
  ['another stream', {}, '', 'f'.repeat(24), 'not_found'],
  ['no id', {}, '', 'nonsense', 'not_found'],
  ['a position elsewhere', { 'last-event-id': `${'f'.repeat(24)}:5` }, '', STREAM, 'invalid'],
  ['no position', { 'last-event-id': 'nonsense' }, '', STREAM, 'invalid'],
  ['a negative offset', {}, '?offset=-1', STREAM, 'invalid'],
  ['two offsets', {}, '?offset=1&offset=2', STREAM, 'invalid'],
])('[HT-9] %s is refused before the stream begins', async (_who, headers, query, streamId, code) => {
  const answer = await resume(headers, query, streamId);
  expect(await answer.json()).toMatchObject({ type: 'error', error: { code } });
});

test('[HT-10] a reader that leaves ends its watch, not the stream', async () => {
  const leaving = await prompt();
  const staying = await prompt();
  await leaving.until('started');
  await staying.until('started');
  expect(app.stream.watchers).toBe(2);
  await leaving.leave();
  await expect.poll(() => app.stream.watchers).toBe(1);
  app.stream.push('still here');
  app.stream.finish();
  expect(await staying.until('never')).toContain('still here');
  await expect.poll(() => app.stream.watchers).toBe(0);
});

test('[HT-10] a reader that reads slowly is waited for', async () => {
  const deltas = 400;
  let taken = 0;
  const slow = await startApp({
    streams: {
      async *watch(streamId) {
        for (; taken < deltas; taken++) {
          yield { id: `${streamId}:${taken}`, event: 'delta', data: { text: 'x'.repeat(64 * 1_024) } };
        }
      },
    },
  });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(`${slow.url}/api/streams/${STREAM}`, { headers: bearer }, resolve);
      request.on('error', reject);
      request.end();
    });
    // Nothing is read yet: the buffers of both ends fill, then the server stops taking.
    let before = -1;
    await vi.waitFor(
      () => {
        const isStill = taken === before;
        before = taken;
        expect(isStill).toBe(true);
      },
      { interval: 100, timeout: 10_000 },
    );
    expect(taken).toBeLessThan(deltas);
    let bytes = 0;
    for await (const chunk of response) bytes += (chunk as Buffer).length;
    expect(taken).toBe(deltas);
    expect(bytes).toBeGreaterThan(deltas * 64 * 1_024);
  } finally {
    await slow.close();
  }
});

test('[HT-10] an idle stream is kept open by comments', async () => {
  const reader = await prompt();
  expect(await reader.until(':\n\n:\n\n')).toContain(':\n\n:\n\n');
  await reader.leave();
});

test('[HT-10] streams end when the server closes, before or after their start', async () => {
  const reader = await prompt();
  await reader.until('started');
  app.closing.abort();
  expect(withoutBeats(await reader.until('never'))).toMatch(/started\ndata: .*\n\n$/);
  await expect.poll(() => app.stream.watchers).toBe(0);
  expect(await (await resume({})).json()).toMatchObject({ error: { code: 'unavailable' } });
});

test('[HT-9] a stream with nothing more to say answers 204', async () => {
  const empty = await startApp({ streams: { async *watch() {} } });
  const answer = await fetch(`${empty.url}/api/streams/${STREAM}`, { headers: bearer });
  expect(answer.status).toBe(204);
  await empty.close();
});

test('[PR-5] a stream that breaks says failed, without the cause, which is logged', async () => {
  const broken = await startApp({
    streams: {
      async *watch(streamId) {
        yield { id: `${streamId}:0`, event: 'started', data: {} };
        throw new Error('the secret of the database');
      },
    },
  });
  const answer = await fetch(`${broken.url}/api/streams/${STREAM}`, { headers: bearer });
  const text = await answer.text();
  expect(text).toContain('event: failed');
  expect(text).toContain('"code":"internal"');
  expect(text).not.toContain('secret');
  expect(broken.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  await broken.close();
});

test('[PR-23] one user has a limited number of streams open', async () => {
  const readers = await Promise.all(Array.from({ length: LIMITS.connectionsPerUser }, () => prompt()));
  const answer = await resume({});
  expect(await answer.json()).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: expect.any(Number) } });
  const refused = await prompt();
  expect(refused.response.status).toBe(429);
  expect(app.taken.filter((taken) => taken.startsWith('writes'))).toHaveLength(readers.length);
  await readers[0]?.leave();
  const statusOfNext = async (): Promise<number> => {
    const next = await resume({});
    await next.body?.cancel();
    return next.status;
  };
  await expect.poll(statusOfNext).toBe(200);
  await Promise.all(readers.map((reader) => reader.leave()));
});
