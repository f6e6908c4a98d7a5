/** A whole server in this process, on a free port with storage of its own, and people to use it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { io, type Socket } from 'socket.io-client';
import { connect, type AtelierClient } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config/index.ts';
import type { Log } from '../../src/observability/log.ts';
import { createServer, type ServerDeps } from '../../src/server.ts';
import { freshDatabaseUri } from './database.ts';

export interface Person {
  id: string;
  name: string;
  email: string;
  password: string;
  accessToken: string;
  refreshToken: string;
}

/** An answer of the REST side: status and envelope. */
export interface HttpAnswer {
  status: number;
  body: Record<string, unknown> & { data?: never };
}

export interface World {
  url: string;
  /** Makes an account; the name is its own. */
  person(name?: string, email?: string): Promise<Person>;
  /** The SDK, connected and ready. */
  client(person: Person): Promise<AtelierClient>;
  /** A plain socket.io-client, connected and past `hello`. */
  socket(person: Person, options?: object): Promise<Socket>;
  /** A chat of these people, made by the first. */
  chat(members: readonly Person[]): Promise<string>;
  request(method: string, path: string, options?: RequestOptions): Promise<HttpAnswer>;
}

export interface RequestOptions {
  as?: Person;
  body?: unknown;
  headers?: Record<string, string>;
}

export type TestServer = World & AsyncDisposable & { errors: unknown[] };

/** Environment for a server under test. Its limits are off unless a test switches them on. */
export const testEnvironment = (dataDir: string): Record<string, string> => ({
  NODE_ENV: 'test',
  PORT: '0',
  DATA_DIR: dataDir,
  LOG_LEVEL: 'error',
  RATE_LIMIT_SCALE: '0',
  AI_PROVIDER: 'demo',
  SANDBOX: 'off',
  PREVIEW_PORT: '0',
  ...freshDatabaseUri(),
});

export async function startServer(
  env: Record<string, string> = {},
  deps: Partial<Pick<ServerDeps, 'now' | 'migrate'>> = {},
): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  const errors: unknown[] = [];
  const server = await createServer(loadConfig({ ...testEnvironment(dataDir), ...env }), {
    log: collecting(errors),
    checkEvents: true,
    ...deps,
  });
  await server.listen();
  const people = openWorld(() => server.url);
  return {
    ...people,
    errors,
    get url() {
      return server.url;
    },
    async [Symbol.asyncDispose]() {
      await people[Symbol.asyncDispose]();
      await server.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** People and their connections to a server anywhere. Disposing it closes the connections. */
export function openWorld(url: () => string): World & AsyncDisposable {
  const open = new Set<{ close(): unknown }>();

  async function request(
    method: string,
    path: string,
    { as, body, headers }: RequestOptions = {},
  ): Promise<HttpAnswer> {
    const response = await fetch(url() + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(as ? { authorization: `Bearer ${as.accessToken}` } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as HttpAnswer['body'] };
  }

  return {
    get url() {
      return url();
    },
    request,
    async person(
      name = `Person ${randomBytes(3).toString('hex')}`,
      email = `${randomBytes(8).toString('hex')}@example.com`,
    ) {
      const password = 'a long enough secret';
      const { status, body } = await request('POST', '/api/auth/register', { body: { email, password, name } });
      if (status !== 200) throw new Error(JSON.stringify(body));
      const { user, accessToken, refreshToken } = body as unknown as Person & { user: { id: string } };
      return { id: user.id, name, email, password, accessToken, refreshToken };
    },
    async client(person) {
      const client = connect({ url: url(), token: person.accessToken });
      open.add(client);
      await client.ready();
      return client;
    },
    async socket(person, options = {}) {
      const socket = io(url(), { auth: { token: person.accessToken }, forceNew: true, ...options });
      open.add(socket);
      await new Promise<void>((resolve, reject) => {
        socket.once('hello', () => resolve());
        socket.once('connect_error', reject);
      });
      return socket;
    },
    async chat([first, ...others]) {
      if (!first) throw new Error('A chat needs somebody');
      const { body } = await request('POST', '/api/chats', {
        as: first,
        body: { kind: 'group', memberIds: others.map(({ id }) => id) },
      });
      return (body as unknown as { data: { chat: { id: string } } }).data.chat.id;
    },
    async [Symbol.asyncDispose]() {
      for (const connection of open) await connection.close();
    },
  };
}

/** Keeps what the server calls an error: a test that expects none asserts that the list is empty. */
function collecting(errors: unknown[]): Log {
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (message, fields) => errors.push({ message, ...fields }),
    child: () => log,
  };
  return log;
}
