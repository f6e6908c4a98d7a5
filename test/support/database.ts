/** A database of a test's own: the embedded engine on a fresh directory, or a fresh name on the server of `MONGODB_URI`. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectDatabase, type Database } from '../../src/storage/database.ts';
import type { Log } from '../../src/observability/log.ts';

export type TestDatabase = Database & AsyncDisposable;

/** The environment that gives a server a database of its own: a fresh name on the server of `MONGODB_URI`, if there is one. */
export function freshDatabaseUri(): { MONGODB_URI?: string } {
  const { MONGODB_URI } = process.env;
  return MONGODB_URI ? { MONGODB_URI: withDatabase(MONGODB_URI, `test-${randomBytes(6).toString('hex')}`) } : {};
}

/** Closing it (or leaving its `await using`) removes the data too. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  const fresh = freshDatabaseUri();
  const database = await connectDatabase({
    dataDir,
    mongodbUri: fresh.MONGODB_URI,
    maxPoolSize: 10,
    log: silent,
  });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    if (!database.embedded) await database.connection.dropDatabase();
    await database.close();
    await rm(dataDir, { recursive: true, force: true });
  };
  return {
    ...database,
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

function withDatabase(uri: string, name: string): string {
  return uri.replace(/^([^:]+:\/\/[^/?]*)(?:\/[^?]*)?(\?.*)?$/, `$1/${name}$2`);
}

const nothing = (): void => {};
const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };
