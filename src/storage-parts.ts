/** What backup and restore work on: the same database and blobs as a server of this configuration, without the server. */
import { createHash } from 'node:crypto';
import { loadSecrets, type Config } from './config/index.ts';
import type { Log } from './observability/index.ts';
import { createBlobs, type Blobs } from './storage/blobs/index.ts';
import { lockDataDir } from './storage/data-dir-lock.ts';
import { connectDatabase, type Database } from './storage/database.ts';

export interface StorageParts extends AsyncDisposable {
  database: Database;
  blobs: Blobs;
}

/** Rejects with `DataDirLocked` when a server uses the directory; with `shared`, and a database elsewhere, it may. */
export async function openStorage(config: Config, log: Log, { shared = false } = {}): Promise<StorageParts> {
  const alone = !shared || config.mongodbUri === undefined;
  const lock = alone ? await lockDataDir({ dataDir: config.dataDir }) : undefined;
  try {
    const store = await createBlobs(config, { log });
    const database = await connectDatabase({ mongodbUri: config.mongodbUri, dataDir: config.dataDir, log }).catch(
      async (error: unknown) => {
        await store.close();
        throw error;
      },
    );
    return {
      database,
      blobs: store.blobs,
      async [Symbol.asyncDispose]() {
        await database.close();
        await store.close();
        await lock?.close();
      },
    };
  } catch (error) {
    await lock?.close();
    throw error;
  }
}

/** Enough to recognize the secret that passwords are hashed with, useless for anything else. */
export async function pepperSumOf(config: Config): Promise<string> {
  const { authPepper } = await loadSecrets(config);
  return createHash('sha256').update(`atelier backup ${authPepper}`).digest('hex').slice(0, 16);
}
