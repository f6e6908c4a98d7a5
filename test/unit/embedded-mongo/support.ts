import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mongo } from 'mongoose';
import { onTestFinished } from 'vitest';
import { createEngine, type EngineOptions } from '../../../src/storage/embedded-mongo/engine.ts';
import { listen } from '../../../src/storage/embedded-mongo/wire/server.ts';

/** A directory that goes when the test ends. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'embedded-mongo-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** An engine and its server on a port, both in this thread. */
export async function serve(options: Partial<EngineOptions> = {}) {
  const engine = createEngine({ path: temporaryDirectory(), sync: false, ...options });
  const server = await listen(engine, { host: '127.0.0.1', port: 0 }, options.onError);
  return {
    uri: server.uri,
    async close() {
      await server.close();
      await engine.close();
    },
  };
}

/** A database of the test's own, through the real driver; errors that are bugs of the engine fail the test. */
export async function openDatabase(options: { ttlSeconds?: number } = {}): Promise<mongo.Db> {
  const bugs: unknown[] = [];
  const server = await serve({ onError: (error) => bugs.push(error), ...options });
  const client = await mongo.MongoClient.connect(server.uri);
  onTestFinished(async () => {
    await client.close();
    await server.close();
    if (bugs.length) throw new AggregateError(bugs, 'the engine reported errors');
  });
  return client.db('test');
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<mongo.MongoServerError> {
  try {
    await promise;
  } catch (error) {
    return error as mongo.MongoServerError;
  }
  throw new Error('expected a rejection');
}

/** A small seeded generator (mulberry32), so that a failure can be repeated. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
