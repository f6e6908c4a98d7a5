/**
 * Writes the database and the blobs into one archive, a few MiB at a time. Servers may run meanwhile: each collection is
 * read once, in an order given, so that what was acknowledged before the start is all there.
 */
import type { Connection } from 'mongoose';
import type { Blobs } from '../blobs/index.ts';
import { ArchiveWriter } from './archive-writer.ts';
import { FORMAT, MANIFEST, Tally, type Manifest } from './manifest.ts';

/** How a running database is read. */
export interface DumpPlan {
  /** Collections that are no part of what is kept. */
  leftOut: ReadonlySet<string>;
  /** Those that come first, in this order. */
  first: readonly string[];
  /** By which index a collection is walked where `_id` will not do. */
  orders: Readonly<Record<string, Record<string, 1>>>;
}

export interface DumpOptions {
  connection: Connection;
  blobs: Blobs;
  plan: DumpPlan;
  schemaVersion: number;
  pepperSum: string;
  /** The archive's path. */
  file: string;
}

/** One file of the archive. */
const PART_BYTES = 8 * 1024 * 1024;

export async function dump(options: DumpOptions): Promise<Manifest> {
  const { connection, blobs, plan, schemaVersion, pepperSum, file } = options;
  const startedAt = new Date().toISOString();
  const writer = new ArchiveWriter(file);
  const tally = new Tally();
  try {
    for (const name of await collectionsOf(connection, plan)) await dumpCollection(name);
    await dumpBlobs();
    const endedAt = new Date().toISOString();
    const manifest: Manifest = { format: FORMAT, schemaVersion, startedAt, endedAt, pepperSum, ...tally.sums };
    const text = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
    await writer.add({ name: MANIFEST, sizeBytes: text.length }, [text]);
    await writer.finish();
    return manifest;
  } catch (error) {
    await writer.abandon();
    throw error;
  }

  async function dumpCollection(name: string): Promise<void> {
    const cursor = connection
      .collection(name)
      .find({}, { raw: true })
      .sort(plan.orders[name] ?? { _id: 1 });
    let part: Uint8Array[] = [];
    let sizeBytes = 0;
    let number = 0;
    const write = async (): Promise<void> => {
      const bytes = Buffer.concat(part);
      tally.documents(name, part.length, bytes);
      const place = String(++number).padStart(6, '0');
      await writer.add({ name: `database/${name}/${place}.bson`, sizeBytes }, [bytes]);
      part = [];
      sizeBytes = 0;
    };
    for await (const document of cursor as unknown as AsyncIterable<Uint8Array>) {
      part.push(document);
      sizeBytes += document.length;
      if (sizeBytes >= PART_BYTES) await write();
    }
    // An empty collection is in the archive too.
    if (part.length > 0 || number === 0) await write();
  }

  async function dumpBlobs(): Promise<void> {
    for (let cursor: string | undefined; ;) {
      const { items, next } = await blobs.list('', cursor === undefined ? {} : { cursor });
      for (const { key } of items) await dumpBlob(key);
      if (next === null) return;
      cursor = next;
    }
  }

  async function dumpBlob(key: string): Promise<void> {
    const blob = await blobs.get(key);
    // Removed since it was listed.
    if (!blob) return;
    const { contentType, sizeBytes } = blob.stat;
    tally.blob({ key, contentType, sizeBytes });
    const pax = { 'ATELIER.type': contentType };
    await writer.add({ name: `blobs/${key}`, sizeBytes, pax }, tallied(blob.body));
  }

  async function* tallied(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      tally.blobBytes(chunk);
      yield chunk;
    }
  }
}

async function collectionsOf(connection: Connection, { leftOut, first }: DumpPlan): Promise<string[]> {
  const all = (await connection.listCollections()).map(({ name }) => name);
  const kept = all.filter((name) => !leftOut.has(name) && !name.startsWith('system.')).sort();
  return [...first.filter((name) => kept.includes(name)), ...kept.filter((name) => !first.includes(name))];
}
