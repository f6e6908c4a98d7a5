/** A project's files as a sandbox has them: every change may be repeated, and follows the rules for anybody's. */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Types } from 'mongoose';
import { expect, test } from 'vitest';
import { seedUpdate } from '../../../src/features/documents/index.ts';
import { LIMITS } from '../../../src/protocol/index.ts';
import { newId, PROJECT } from '../../support/documents.ts';
import { openSynced } from '../workspace/synced.ts';

async function* of(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
const content = (bytes: Uint8Array) => ({ bytes: of(bytes), sizeBytes: bytes.length });
const hexOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('texts are created with their ids, once, and their documents begin as everybody makes them', async () => {
  await using world = await openSynced();
  const [{ files, feature }] = world.nodes;
  const mirror = files.mirror(PROJECT);
  const made = Array.from({ length: 30 }, (_, n) => ({ fileId: newId(), path: `src/${n}.ts` }));
  const create = (): Promise<boolean[]> => Promise.all(made.map((file) => mirror.createText(file, `${file.path}\n`)));
  expect(await create()).toEqual(made.map(() => true));
  expect(await create()).toEqual(made.map(() => true));
  expect((await mirror.list()).map(({ path }) => path).sort()).toEqual(made.map(({ path }) => path).sort());
  const { fileId } = made[7] ?? { fileId: '' };
  expect(await feature.mirror.state(fileId)).toEqual(seedUpdate(fileId, 'src/7.ts\n').bytes);
  // One that somebody has deleted since was created, and stays deleted.
  await mirror.remove(fileId);
  await mirror.remove(fileId);
  expect(await mirror.createText({ fileId, path: 'src/7.ts' }, 'src/7.ts\n')).toBe(true);
  expect(await mirror.list()).toHaveLength(29);
});

test('what the project cannot have is refused, and only that', async () => {
  await using world = await openSynced();
  const mirror = world.nodes[0].files.mirror(PROJECT);
  const paths = ['a.txt', 'A.TXT', 'a.txt/b', '../up', 'tab\t', 'e\u0301.txt', 'fine.txt', 'fine.txt'];
  const outcomes = await Promise.all(paths.map((path) => mirror.createText({ fileId: newId(), path }, path)));
  expect(outcomes).toEqual([true, false, false, false, false, false, true, false]);
  expect(await mirror.createBlob({ fileId: newId(), path: 'FINE.txt' }, content(Buffer.from([0])))).toBe(false);
  const fileId = (await mirror.list()).find(({ path }) => path === 'a.txt')?.fileId ?? '';
  expect(await mirror.move(fileId, 'fine.txt')).toBe(false);
  expect(await mirror.move(fileId, 'fine.txt/a')).toBe(false);
  expect(await mirror.move(fileId, 'A.txt')).toBe(true);
  expect(await mirror.move(fileId, 'A.txt')).toBe(true);
  await mirror.remove(fileId);
  await expect(mirror.move(fileId, 'b.txt')).rejects.toMatchObject({ code: 'not_found' });
});

test('of several that do not fit into the space together, those come that fit', async () => {
  await using world = await openSynced();
  const [{ files, connection }] = world.nodes;
  const mirror = files.mirror(PROJECT);
  const left = 3 * LIMITS.fileLeastBytes;
  await connection.collection('files').insertOne({
    projectId: new Types.ObjectId(PROJECT),
    chargedBytes: LIMITS.storageQuotaBytes - left,
    deletedAt: new Date(),
  });
  const outcomes = await Promise.all(
    Array.from({ length: 5 }, (_, n) => mirror.createText({ fileId: newId(), path: `${n}.txt` }, 'x')),
  );
  expect(outcomes).toEqual([true, true, true, false, false]);
});

test('a blob comes with its content, gets versions, and one that lost comes before the present one', async () => {
  await using world = await openSynced();
  const [{ files, connection }] = world.nodes;
  const mirror = files.mirror(PROJECT);
  const fileId = newId();
  const [first, second, lost] = [Buffer.from([0, 1]), Buffer.from([0, 2]), Buffer.from([0, 3])];
  expect(await mirror.createBlob({ fileId, path: 'a.bin' }, content(first))).toBe(true);
  // Repeated, it is not read.
  const never = { bytes: of(), sizeBytes: 0 };
  expect(await mirror.createBlob({ fileId, path: 'a.bin' }, never)).toBe(true);
  expect(await mirror.current(fileId)).toBe(hexOf(first));
  expect(await mirror.put(fileId, content(second))).toBe(hexOf(second));
  await mirror.keep(fileId, content(lost));
  expect(await mirror.current(fileId)).toBe(hexOf(second));
  expect(await buffer(mirror.content(fileId))).toEqual(second);
  const rows = await connection.collection('fileversions').find().sort({ version: 1 }).toArray();
  expect(rows.map(({ digest }) => Buffer.from(String(digest), 'base64url').toString('hex'))).toEqual(
    [first, second, lost, second].map(hexOf),
  );
});

test('what a text cannot have is kept in a file beside it, once', async () => {
  await using world = await openSynced();
  const mirror = world.nodes[0].files.mirror(PROJECT);
  const fileId = await world.create('docs/a.txt', 'text');
  const lost = Buffer.from([0, 1, 2]);
  await mirror.keep(fileId, content(lost));
  await mirror.keep(fileId, content(lost));
  const beside = await world.fileAt('docs/a (from disk).txt');
  expect(await mirror.current(beside?.fileId ?? '')).toBe(hexOf(lost));
  expect(await mirror.list()).toHaveLength(2);
});

test('a text that becomes a blob is told as changed, and later notices of its document change nothing of it', async () => {
  await using world = await openSynced(2);
  const [first, second = first] = world.nodes;
  const fileId = await world.create('a.txt', 'text');
  const told: string[][] = [];
  const stop = second.files.onTreeChanged(PROJECT, (blobIds) => told.push([...blobIds]));
  const mirror = first.files.mirror(PROJECT);
  await mirror.becomeBlob(fileId);
  await mirror.becomeBlob(fileId);
  expect(await world.fileAt('a.txt')).toEqual({ fileId, path: 'a.txt', kind: 'blob' });
  expect(await buffer(mirror.content(fileId))).toEqual(Buffer.from('text'));
  await expect.poll(() => told).toEqual([[fileId]]);
  await first.files.saved(fileId, { userId: undefined, sizeBytes: 1_000_000 });
  const row = await first.connection.collection('files').findOne({ _id: new Types.ObjectId(fileId) });
  expect(row).toMatchObject({ kind: 'blob', sizeBytes: 4, version: 1 });
  stop();
});
