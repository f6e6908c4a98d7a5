/** Versions of documents: named, automatic, restored. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { createVersionModel, type VersionRecord } from '../../../src/features/documents/version-model.ts';
import { Versions } from '../../../src/features/documents/versions.ts';
import { LIMITS } from '../../../src/protocol/index.ts';
import { createDiskBlobs } from '../../../src/storage/blobs/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
import { newId, openDocumentWorld, openPeer, type DocumentNode } from '../../support/documents.ts';

/** Versions of Y.Docs that a test holds itself, on a clock of its own, as several nodes keep them. */
async function openVersions(nodes = 1) {
  const database = await openTestDatabase();
  const directory = await mkdtemp(join(tmpdir(), 'atelier-blobs-'));
  const blobs = await createDiskBlobs({ directory });
  const docs = new Map<string, Y.Doc>();
  const clock = { nowMs: 1_700_000_000_000 };
  const model = createVersionModel(database.connection);
  await ensureIndexes(database.connection);
  const all = Array.from(
    { length: nodes },
    () =>
      new Versions({
        model,
        documents: { read: async (fileId, run) => run(docs.get(fileId) as Y.Doc) },
        blobs,
        log: silentLog,
        now: () => clock.nowMs,
      }),
  );
  const newDoc = (text: string): string => {
    const [fileId, doc] = [newId(), new Y.Doc()];
    doc.getText('content').insert(0, text);
    docs.set(fileId, doc);
    return fileId;
  };
  return {
    versions: all,
    model,
    blobs,
    clock,
    newDoc,
    write: (fileId: string, text: string): void => {
      const live = docs.get(fileId)?.getText('content');
      live?.delete(0, live.length);
      live?.insert(0, text);
    },
    async [Symbol.asyncDispose]() {
      await database.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const page = { limit: LIMITS.listMax };

test('[DC-70] one automatic version for each interval in which it was written, over all nodes, and the last of them', async () => {
  await using at = await openVersions(3);
  const { versions, clock, newDoc, write } = at;
  const [first] = versions as [Versions, Versions, Versions];
  const fileId = newDoc('first');
  for (const node of versions) for (let n = 0; n < 3; n++) node.noteWritten(fileId);
  await Promise.all(versions.map((node) => node.drain()));
  expect((await first.list(fileId, page)).items).toMatchObject([{ kind: 'automatic', fileId, sizeBytes: 5 }]);
  write(fileId, 'later');
  first.noteWritten(fileId);
  clock.nowMs += LIMITS.documentVersionEveryMs;
  // A node that knows nothing of what came before.
  versions[1]?.noteWritten(fileId);
  await versions[1]?.drain();
  first.noteWritten(fileId);
  await first.drain();
  const { items } = await first.list(fileId, page);
  expect(items).toHaveLength(2);
  expect(await first.get(fileId, items[0]?.id as string)).toMatchObject({ text: 'later' });
  expect(await first.get(fileId, items[1]?.id as string)).toMatchObject({ text: 'first' });
  const named = await first.saveNamed(fileId, newId(), 'kept');
  for (let n = 0; n < LIMITS.documentVersionsAutomatic + 3; n++) {
    clock.nowMs += LIMITS.documentVersionEveryMs;
    write(fileId, `text ${n}`);
    first.noteWritten(fileId);
    await first.drain();
  }
  const kept = [];
  for (let cursor: string | undefined, isMore = true; isMore;) {
    const { items: some, next } = await first.list(fileId, { limit: 20, cursor });
    kept.push(...some);
    isMore = next !== null;
    cursor = next ?? undefined;
  }
  expect(kept.filter(({ kind }) => kind === 'automatic')).toHaveLength(LIMITS.documentVersionsAutomatic);
  expect(kept.at(-1)).toEqual(named);
  expect((await first.get(fileId, kept[0]?.id as string)).text).toBe(`text ${LIMITS.documentVersionsAutomatic + 2}`);
});

test('[DC-71] named versions are kept, found once by their clientId, and limited', async () => {
  await using at = await openVersions();
  const { newDoc, write } = at;
  const [versions] = at.versions as [Versions];
  const [fileId, userId] = [newDoc('one'), newId()];
  const [first, twin] = await Promise.all([
    versions.saveNamed(fileId, userId, 'first', 'c1'),
    versions.saveNamed(fileId, userId, 'again', 'c1'),
  ]);
  expect(twin.id).toBe(first.id);
  write(fileId, 'two');
  expect((await versions.saveNamed(fileId, userId, 'other', 'c1')).id).toBe(first.id);
  expect(await versions.get(fileId, first.id)).toEqual({
    version: (await versions.list(fileId, page)).items[0],
    text: 'one',
  });
  expect(first).toMatchObject({ kind: 'named', createdBy: userId, fileId });
  await expect(versions.get(newDoc('x'), first.id)).rejects.toMatchObject({ code: 'not_found' });
  for (let n = 1; n < LIMITS.documentVersionsNamed; n++) await versions.saveNamed(fileId, userId, `v${n}`);
  await expect(versions.saveNamed(fileId, userId, 'more')).rejects.toMatchObject({ code: 'quota_exceeded' });
});

test('[DC-73] versions go with their document, the large ones that are blobs too', async () => {
  await using at = await openVersions();
  const { newDoc, blobs, model } = at;
  const [versions] = at.versions as [Versions];
  const large = 'x'.repeat(LIMITS.documentSnapshotRowBytes + 1);
  const [fileId, other] = [newDoc(large), newDoc('other')];
  const { id } = await versions.saveNamed(fileId, newId(), 'large');
  await versions.saveNamed(other, newId(), 'small');
  expect((await model.collection.findOne<VersionRecord>({ kind: 'named' }))?.blobKey).toBeDefined();
  expect((await versions.get(fileId, id)).text).toBe(large);
  const keys = async (): Promise<number> => (await blobs.list('documents/')).items.length;
  expect(await keys()).toBe(1);
  await versions.remove([fileId]);
  await versions.remove([fileId]);
  expect(await keys()).toBe(0);
  expect((await versions.list(fileId, page)).items).toEqual([]);
  expect((await versions.list(other, page)).items).toHaveLength(1);
});

test('[DC-70] [DC-72] a written document has a version; restoring one is an edit, which restoring takes back', async () => {
  await using world = await openDocumentWorld(2);
  const [a, b] = world.nodes as [DocumentNode, DocumentNode];
  const [fileId, userId] = [newId(), newId()];
  const context = { session: { userId, sessionId: newId(), expiresAtMs: Infinity } } as never;
  await a.documents.create(fileId, 'one\n', userId);
  await a.feature.write(fileId, 'one\ntwo\n', userId);
  const list = async () => (await b.feature.handlers['doc:versions']({ fileId }, context)).items;
  await expect.poll(list).toMatchObject([{ kind: 'automatic' }]);
  const saved = await a.feature.handlers['doc:save-version']({ fileId, name: 'two lines' }, context);
  await a.feature.write(fileId, 'one\ntwo\nthree\n', userId);
  const ben = await openPeer(b, fileId);
  const versionId = saved.version.id;
  const restored = await a.feature.handlers['doc:restore']({ fileId, versionId }, context);
  expect(restored).toMatchObject({ version: { kind: 'before-restore', sizeBytes: 14 }, sizeBytes: 8 });
  await expect.poll(() => ben.text.toJSON()).toBe('one\ntwo\n');
  await b.feature.handlers['doc:restore']({ fileId, versionId: restored.version.id }, context);
  expect(await a.feature.handlers['doc:version']({ fileId, versionId }, context)).toMatchObject({
    version: { name: 'two lines' },
    text: 'one\ntwo\n',
  });
  await expect.poll(() => ben.text.toJSON()).toBe('one\ntwo\nthree\n');
  world.access.set(userId, 'read');
  const refusals = [
    a.feature.handlers['doc:restore']({ fileId, versionId }, context),
    a.feature.handlers['doc:save-version']({ fileId, name: 'x' }, context),
  ];
  await Promise.all(refusals.map((refused) => expect(refused).rejects.toMatchObject({ code: 'forbidden' })));
  expect(await list()).toHaveLength(4);
  world.access.set(userId, 'none');
  await expect(list()).rejects.toMatchObject({ code: 'not_found' });
  await a.feature.remove([fileId]);
  world.access.delete(userId);
  expect(await list()).toEqual([]);
});
