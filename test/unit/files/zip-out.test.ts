/** Archives that go out. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openArchive } from '../../../src/features/files/zip-in.ts';
import { createArchive, type FileToArchive } from '../../../src/features/files/zip-out.ts';

const modifiedAt = new Date('2026-01-02T03:04:06Z');

const fileOf = (path: string, content: string | Uint8Array | undefined): FileToArchive => ({
  path,
  modifiedAt,
  isPacked: path.endsWith('.png'),
  open: async () => (content === undefined ? undefined : Readable.from([Buffer.from(content)])),
});

async function* each(files: readonly FileToArchive[]): AsyncGenerator<FileToArchive> {
  yield* files;
}

test('[FL-55] what goes out can be read again, without what was gone meanwhile', async () => {
  const files = {
    'src/über.txt': 'text\n',
    'a.png': Buffer.alloc(300_000, 7),
    empty: '',
    'gone.txt': undefined,
    'last.json': '{}',
  };
  const bytes = await buffer(
    createArchive(each(Object.entries(files).map(([path, content]) => fileOf(path, content)))),
  );
  const directory = await mkdtemp(join(tmpdir(), 'atelier-zip-'));
  try {
    await writeFile(join(directory, 'a.zip'), bytes);
    const archive = await openArchive(join(directory, 'a.zip'));
    const read = new Map<string, Buffer>();
    for (const file of archive.files) read.set(file.path, await buffer(archive.content(file)));
    await archive.close();
    expect(Object.fromEntries(read)).toEqual({
      'src/über.txt': Buffer.from('text\n'),
      'a.png': Buffer.alloc(300_000, 7),
      empty: Buffer.alloc(0),
      'last.json': Buffer.from('{}'),
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('[FL-55] an archive without files is one', async () => {
  const bytes = await buffer(createArchive(each([])));
  expect(bytes.subarray(0, 4)).toEqual(Buffer.from('PK\x05\x06'));
});

test('[FL-55] files are opened one after another, as fast as the archive is read', async () => {
  const opened: string[] = [];
  const large = Buffer.alloc(1_000_000, 1);
  const files = Array.from({ length: 20 }, (_, i): FileToArchive => ({
    ...fileOf(`${i}.png`, large),
    open: async () => {
      opened.push(String(i));
      return Readable.from([large]);
    },
  }));
  const archive = createArchive(each(files));
  const chunks = archive[Symbol.asyncIterator]();
  await chunks.next();
  expect(opened.length).toBeLessThan(4);
  await chunks.return?.();
  expect(opened.length).toBeLessThan(4);
});

test('[FL-55] a content that breaks breaks the archive, so that no part passes for the whole', async () => {
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from('half');
    throw new Error('The disk is gone');
  }
  const files = [fileOf('a.txt', 'a'), { ...fileOf('b.txt', ''), open: async () => broken() }, fileOf('c.txt', 'c')];
  await expect(buffer(createArchive(each(files)))).rejects.toThrow('The disk is gone');
  const unopenable = { ...fileOf('b.txt', ''), open: () => Promise.reject(new Error('The store is gone')) };
  await expect(buffer(createArchive(each([unopenable])))).rejects.toThrow('The store is gone');
});

test('[FL-55] a reader who leaves lets go of the content', async () => {
  let isLeft = false;
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.alloc(65_536);
    } finally {
      isLeft = true;
    }
  }
  const archive = createArchive(each([{ ...fileOf('a.png', ''), open: async () => endless() }]));
  const chunks = archive[Symbol.asyncIterator]();
  await chunks.next();
  await chunks.next();
  await chunks.return?.();
  await expect.poll(() => isLeft).toBe(true);
});
