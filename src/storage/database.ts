/**
 * The one connection to the database. With a URI it is that MongoDB; without one the embedded engine starts in a worker
 * thread and nothing else knows the difference. What was acknowledged is on disk, on a majority where there is one.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mongo, Mongoose, type Connection, type ConnectOptions } from 'mongoose';
import type { Log } from '../observability/log.ts';
import { mendDriver } from './driver-fix.ts';

/** The connection that all models are made on. Models never use mongoose's global one. */
export interface Database {
  readonly connection: Connection;
  /** Whether the engine runs inside this process (no `MONGODB_URI`). */
  readonly embedded: boolean;
  /** Whether the database answers now (within 2 s). Never rejects. */
  ping(): Promise<boolean>;
  /** What the data takes on disk; undefined where the database does not say. */
  sizeBytes(): Promise<number | undefined>;
  /** Settles when the embedded engine has died by itself: the process cannot go on. */
  readonly failed: Promise<Error>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** `mongodb://…` or `mongodb+srv://…`; without one the embedded engine runs on `<dataDir>/db`. */
  mongodbUri?: string | undefined;
  dataDir: string;
  /** Connections of the driver's pool. */
  maxPoolSize?: number | undefined;
  log: Log;
  /** How the embedded engine is started; loaded only when needed. */
  startEngine?: StartEngine | undefined;
}

/** What is used of the embedded engine. */
export interface Engine {
  readonly uri: string;
  readonly exited: Promise<Error | undefined>;
  close(): Promise<void>;
}

export type StartEngine = (options: {
  path: string;
  onError: (error: unknown, during: string) => void;
}) => Promise<Engine>;

/** Where the URI names no database. */
export const DATABASE_NAME = 'atelier';
/** How long an operation waits for a reachable server before it fails. */
const SERVER_SELECTION_MS = 5_000;
/** A reply that does not come within this is lost: a half-open connection would wait for ever. */
const SOCKET_TIMEOUT_MS = 20_000;
const PING_MS = 2_000;
/** Enough for the engine's one writer and for a node's concurrent reads. */
const POOL_SIZE = 50;

/** Rejects with the driver's error when the database cannot be reached within 5 s. */
export async function connectDatabase(options: DatabaseOptions): Promise<Database> {
  const { mongodbUri, dataDir, maxPoolSize = POOL_SIZE, log, startEngine = startEmbedded } = options;
  const engine = mongodbUri === undefined ? await startIn(join(dataDir, 'db'), startEngine, log) : undefined;
  const mongoose = createMongoose();
  try {
    const uri = mongodbUri ?? (engine as Engine).uri;
    await mongoose.connect(uri, { ...connectOptions(uri), maxPoolSize });
  } catch (error) {
    await mongoose.disconnect();
    await engine?.close();
    throw error;
  }
  const { connection } = mongoose;
  let closing: Promise<void> | undefined;
  connection.on('disconnected', () => {
    if (!closing) log.warn('The database is out of reach');
  });
  connection.on('reconnected', () => log.info('The database is back'));
  const failed = new Promise<Error>((resolve) => {
    void engine?.exited.then((error) => {
      if (!closing) resolve(error ?? new Error('the embedded database has ended by itself'));
    });
  });
  const close = async (): Promise<void> => {
    // The engine waits for its clients, so they go first.
    await mongoose.disconnect();
    await engine?.close();
  };
  return {
    connection,
    embedded: engine !== undefined,
    failed,
    ping: () => ping(connection),
    sizeBytes: () => sizeOf(connection),
    close: () => (closing ??= close()),
  };
}

/** Builds the indexes of every model on the connection. Repeatable; rejects when one exists with other options. */
export async function ensureIndexes(connection: Connection): Promise<void> {
  await Promise.all(Object.values(connection.models).map((model) => model.createIndexes()));
}

function createMongoose(): Mongoose {
  mendDriver();
  const mongoose = new Mongoose();
  mongoose.set('sanitizeFilter', true);
  mongoose.set('strictQuery', true);
  // An operation that has no server fails after the time above instead of waiting in mongoose without end.
  mongoose.set('bufferCommands', false);
  // Indexes are built by ensureIndexes, at a moment of our choice.
  mongoose.set('autoIndex', false);
  mongoose.set('autoCreate', false);
  return mongoose;
}

function connectOptions(uri: string): ConnectOptions {
  const [, path = '', query = ''] = /^[^:]+:\/\/[^/?]*(?:\/([^?]*))?(?:\?(.*))?$/.exec(uri) ?? [];
  const given = new Set([...new URLSearchParams(query).keys()].map((key) => key.toLowerCase()));
  return {
    ...(path === '' ? { dbName: DATABASE_NAME } : {}),
    ...(given.has('serverselectiontimeoutms') ? {} : { serverSelectionTimeoutMS: SERVER_SELECTION_MS }),
    ...(given.has('sockettimeoutms') ? {} : { socketTimeoutMS: SOCKET_TIMEOUT_MS }),
    ...(given.has('w') || given.has('journal') || given.has('j')
      ? {}
      : { writeConcern: { w: 'majority', journal: true } }),
  };
}

async function startIn(path: string, start: StartEngine, log: Log): Promise<Engine> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  return start({
    path,
    onError: (error, during) => log.error('The embedded database failed in a command', { error, action: during }),
  });
}

const startEmbedded: StartEngine = async (options) => {
  const { startEmbeddedMongo } = await import('./embedded-mongo/index.ts');
  return startEmbeddedMongo(options);
};

async function sizeOf(connection: Connection): Promise<number | undefined> {
  try {
    const stats = await connection.db?.command({ dbStats: 1 });
    return stats ? Number(stats['storageSize']) + Number(stats['indexSize']) : undefined;
  } catch (error) {
    // An account may be allowed to read and write but not to ask this.
    if (error instanceof mongo.MongoServerError) return undefined;
    throw error;
  }
}

async function ping(connection: Connection): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, PING_MS, false);
  });
  const answer = async (): Promise<boolean> => {
    try {
      await connection.db?.command({ ping: 1 });
      return connection.db !== undefined;
    } catch {
      return false;
    }
  };
  try {
    return await Promise.race([answer(), late]);
  } finally {
    clearTimeout(timer);
  }
}

export type { Connection };
