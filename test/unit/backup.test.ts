/** The archive of database and blobs: what is written comes back exactly, and what is damaged changes nothing. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mongo, Types } from 'mongoose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dump, load, verifyArchive, type DumpPlan } from '../../src/storage/backup/index.ts';
import { createDiskBlobs, type Blobs } from '../../src/storage/blobs/index.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let directory: string;
let from: TestDatabase;
let to: TestDatabase;
let blobs: Blobs;
let restored: Blobs;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  [from, to] = await Promise.all([openTestDatabase(), openTestDatabase()]);
  blobs = await createDiskBlobs({ directory: join(directory, 'blobs') });
  restored = await createDiskBlobs({ directory: join(directory, 'restored') });
  file = join(directory, 'archive.tar.gz');
});
afterEach(async () => {
  await Promise.all([from.close(), to.close()]);
  await rm(directory, { recursive: true, force: true });
});

const EVERYTHING: DumpPlan = { leftOut: new Set(), first: [], orders: {} };
const write = (plan = EVERYTHING) =>
  dump({ connection: from.connection, blobs, plan, schemaVersion: 1, pepperSum: 'x', file });
const read = () => load({ connection: to.connection, blobs: restored, file });
/** All documents of a collection, byte by byte. */
const raw = async ({ connection }: TestDatabase, name: string): Promise<string[]> => {
  const rows = await connection.collection(name).find({}, { raw: true }).sort({ _id: 1 }).toArray();
  return (rows as unknown as Uint8Array[]).map((bytes) => Buffer.from(bytes).toString('hex'));
};

test('[BK-1] every document and every blob comes back as it was, to the byte', async () => {
  const { BSON } = mongo;
  const odd = {
    _id: new Types.ObjectId(),
    int: new BSON.Int32(1),
    double: new BSON.Double(1),
    negativeZero: -0,
    long: BSON.Long.fromString('9007199254740993'),
    decimal: BSON.Decimal128.fromString('1.10'),
    date: new Date(-1),
    bytes: new BSON.Binary(Buffer.from([0, 255]), 0),
    uuid: new BSON.UUID(),
    pattern: new BSON.BSONRegExp('^a', 'i'),
    timestamp: new BSON.Timestamp({ t: 1, i: 2 }),
    least: new BSON.MinKey(),
    nothing: null,
    list: [[], {}, [null]],
    text: 'Grüße 🙂 \u0000',
    ['__proto__x']: { ['a.b']: 1 },
  };
  await from.connection.collection('odd').insertOne(odd);
  const many = Array.from({ length: 2_200 }, (_, n) => ({ _id: `key ${n}`, n, text: 'x'.repeat(4_000) }));
  await from.connection.collection<{ _id: string }>('many').insertMany(many);
  await from.connection.createCollection('empty');
  await blobs.put('a/ümlaut/' + 'long '.repeat(30), Buffer.alloc(3_000_000, 'y'), { contentType: 'text/plain' });
  await blobs.put('nothing', new Uint8Array(), { contentType: 'image/png' });

  const manifest = await write();
  expect(manifest.blobs).toMatchObject({ count: 2, sizeBytes: 3_000_000 });
  expect(await verifyArchive(file)).toEqual(manifest);
  expect(await read()).toEqual(new Map());

  for (const name of ['odd', 'many']) expect(await raw(to, name)).toEqual(await raw(from, name));
  for (const { key } of (await blobs.list('')).items) {
    const [before, after] = [await blobs.get(key), await restored.get(key)];
    expect(after?.stat.contentType).toBe(before?.stat.contentType);
    expect((await bytesOf(after?.body)).equals(await bytesOf(before?.body))).toBe(true);
  }
  expect((await restored.list('')).items).toHaveLength(2);
  expect(await readdir(directory)).not.toContain('archive.tar.gz.part');
});

test('[BK-2] an archive that is cut off, changed or foreign is refused', async () => {
  await from.connection.collection('things').insertMany([{ n: 1 }, { n: 2 }]);
  await blobs.put('b', Buffer.alloc(100_000, 'z'), { contentType: 'text/plain' });
  await write();
  const whole = await readFile(file);
  for (const share of [0, 0.3, 0.7, 0.99]) {
    await writeFile(file, whole);
    await truncate(file, Math.floor(whole.length * share));
    await expect(verifyArchive(file)).rejects.toMatchObject({ name: 'ArchiveUnusable' });
  }
  for (let at = 20; at < whole.length; at += 40) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 0x55;
    await writeFile(file, changed);
    await expect(verifyArchive(file)).rejects.toMatchObject({ name: 'ArchiveUnusable' });
  }
  await writeFile(file, 'something else');
  await expect(verifyArchive(file)).rejects.toMatchObject({ name: 'ArchiveUnusable' });
  await expect(verifyArchive(join(directory, 'nowhere'))).rejects.toMatchObject({ name: 'ArchiveUnusable' });
});

test('[BK-3] a backup that cannot be written fails and leaves no file', async () => {
  await from.connection.collection('things').insertMany([{ n: 1 }]);
  file = join(directory, 'no such folder', 'archive.tar.gz');
  await expect(write()).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await readdir(directory)).toEqual(['blobs', 'restored']);
});

test('[BK-4] what a plan leaves out is not in it, and what it orders comes in that order', async () => {
  for (const name of ['c', 'b', 'a', 'secret']) {
    await from.connection.collection(name).insertMany([{ place: 2 }, { place: 1 }]);
    await from.connection.collection(name).createIndex({ place: 1 });
  }
  const { collections } = await write({
    leftOut: new Set(['secret']),
    first: ['c', 'none'],
    orders: { b: { place: 1 } },
  });
  expect(collections.map(({ name }) => name)).toEqual(['c', 'a', 'b']);
  await read();
  expect(await to.connection.collection('secret').countDocuments()).toBe(0);
});

test('[BK-5] a document that is in the archive twice by a unique index is left out and told', async () => {
  await from.connection.collection('users').insertMany([{ email: 'a' }, { email: 'a' }, { email: 'b' }]);
  await write();
  await to.connection.collection('users').createIndex({ email: 1 }, { unique: true });
  expect(await read()).toEqual(new Map([['users', 1]]));
  expect(await to.connection.collection('users').countDocuments()).toBe(2);
});

async function bytesOf(body: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return Buffer.concat(chunks);
}
