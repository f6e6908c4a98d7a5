/** Puts what an archive holds into a database and a blob store. The archive has been verified before. */
import { mongo, type Connection } from 'mongoose';
import type { Blobs } from '../blobs/index.ts';
import { contentOf, readArchive } from './archive-reader.ts';
import { documentsOf, partOf } from './verify.ts';

export interface LoadOptions {
  connection: Connection;
  blobs: Blobs;
  file: string;
}

const BATCH_DOCUMENTS = 1_000;
const BATCH_BYTES = 8 * 1024 * 1024;
const DUPLICATE_KEY = 11_000;

/**
 * Resolves with how many documents of each collection found no place: what changed hands while the archive was written
 * (a name, an address) may be in it twice.
 */
export async function load({ connection, blobs, file }: LoadOptions): Promise<Map<string, number>> {
  const leftOut = new Map<string, number>();
  for await (const entry of readArchive(file)) {
    const part = partOf(entry);
    if (part.kind === 'blob') {
      const { key, contentType, sizeBytes } = part;
      await blobs.put(key, entry.content, { contentType, sizeBytes });
    } else if (part.kind === 'documents') {
      const { collection } = part;
      const lost = await insertAll(connection.collection(collection), await contentOf(entry));
      if (lost > 0) leftOut.set(collection, (leftOut.get(collection) ?? 0) + lost);
    }
  }
  return leftOut;
}

async function insertAll(collection: mongo.Collection, bytes: Buffer): Promise<number> {
  let lost = 0;
  let batch: mongo.Document[] = [];
  let batchBytes = 0;
  const insert = async (): Promise<void> => {
    lost += await insertBatch(collection, batch);
    batch = [];
    batchBytes = 0;
  };
  for (const document of documentsOf(bytes)) {
    batch.push(document);
    batchBytes += mongo.BSON.calculateObjectSize(document);
    if (batch.length === BATCH_DOCUMENTS || batchBytes >= BATCH_BYTES) await insert();
  }
  if (batch.length > 0) await insert();
  return lost;
}

async function insertBatch(collection: mongo.Collection, batch: mongo.Document[]): Promise<number> {
  try {
    await collection.insertMany(batch, { ordered: false });
    return 0;
  } catch (error) {
    if (!(error instanceof mongo.MongoBulkWriteError)) throw error;
    const refused = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
    if (refused.some(({ code }) => code !== DUPLICATE_KEY)) throw error;
    return refused.length;
  }
}
