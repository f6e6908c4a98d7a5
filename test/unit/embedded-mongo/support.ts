import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mongo } from 'mongoose';
import { onTestFinished } from 'vitest';
import { find } from '../../../src/storage/embedded-mongo/commands/matching.ts';
import { createEngine, type EngineOptions } from '../../../src/storage/embedded-mongo/engine.ts';
import { entriesOf } from '../../../src/storage/embedded-mongo/store/entries.ts';
import { docOf } from '../../../src/storage/embedded-mongo/store/scan.ts';
import { LAST, Store } from '../../../src/storage/embedded-mongo/store/store.ts';
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
export async function openDatabase(options: Partial<EngineOptions> = {}): Promise<mongo.Db> {
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

/** Compares a collection's index entries with those that its documents must have; gives what is wrong, by index. */
export async function wrongEntries(
  path: string,
  ns: string,
): Promise<{ index: string; missing: number; extra: number }[]> {
  const store = new Store(path, false);
  try {
    const collection = store.catalog.get(ns);
    if (!collection) throw new Error(`there is no collection ${ns}`);
    const rows = [...find(store, collection, { filter: {} })];
    return collection.indexes.flatMap((index) => {
      const keys = rows.flatMap((row) =>
        entriesOf(index, docOf(row)).entries.map(({ key }) =>
          index.spec.unique ? key : Buffer.concat([key, row.idKey]),
        ),
      );
      const expected = new Set(keys.map((key) => key.toString('hex')));
      const range = { start: index.prefix, end: Buffer.concat([index.prefix, LAST]) };
      const found = new Set([...store.entries.getKeys(range)].map((key) => key.toString('hex')));
      const missing = [...expected].filter((key) => !found.has(key)).length;
      const extra = [...found].filter((key) => !expected.has(key)).length;
      return missing || extra ? [{ index: index.spec.name, missing, extra }] : [];
    });
  } finally {
    await store.close();
  }
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
