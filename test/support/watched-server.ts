/** Servers whose time passes as a test says, and whose database it can look into. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Types, type Connection } from 'mongoose';
import { expect } from 'vitest';
import { connectDatabase } from '../../src/storage/database.ts';
import { startEmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { freshDatabaseUri } from './database.ts';
import { silentLog as log } from './log.ts';
import { startServer, type Person, type TestServer } from './server.ts';

export interface WatchedServer extends AsyncDisposable {
  server: TestServer;
  /** Time passes between jobs: one that ends later than it began would count its next interval from there. */
  advance(ms: number): Promise<void>;
  nowMs(): number;
  /** How many rows there are. */
  rows(collection: string, filter?: object): Promise<number>;
  connection: Connection;
  /** The same person in a new session: the old one may have ended with the time. */
  again(person: Person): Promise<Person>;
}

/** One database engine for several servers, each with a database of its own. */
export interface WatchedServers extends AsyncDisposable {
  start(): Promise<WatchedServer>;
}

export const idOf = (text: string): Types.ObjectId => new Types.ObjectId(text);

/** Jobs are looked for every few seconds. */
export const JOB_WAIT = { timeout: 25_000, interval: 100 };

export async function openWatchedServers(): Promise<WatchedServers> {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-watched-'));
  const engine = freshDatabaseUri().MONGODB_URI
    ? undefined
    : await startEmbeddedMongo({ path: join(directory, 'db'), port: 0 });
  let count = 0;
  return {
    async start() {
      const mongodbUri = freshDatabaseUri().MONGODB_URI ?? `${engine?.uri.replace(/\/+$/, '')}/test${count++}`;
      let aheadMs = 0;
      // It passes by itself too: what is to be tried again in a second is.
      const nowMs = (): number => Date.now() + aheadMs;
      const server = await startServer({ MONGODB_URI: mongodbUri }, { now: nowMs });
      const database = await connectDatabase({ dataDir: directory, mongodbUri, log });
      const { connection } = database;
      const rows = (collection: string, filter: object = {}) =>
        connection.collection(collection).countDocuments(filter);
      return {
        server,
        async advance(ms) {
          await expect.poll(() => rows('jobs', { state: 'running' }), JOB_WAIT).toBe(0);
          aheadMs += ms;
        },
        nowMs,
        rows,
        connection,
        async again({ email, password, ...person }) {
          const { body } = await server.request('POST', '/api/auth/login', { body: { email, password } });
          const { accessToken, refreshToken } = body as unknown as Person;
          return { ...person, email, password, accessToken, refreshToken };
        },
        async [Symbol.asyncDispose]() {
          await server[Symbol.asyncDispose]();
          await connection.dropDatabase();
          await database.close();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await engine?.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
