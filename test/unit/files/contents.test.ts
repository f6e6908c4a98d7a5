/** The life of contents and versions: who needs them, what crashes leave, and what imports that broke off leave. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Types } from 'mongoose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBlobModels, type BlobModels, type StoredContent } from '../../../src/features/files/blob-model.ts';
import { BlobReading } from '../../../src/features/files/blob-reading.ts';
import { VersionStore } from '../../../src/features/files/blob-versions.ts';
import { textOf } from '../../../src/features/files/content-kind.ts';
import { ContentStore } from '../../../src/features/files/content-store.ts';
import { contentTypeOf, isPacked, presentationOf } from '../../../src/features/files/content-type.ts';
import { createFileModels, type FileModels, type FileRecord } from '../../../src/features/files/model.ts';
import { Collector, createSignedAddresses } from '../../../src/features/uploads/index.ts';
import { Fault, LIMITS } from '../../../src/protocol/index.ts';
import { createDiskBlobs, type Blobs } from '../../../src/storage/blobs/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let database: TestDatabase;
let models: FileModels & BlobModels;
let directory: string;
let blobs: Blobs;
let contents: ContentStore;
let versions: VersionStore;
let collector: Collector<never>;
let nowMs: number;
let room: number;

beforeAll(async () => {
  database = await openTestDatabase();
  models = { ...createFileModels(database.connection), ...createBlobModels(database.connection) };
  await ensureIndexes(database.connection);
});
afterAll(() => database.close());

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-contents-'));
  blobs = await createDiskBlobs({ directory });
  nowMs = 1_000_000_000_000;
  room = LIMITS.storageQuotaBytes;
  const now = (): number => nowMs;
  contents = new ContentStore({
    contents: models.contents,
    blobs,
    async requireRoom(ownerId) {
      if ((await contents.pendingBytes(ownerId)) > room) throw new Fault('quota_exceeded', 'Full');
    },
    now,
    onReleased: () => {},
  });
  versions = new VersionStore({ versions: models.versions, release: (ids) => contents.release(ids), now });
  const addresses = createSignedAddresses({ secret: 'x'.repeat(32), purpose: 'test', lifetimeMs: HOUR, now });
  const reading = new BlobReading({ models, blobs, contents, versions, addresses, now });
  collector = new Collector({
    what: 'contents',
    due: (limit) => contents.due(limit) as Promise<never[]>,
    look: (content) => reading.look(content),
    postpone: (content, ms) => contents.postpone(content, ms),
    log: silentLog,
  });
});
afterEach(async () => {
  await collector.close();
  for (const name of ['files', 'filetrees', 'filecontents', 'fileversions']) {
    await database.connection.collection(name).deleteMany({});
  }
  await rm(directory, { recursive: true });
});

const id = (): Types.ObjectId => new Types.ObjectId();
const owner = id().toHexString();
const keys = async (): Promise<number> => (await blobs.list('')).items.length;

async function* of(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
const store = (text = 'bytes'): Promise<StoredContent> => contents.put(owner, of(text), { mostBytes: 1_000 });

const projectId = id();
const version = (fileId: Types.ObjectId, content: StoredContent) =>
  versions.add({ fileId, projectId, content, mime: 'image/png', userId: owner });

async function fileAt(present: number, fileId = id()): Promise<Types.ObjectId> {
  await models.files.insertOne({
    _id: fileId,
    projectId,
    path: fileId.toHexString(),
    kind: 'blob',
    sizeBytes: 5,
    chargedBytes: 5,
    version: present,
    rev: 1,
    createdAt: new Date(nowMs),
    createdBy: id(),
    updatedAt: new Date(nowMs),
  } satisfies FileRecord);
  return fileId;
}

describe('contents', () => {
  test('[FL-47] what is uploading is counted until a file counts it, and what fails is not', async () => {
    const content = await store('12345');
    expect(await contents.pendingBytes(owner)).toBe(5);
    await contents.settle([content._id]);
    expect(await contents.pendingBytes(owner)).toBe(0);
    await expect(contents.put(owner, of('too much'), { mostBytes: 3 })).rejects.toMatchObject({ code: 'too_large' });
    room = 10;
    await expect(contents.put(owner, of('x'), { mostBytes: 11 })).rejects.toMatchObject({ code: 'quota_exceeded' });
    await collector.collect();
    expect([await contents.pendingBytes(owner), await keys()]).toEqual([0, 1]);
  });

  test('[FL-46] one that no version names goes after an hour, one that was never finished too', async () => {
    await store();
    await contents.reserve(owner, 100);
    await collector.collect();
    expect(await keys()).toBe(1);
    nowMs += HOUR;
    await collector.collect();
    expect([await keys(), await models.contents.countDocuments()]).toEqual([0, 0]);
  });

  test('[FL-46] one that several versions name goes with the last of them', async () => {
    const content = await store();
    const files = [await fileAt(1), await fileAt(1)];
    for (const fileId of files) await version(fileId, content);
    await contents.settle([content._id]);
    nowMs += 40 * DAY;
    await collector.collect();
    for (const fileId of files) {
      expect(await buffer((await contents.body(content._id))!)).toEqual(Buffer.from('bytes'));
      await versions.removeOf([fileId]);
      await collector.collect();
    }
    expect([await keys(), await models.contents.countDocuments()]).toEqual([0, 0]);
  });

  test('[FL-46] a version that a crash has kept from counting goes; one whose change is decided does not', async () => {
    const [gone, pending] = [await store(), await store()];
    const [neverMade, toBeMade] = [id(), id()];
    await version(neverMade, gone);
    await version(toBeMade, pending);
    const row = { op: 'create' as const, id: toBeMade, path: 'a.png', kind: 'blob' as const, sizeBytes: 5 };
    await models.trees.insertOne({
      _id: projectId,
      rev: 1,
      pending: {
        id: id(),
        rev: 1,
        userId: id(),
        nodeId: 'dead',
        at: new Date(nowMs),
        rows: [{ ...row, blob: { mime: 'image/png', version: 1, chargedBytes: 5 } }],
        hasTexts: false,
        written: 0,
      },
    });
    nowMs += 2 * DAY;
    await collector.collect();
    expect(await versions.naming(gone._id)).toEqual([]);
    expect(await contents.body(gone._id)).toBeUndefined();
    expect((await contents.body(pending._id))?.destroy()).toBeDefined();
    expect(await versions.naming(pending._id)).toHaveLength(1);
  });

  test('[FL-46] one that is going cannot be named again', async () => {
    const content = await store();
    await contents.pin([content._id]);
    nowMs += HOUR;
    await collector.collect();
    await expect(contents.pin([content._id])).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('versions', () => {
  test('[FL-45] numbers follow each other, also of many at once', async () => {
    const fileId = id();
    const content = await store();
    const made = await Promise.all(Array.from({ length: 10 }, () => version(fileId, content)));
    expect(made.map((each) => each.version).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('[FL-45] those that are not kept go with their contents', async () => {
    const fileId = await fileAt(LIMITS.blobVersionsKept + 5);
    for (let i = 0; i < LIMITS.blobVersionsKept + 5; i++) {
      const content = await store(`version ${i}`);
      await version(fileId, content);
      await contents.settle([content._id]);
    }
    await versions.prune(fileId, LIMITS.blobVersionsKept + 5);
    await collector.collect();
    expect([await models.versions.countDocuments(), await keys()]).toEqual([
      LIMITS.blobVersionsKept,
      LIMITS.blobVersionsKept,
    ]);
    expect((await versions.list(fileId, 100, 1))[0]?.version).toBe(LIMITS.blobVersionsKept + 5);
  });
});

describe('what a content is', () => {
  test('[FL-40] text is valid UTF-8 without NUL that is not too long', () => {
    const text = 'a\r\n\ufeffü\u{1f600}\t\u0001';
    expect(textOf(Buffer.from(text))).toBe(text);
    expect(textOf(Buffer.alloc(0))).toBe('');
    for (const bytes of [[0], [0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
      expect(textOf(Buffer.from(bytes))).toBeUndefined();
    }
    expect(textOf(Buffer.alloc(LIMITS.documentTextBytes, 'x'))).toHaveLength(LIMITS.documentTextBytes);
    expect(textOf(Buffer.alloc(LIMITS.documentTextBytes + 1, 'x'))).toBeUndefined();
  });

  test('[FL-56] stores and other servers are told the type that the path says', () => {
    const types: [string, 'text' | 'blob', string][] = [
      ['index.html', 'text', 'text/html; charset=utf-8'],
      ['a.json', 'text', 'application/json; charset=utf-8'],
      ['a.ts', 'text', 'text/plain; charset=utf-8'],
      ['Makefile', 'text', 'text/plain; charset=utf-8'],
      ['a.svg', 'text', 'image/svg+xml; charset=utf-8'],
      ['a.png', 'blob', 'image/png'],
      ['a.unknown', 'blob', 'application/octet-stream'],
      ['a.mp4', 'blob', 'video/mp4'],
    ];
    for (const [path, kind, type] of types) expect(contentTypeOf(path, kind)).toBe(type);
  });

  test('[FL-44] only what is drawn or played is shown, and nothing that runs is named', () => {
    const shown = ['a.png', 'a.jpg', 'a.webp', 'a.mp4', 'a.mp3', 'a.wav'];
    for (const path of shown) expect(presentationOf(path, 'blob').disposition).toBe('inline');
    expect(presentationOf('notes.txt', 'text')).toEqual({
      contentType: 'text/plain; charset=utf-8',
      disposition: 'inline',
    });
    for (const path of [
      'a.html',
      'a.htm',
      'a.xhtml',
      'a.svg',
      'a.xml',
      'a.js',
      'a.mjs',
      'a.css',
      'a.wasm',
      'a.rss',
      'a.appcache',
    ]) {
      for (const kind of ['text', 'blob'] as const) {
        expect(presentationOf(path, kind)).toEqual({
          contentType: kind === 'text' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
          disposition: 'attachment',
        });
      }
    }
    expect(presentationOf('a.docx', 'blob').contentType).toContain('wordprocessingml');
    expect(presentationOf('a.pdf', 'blob')).toEqual({ contentType: 'application/pdf', disposition: 'attachment' });
  });

  test('[FL-55] what is packed already is not packed again', () => {
    expect(['a.png', 'a.zip', 'a.mp4', 'a.woff2', 'a.docx', 'a.gz'].filter((path) => !isPacked(path))).toEqual([]);
    expect(['a.svg', 'a.bmp', 'a.wav', 'Makefile', 'a.json'].filter((path) => isPacked(path))).toEqual([]);
  });
});
