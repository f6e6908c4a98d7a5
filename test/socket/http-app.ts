/** The real REST app over a small contract, on a port of its own, with a stream that the test writes. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import type { Log } from '../../src/observability/log.ts';
import {
  createCall,
  event,
  Fault,
  Id,
  operation,
  STATUS_BY_CODE,
  withResolvers,
  type FaultCode,
  type Handlers,
} from '../../src/protocol/index.ts';
import { createRest } from '../../src/rest/rest.ts';
import type { RestDeps, StreamItem } from '../../src/rest/deps.ts';

export const ROOM = 'a'.repeat(24);
export const STREAM = 'b'.repeat(24);
export const USER = 'c'.repeat(24);
export const STRANGER = 'd'.repeat(24);
const tokens: Record<string, string> = { good: USER, stranger: STRANGER };

const room = { roomId: Id };
const codes = Object.keys(STATUS_BY_CODE) as [FaultCode, ...FaultCode[]];
const base = { auth: 'user', rate: 'writes', doc: 'For tests.' } as const;

export const contract = {
  'room:get': operation({
    ...base,
    input: z.strictObject(room),
    output: z.object({ roomId: Id }),
    http: { route: 'GET /api/rooms/:roomId' },
  }),
  'room:search': operation({
    ...base,
    input: z.strictObject({ query: z.string().max(20), limit: z.coerce.number().int().max(10).optional() }),
    output: z.object({ query: z.string(), limit: z.int().optional() }),
    http: { route: 'GET /api/rooms/search' },
  }),
  'room:say': operation({
    ...base,
    input: z.strictObject({ ...room, text: z.string().max(90_000), extra: z.json().optional() }),
    output: z.object({ roomId: Id, length: z.int() }),
    http: { route: 'POST /api/rooms/:roomId/messages' },
  }),
  'room:delete': operation({
    ...base,
    input: z.strictObject({ ...room, hard: z.stringbool().optional() }),
    output: z.object({ hard: z.boolean() }),
    http: { route: 'DELETE /api/rooms/:roomId' },
  }),
  'room:wait': operation({
    ...base,
    input: z.strictObject({}),
    output: z.object({}),
    http: { route: 'POST /api/wait' },
  }),
  'room:prompt': operation({
    ...base,
    input: z.strictObject({ roomId: Id.optional(), wait: z.boolean().optional() }),
    output: z.object({ streamId: Id, waited: z.boolean() }),
    http: { route: 'POST /api/rooms/:roomId/prompt', alias: 'POST /api/prompt', stream: true },
  }),
  'auth:login': operation({
    ...base,
    input: z.strictObject({ name: z.string().max(10) }),
    output: z.object({ accessToken: z.string(), type: z.string().optional() }),
    auth: 'public',
    http: { route: 'POST /api/auth/login', flat: true, only: true },
  }),
  'auth:refresh-token': operation({
    ...base,
    input: z.strictObject({ refreshToken: z.string().max(100) }),
    output: z.object({ used: z.string() }),
    auth: 'public',
    http: { route: 'POST /api/auth/refresh-token', flat: true, only: true, bearer: 'refreshToken' },
  }),
  'room:fail': operation({
    ...base,
    input: z.strictObject({ code: z.enum(codes) }),
    output: z.object({}),
    auth: 'public',
    http: { route: 'POST /api/fail' },
  }),
  'room:break': operation({
    ...base,
    input: z.strictObject({}),
    output: z.object({}),
    auth: 'public',
    http: { route: 'POST /api/break' },
  }),
};

export const events = { 'room:said': event({ data: z.object({ roomId: Id, text: z.string() }), doc: 'For tests.' }) };

/** A growing text that says what assistants' streams say. */
export class TextStream {
  text = '';
  watchers = 0;
  #ended = false;
  #changed = withResolvers();

  push(text: string): void {
    this.text += text;
    this.#tell();
  }

  finish(): void {
    this.#ended = true;
    this.#tell();
  }

  #tell(): void {
    const before = this.#changed;
    this.#changed = withResolvers();
    before.resolve();
  }

  async *watch(streamId: string, userId: string, offset: number, signal: AbortSignal): AsyncGenerator<StreamItem> {
    if (streamId !== STREAM || userId !== USER) throw new Fault('not_found', 'There is no such stream');
    const gone = withResolvers();
    signal.addEventListener('abort', () => gone.resolve());
    this.watchers++;
    try {
      let position = offset;
      if (offset === 0) yield { id: `${streamId}:0`, event: 'started', data: { streamId } };
      while (!signal.aborted) {
        const changed = this.#changed.promise;
        const text = this.text.slice(position);
        if (text !== '') {
          const from = position;
          position += text.length;
          yield { id: `${streamId}:${position}`, event: 'delta', data: { offset: from, text } };
          continue;
        }
        if (this.#ended) {
          yield { id: `${streamId}:${position}`, event: 'finished', data: { length: position } };
          return;
        }
        await Promise.race([changed, gone.promise]);
      }
    } finally {
      this.watchers--;
    }
  }
}

export interface TestApp {
  url: string;
  server: Server;
  stream: TextStream;
  /** Lines of the log, as `level message` with fields. */
  lines: { level: string; message: string; fields: Record<string, unknown> }[];
  requests: unknown[];
  /** Operations whose caller has gone while they waited. */
  abandoned: string[];
  taken: string[];
  closing: AbortController;
  close: () => Promise<void>;
}

export async function startApp(overrides: Partial<RestDeps> = {}): Promise<TestApp> {
  const stream = new TextStream();
  const lines: TestApp['lines'] = [];
  const requests: unknown[] = [];
  const abandoned: string[] = [];
  const taken: string[] = [];
  const closing = new AbortController();
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}): void => {
      lines.push({ level, message, fields });
    };
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  const handlers: Handlers<typeof contract> = {
    'room:get': async ({ roomId }) => {
      if (roomId !== ROOM) throw new Fault('not_found', 'There is no such room');
      return { roomId };
    },
    'room:search': async (input) => input,
    'room:say': async ({ roomId, text }) => ({ roomId, length: text.length }),
    'room:delete': async ({ hard }) => ({ hard: hard === true }),
    'room:wait': async (_input, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      abandoned.push('room:wait');
      return {};
    },
    'room:prompt': async ({ wait }) => ({ streamId: STREAM, waited: wait === true }),
    'auth:login': async ({ name }) => ({ accessToken: `for ${name}`, type: 'not the envelope' }),
    'auth:refresh-token': async ({ refreshToken }) => ({ used: refreshToken }),
    'room:fail': async ({ code }) => {
      throw new Fault(code, `It is ${code}`, code === 'rate_limited' ? { retryAfterMs: 1_500 } : {});
    },
    'room:break': async () => {
      throw new Error('the secret of the database');
    },
  };
  const limits: RestDeps['limits'] = { take: (rate, key) => taken.push(`${rate} ${key}`) };
  const call = createCall(contract, handlers, {
    limit: limits.take,
    observe: () => {},
    onBug: (error) => log.error('bug', { error }),
  });
  const app = createRest({
    contract,
    events,
    call,
    authenticate: async (token) => {
      const userId = tokens[token];
      if (userId === undefined) throw new Fault('unauthenticated', 'The token is not good');
      return { userId, sessionId: ROOM, expiresAtMs: Date.now() + 60_000 };
    },
    limits,
    log,
    metrics: { httpRequest: (request) => requests.push(request) },
    avatar: async (userId) =>
      userId === USER
        ? {
            contentType: 'image/svg+xml; charset=utf-8',
            etag: 'first',
            open: async () => '<svg xmlns="http://www.w3.org/2000/svg"/>',
          }
        : undefined,
    streams: stream,
    outbox: () => [{ to: '+14155550100', text: 'Your code is 123456' }],
    health: async () => ({ status: 'ok', message: 'All is well', timestamp: new Date().toISOString(), parts: {} }),
    isReady: async () => true,
    metricsText: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    trustProxyHops: 0,
    allowedOrigins: (origin) => origin === 'https://app.example',
    production: false,
    serverId: 'test',
    closing: closing.signal,
    ...overrides,
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, server, stream, lines, requests, abandoned, taken, closing, close };
}
