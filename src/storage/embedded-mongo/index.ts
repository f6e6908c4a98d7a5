import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { EngineOptions, OnError } from './engine.ts';
import type { Address } from './wire/server.ts';

export { createEngine, type Engine, type EngineOptions, type OnError } from './engine.ts';
export { startInThread } from './in-thread.ts';
export type { Address, WireServer } from './wire/server.ts';

/** Node cuts longer paths of unix sockets silently (the system's limit is 108 bytes). */
const LONGEST_SOCKET_PATH = 100;

/** How to start the engine in a thread of its own. */
export interface EmbeddedMongoOptions extends EngineOptions {
  /** The socket file; by default one in a private directory, which goes when the engine does. */
  socketPath?: string | undefined;
  /** A port of 127.0.0.1 to listen on instead of a socket; 0 for any. */
  port?: number | undefined;
}

/** A running engine. */
export interface EmbeddedMongo {
  /** What MongoDB drivers connect to. */
  uri: string;
  /** The socket file; empty when listening on a port. */
  socketPath: string;
  /** Resolves when the engine has ended: with an error if nobody had asked for it. */
  exited: Promise<Error | undefined>;
  close(): Promise<void>;
}

/** What the worker thread is given. */
export interface WorkerInput {
  path: string;
  sync: boolean | undefined;
  ttlSeconds: number | undefined;
  listen: Address;
}

/** What the worker thread says. */
export type FromWorker = { type: 'listening'; uri: string } | { type: 'error'; error: unknown; during: string };

/** Starts a MongoDB-compatible server on a directory, in a worker thread. */
export async function startEmbeddedMongo(options: EmbeddedMongoOptions): Promise<EmbeddedMongo> {
  const place = options.port === undefined ? socketPlace(options.socketPath) : { path: '', remove: () => {} };
  const { path, sync, ttlSeconds, port, onError } = options;
  const listen: Address = port === undefined ? { socketPath: place.path } : { port };
  const workerData: WorkerInput = { path, sync, ttlSeconds, listen };
  // The same suffix as this module's: .ts in development and tests, .js once built.
  const worker = new Worker(new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url), { workerData });
  let closing = false;
  let failure: Error | undefined;
  worker.on('error', (error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  const exited = new Promise<Error | undefined>((resolve) => {
    worker.once('exit', (code) => {
      place.remove();
      resolve(closing ? failure : (failure ?? new Error(`the embedded database's thread ended with code ${code}`)));
    });
  });
  const uri = await Promise.race([listening(worker, onError), exited]);
  if (typeof uri !== 'string') throw uri ?? new Error('the embedded database did not start');
  return {
    uri,
    socketPath: place.path,
    exited,
    async close() {
      if (!closing) worker.postMessage('close');
      closing = true;
      const error = await exited;
      if (error) throw error;
    },
  };
}

function listening(worker: Worker, onError: OnError | undefined): Promise<string> {
  return new Promise((resolve) => {
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'listening') resolve(message.uri);
      else onError?.(message.error, message.during);
    });
  });
}

interface SocketPlace {
  path: string;
  remove(): void;
}

/** Checks the socket's path, or makes a private directory for one. */
function socketPlace(given: string | undefined): SocketPlace {
  // mkdtemp makes the directory with mode 0700.
  const path = given ?? join(mkdtempSync(join(tmpdir(), 'atelier-')), 'db.sock');
  const directory = given === undefined ? dirname(path) : undefined;
  const clean = () => {
    if (directory) rmSync(directory, { recursive: true, force: true });
  };
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    clean();
    throw new Error(
      `the socket path ${path} is longer than ${LONGEST_SOCKET_PATH} bytes: set TMPDIR to a shorter directory`,
    );
  }
  // The process may end without closing the engine.
  process.once('exit', clean);
  return {
    path,
    remove() {
      process.off('exit', clean);
      clean();
    },
  };
}
