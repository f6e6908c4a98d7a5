import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { EngineOptions } from './engine.ts';
import type { Address } from './wire/server.ts';

/** Node cuts longer paths of unix sockets silently (the system's limit is 108 bytes). */
const LONGEST_SOCKET_PATH = 100;

/** How to start the engine in a thread of its own. */
export interface EmbeddedMongoOptions extends EngineOptions {
  /** A port of 127.0.0.1 to listen on, 0 for any; by default a socket in a private directory. */
  port?: number | undefined;
}

/** A running engine. */
export interface EmbeddedMongo {
  /** What MongoDB drivers connect to. */
  uri: string;
  /** Resolves when the engine has ended: with an error if nobody had asked for it. */
  exited: Promise<Error | undefined>;
  close(): Promise<void>;
}

/** What the worker thread is given. */
export interface WorkerInput {
  options: Omit<EngineOptions, 'onError'>;
  address: Address;
}

/** What the worker thread says. */
export type FromWorker = { type: 'listening'; uri: string } | { type: 'error'; error: unknown; during: string };

/** Starts a MongoDB-compatible server on a directory, in a worker thread. */
export async function startEmbeddedMongo({ port, onError, ...options }: EmbeddedMongoOptions): Promise<EmbeddedMongo> {
  const place = port === undefined ? socketPlace() : { address: { host: '127.0.0.1', port }, remove: () => {} };
  const workerData: WorkerInput = { options, address: place.address };
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
  const listening = new Promise<string>((resolve) => {
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'listening') resolve(message.uri);
      else onError?.(message.error, message.during);
    });
  });
  const uri = await Promise.race([listening, exited]);
  if (typeof uri !== 'string') throw uri ?? new Error('the embedded database did not start');
  return {
    uri,
    exited,
    async close() {
      if (!closing) worker.postMessage('close');
      closing = true;
      const error = await exited;
      if (error) throw error;
    },
  };
}

/** A socket in a private directory (mkdtemp makes it with mode 0700), which goes with the engine or the process. */
function socketPlace(): { address: Address; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'atelier-'));
  const clean = () => rmSync(directory, { recursive: true, force: true });
  const path = join(directory, 'db.sock');
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    clean();
    throw new Error(`the socket path ${path} is over ${LONGEST_SOCKET_PATH} bytes: set TMPDIR to a shorter directory`);
  }
  // The process may end without closing the engine.
  process.once('exit', clean);
  const remove = () => {
    process.off('exit', clean);
    clean();
  };
  return { address: { path }, remove };
}
