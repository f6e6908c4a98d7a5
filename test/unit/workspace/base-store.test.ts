/** Rows of a workspace in a database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  createBaseStore,
  createWorkspaceModels,
  removeBases,
  type BaseRecord,
} from '../../../src/features/workspace/index.ts';
import { LIMITS } from '../../../src/protocol/index.ts';
import { createDiskBlobs } from '../../../src/storage/blobs/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase } from '../../support/database.ts';
import { newId } from '../../support/documents.ts';
import { Ends } from '../../support/ends.ts';

async function openStore(ends: Ends) {
  const database = ends.use(await openTestDatabase());
  const directory = await mkdtemp(join(tmpdir(), 'atelier-blobs-'));
  ends.defer(() => rm(directory, { recursive: true, force: true }));
  const blobs = await createDiskBlobs({ directory });
  const models = createWorkspaceModels(database.connection);
  await ensureIndexes(database.connection);
  const projectId = newId();
  return { blobs, models, projectId, store: createBaseStore({ models, blobs, projectId }) };
}

const recordOf = (changes: Partial<BaseRecord> = {}): BaseRecord => ({
  fileId: newId(),
  path: 'src/a.ts',
  kind: 'text',
  hash: undefined,
  state: new Uint8Array([0, 0]),
  eol: 'crlf',
  client: undefined,
  step: { kind: 'agreed' },
  rev: 0,
  ...changes,
});

test('a record is read as it was stored, and its head without its states', async () => {
  await using ends = new Ends();
  const { store } = await openStore(ends);
  const fresh = recordOf();
  const stored = await store.save(fresh);
  expect(stored).toEqual({ ...fresh, rev: 1 });
  expect(await store.load(fresh.fileId)).toEqual(stored);
  const state = new Uint8Array([1, 2, 3]);
  const step = { kind: 'flushing', id: 'x', hash: 'h', state, hasMerged: true } as const;
  const next = await store.save({ ...stored, hash: 'abc', client: 4_294_967_295, step });
  expect(await store.load(fresh.fileId)).toEqual({ ...next, rev: 2 });
  const { fileId, path, kind } = fresh;
  expect(await store.heads()).toEqual([{ fileId, path, kind, hash: 'abc', step: 'flushing' }]);
  await store.remove(fileId);
  await store.remove(fileId);
  expect(await store.load(fileId)).toBeUndefined();
});

test('who has not seen the last record stores nothing', async () => {
  await using ends = new Ends();
  const { store } = await openStore(ends);
  const fresh = recordOf();
  const first = await store.save(fresh);
  await expect(store.save({ ...fresh, path: 'b.ts' })).rejects.toMatchObject({ code: 'conflict' });
  await store.save({ ...first, path: 'c.ts' });
  await expect(store.save({ ...first, path: 'd.ts' })).rejects.toMatchObject({ code: 'conflict' });
  expect((await store.load(fresh.fileId))?.path).toBe('c.ts');
  await store.remove(fresh.fileId);
  await expect(store.save(first)).rejects.toMatchObject({ code: 'conflict' });
});

test('another project has none of them', async () => {
  await using ends = new Ends();
  const { store, models, blobs } = await openStore(ends);
  const { fileId } = await store.save(recordOf());
  const other = createBaseStore({ models, blobs, projectId: newId() });
  expect(await other.heads()).toEqual([]);
  expect(await other.load(fileId)).toBeUndefined();
  await other.remove(fileId);
  expect(await store.load(fileId)).toBeDefined();
});

test('states that are too large for a row are blobs, which go with it', async () => {
  await using ends = new Ends();
  const { store, blobs } = await openStore(ends);
  const keys = async (): Promise<string[]> => (await blobs.list('workspaces/')).items.map(({ key }) => key);
  const large = new Uint8Array(LIMITS.documentSnapshotRowBytes + 1).fill(7);
  const step = { kind: 'flushing', id: 'x', hash: 'h', state: large, hasMerged: false } as const;
  const stored = await store.save(recordOf({ state: large, step }));
  const [first, second] = await keys();
  expect([first, second].every((key) => key?.includes(stored.fileId))).toBe(true);
  const loaded = await store.load(stored.fileId);
  expect(Buffer.from(loaded?.state ?? []).equals(large)).toBe(true);
  await expect(store.save({ ...stored, rev: 9 })).rejects.toMatchObject({ code: 'conflict' });
  expect(await keys()).toEqual([first, second]);
  await store.save({ ...stored, step: { kind: 'agreed' } });
  expect(await keys()).toHaveLength(1);
  await store.remove(stored.fileId);
  expect(await keys()).toEqual([]);
});

test('a new mark, and the end of the project, leave nothing of what was stored', async () => {
  await using ends = new Ends();
  const { store, models, blobs, projectId } = await openStore(ends);
  const keys = async (): Promise<string[]> => (await blobs.list('workspaces/')).items.map(({ key }) => key);
  const large = new Uint8Array(LIMITS.documentSnapshotRowBytes + 1).fill(7);
  const step = { kind: 'flushing', id: 'x', hash: 'h', state: large, hasMerged: false } as const;
  const fill = async (): Promise<void> => {
    await store.save(recordOf());
    await store.save(recordOf({ state: large }));
    await store.save(recordOf({ step }));
  };
  expect(await store.mark()).toBeUndefined();
  await fill();
  expect(await keys()).toHaveLength(2);
  await store.begin('first');
  expect([await store.mark(), await store.heads(), await keys()]).toEqual(['first', [], []]);
  await fill();
  const other = createBaseStore({ models, blobs, projectId: newId() });
  await other.begin('other');
  const { fileId } = await other.save(recordOf());
  await removeBases({ models, blobs }, projectId);
  await removeBases({ models, blobs }, projectId);
  expect([await store.mark(), await store.heads(), await keys()]).toEqual([undefined, [], []]);
  expect([await other.mark(), (await other.heads()).map((head) => head.fileId)]).toEqual(['other', [fileId]]);
});
