/** Archives that somebody sent: what is read of good ones, and that bad ones are refused before anything comes of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { deflateRawSync } from 'node:zlib';
import { array, assert, asyncProperty, nat, tuple } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ZipFile } from 'yazl';
import { openArchive, type Archive } from '../../../src/features/files/zip-in.ts';
import { Fault, LIMITS } from '../../../src/protocol/index.ts';
import { archiveOf, FOLDER, REGULAR, SYMLINK, type Archived } from '../../support/archives.ts';

let directory: string;
let made = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-zip-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function archived(bytes: Buffer): Promise<Archive> {
  const file = join(directory, String(++made));
  await writeFile(file, bytes);
  return openArchive(file);
}

/** Every file with its content. */
async function contentsOf(bytes: Buffer): Promise<Record<string, string>> {
  const archive = await archived(bytes);
  try {
    const all: [string, string][] = [];
    for (const file of archive.files) all.push([file.path, (await buffer(archive.content(file))).toString()]);
    return Object.fromEntries(all);
  } finally {
    await archive.close();
  }
}

const faultOf = async (bytes: Buffer): Promise<{ code: string; detail: string }> => {
  const error = await contentsOf(bytes).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Fault)) throw new Error('It should have been refused by a fault', { cause: error });
  return { code: error.code, detail: JSON.stringify(error.detail) };
};

const refusedFiles = (...files: Archived[]) => faultOf(archiveOf(files));

describe('what is read', () => {
  test('[FL-50] an archive as archivers write it: folders, packed and stored files, empty ones', async () => {
    const zip = new ZipFile();
    zip.addEmptyDirectory('src');
    zip.addBuffer(Buffer.from('console.log(1);\n'), 'src/main.ts');
    zip.addBuffer(Buffer.alloc(0), 'empty');
    zip.addBuffer(Buffer.from('stored'), 'stored.txt', { compress: false });
    zip.end();
    expect(await contentsOf(await buffer(zip.outputStream))).toEqual({
      'src/main.ts': 'console.log(1);\n',
      empty: '',
      'stored.txt': 'stored',
    });
  });

  test('[FL-50] sizes that follow the content, and the 64-bit form, are read', async () => {
    const zip = new ZipFile();
    const long = Buffer.alloc(300_000, 'long ');
    async function* slices() {
      yield long.subarray(0, 100_000);
      yield long.subarray(100_000);
    }
    const { Readable } = await import('node:stream');
    zip.addReadStream(Readable.from(slices()), 'long.txt', { forceZip64Format: true });
    zip.end({ forceZip64Format: true, comment: '' });
    expect(await contentsOf(await buffer(zip.outputStream))).toEqual({ 'long.txt': long.toString() });
  });

  test('[FL-50] names are UTF-8 where they can be, in the normal form of paths; else of the first PCs', async () => {
    const names = { 'u\u0308ber/日本.txt': 'a', 'caf\u00e9.md': 'b' };
    const files = Object.entries(names).map(([name, content]) => ({ name, content }));
    const read = { 'über/日本.txt': 'a', 'café.md': 'b' };
    expect(await contentsOf(archiveOf(files))).toEqual(read);
    expect(await contentsOf(archiveOf(files.map((file) => ({ ...file, flags: 0 }))))).toEqual(read);
    const old = { name: Buffer.from([0x81, 0x2e, 0x74]), content: 'c', flags: 0 };
    expect(await contentsOf(archiveOf([old]))).toEqual({ 'ü.t': 'c' });
  });

  test('[FL-50] what archivers of one system add is left out', async () => {
    const files = ['__MACOSX/._a.txt', '.DS_Store', 'src/.DS_Store', 'a.txt'].map((name) => ({ name, content: 'x' }));
    expect(await contentsOf(archiveOf(files))).toEqual({ 'a.txt': 'x' });
  });

  test('[FL-50] an archive in an archive is a file like any other', async () => {
    const inner = archiveOf([{ name: '../../evil', content: 'x'.repeat(1_000_000) }]);
    const archive = await archived(archiveOf([{ name: 'inner.zip', content: inner, method: 0 }]));
    expect(archive.files).toEqual([{ path: 'inner.zip', sizeBytes: inner.length }]);
    await archive.close();
  });

  test('[FL-50] an empty archive has no files', async () => {
    expect(await contentsOf(archiveOf([]))).toEqual({});
  });
});

describe('what is refused', () => {
  test.each([
    '../evil',
    'a/../../evil',
    'a/..',
    '/etc/passwd',
    'C:\\evil',
    '..\\evil',
    'a\\b',
    'a//b',
    './a',
    'a\0b',
    'a\nb',
    'x'.repeat(300),
    `${'x/'.repeat(400)}y`,
  ])('[FL-51] the path %j', async (name) => {
    expect(await refusedFiles({ name, content: 'x' })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: `${name}/`, mode: FOLDER })).toMatchObject({ code: 'invalid' });
  });

  test('[FL-51] a good name with another one in its extra field', async () => {
    const name = Buffer.from('good.txt');
    const { crc32 } = await import('node:zlib');
    const evil = Buffer.from('../evil');
    const extra = Buffer.alloc(9 + evil.length);
    extra.writeUInt16LE(0x7075, 0);
    extra.writeUInt16LE(5 + evil.length, 2);
    extra.writeUInt8(1, 4);
    extra.writeUInt32LE(crc32(name), 5);
    evil.copy(extra, 9);
    expect(await refusedFiles({ name, content: 'x', extra })).toMatchObject({ code: 'invalid' });
  });

  test('[FL-51] a name that is not the UTF-8 that it claims to be', async () => {
    expect(await refusedFiles({ name: Buffer.from([0x61, 0xff]), content: 'x' })).toMatchObject({ code: 'invalid' });
  });

  test.each([
    [['a.txt', 'a.txt']],
    [['README.md', 'readme.md']],
    [['Straße', 'STRASSE']],
    [['caf\u00e9', 'cafe\u0301']],
    [['a', 'a/b']],
    [['A/b', 'a']],
    [['a/', 'a']],
  ])('[FL-51] two files of one place: %j', async (names) => {
    expect(await refusedFiles(...names.map((name) => ({ name, content: 'x' })))).toMatchObject({ code: 'invalid' });
  });

  test('[FL-51] links, devices, and folders that are none', async () => {
    expect(await refusedFiles({ name: 'link', content: '/etc/passwd', mode: SYMLINK })).toMatchObject({
      code: 'invalid',
      detail: expect.stringContaining('link'),
    });
    expect(await refusedFiles({ name: 'pipe', mode: 0o010644 })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'device/', mode: 0o020644 })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'folder', mode: FOLDER })).toMatchObject({ code: 'invalid' });
    expect(await contentsOf(archiveOf([{ name: 'file', content: 'x', mode: REGULAR }]))).toEqual({ file: 'x' });
  });

  test('[FL-52] encrypted content, and what is packed in another way', async () => {
    expect(await refusedFiles({ name: 'a', content: 'x', flags: 0x801 })).toMatchObject({ code: 'unsupported' });
    expect(await refusedFiles({ name: 'a', content: 'x', flags: 0x841 })).toMatchObject({ code: 'invalid' });
    for (const method of [12, 14, 93, 99]) {
      expect(await refusedFiles({ name: 'a', content: 'x', method })).toMatchObject({ code: 'unsupported' });
    }
  });

  test('[FL-52] content of another size, or of another sum, than the archive says', async () => {
    const content = 'x'.repeat(1_000);
    expect(await refusedFiles({ name: 'a', content, sizeBytes: 999 })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'a', content, sizeBytes: 1_001 })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'a', content, sizeBytes: 10, method: 0 })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'a', content, crc: 1 })).toMatchObject({ code: 'invalid' });
    const packedBytes = deflateRawSync(content).length - 3;
    expect(await refusedFiles({ name: 'a', content, packedBytes })).toMatchObject({ code: 'invalid' });
    expect(await refusedFiles({ name: 'a', content, packedBytes: 4_000_000_000 })).toMatchObject({ code: 'invalid' });
  });

  test('[FL-53] what unpacks to far more than it is, and does not say so', async () => {
    const content = Buffer.alloc(30_000_000);
    expect(await refusedFiles({ name: 'bomb', content })).toMatchObject({ code: 'invalid' });
    // One that hides its size is cut off where it said it would end.
    const archive = await archived(archiveOf([{ name: 'liar', content, sizeBytes: 1_000 }]));
    let bytes = 0;
    const [file] = archive.files;
    await expect(
      (async () => {
        for await (const chunk of archive.content(file!)) bytes += chunk.length;
      })(),
    ).rejects.toMatchObject({ code: 'invalid' });
    await archive.close();
    expect(bytes).toBeLessThanOrEqual(1_000);
  });

  test('[FL-53] contents that share their bytes', async () => {
    const shared = { name: 'a', content: Buffer.alloc(1_000_000, 'ab') };
    const again = Array.from({ length: 10 }, (_, i): Archived => ({
      ...shared,
      name: `b${i}`,
      offset: 0,
      onlyListed: true,
    }));
    expect(await refusedFiles(shared, ...again)).toMatchObject({ code: 'invalid' });
  });

  test('[FL-53] a file, or all together, larger than may be', async () => {
    const tooLarge = LIMITS.projectFileBytes + 1;
    expect(await refusedFiles({ name: 'a', content: 'x', sizeBytes: tooLarge })).toMatchObject({ code: 'too_large' });
    const all = Array.from({ length: 6 }, (_, i) => ({
      name: `f${i}`,
      content: 'x',
      sizeBytes: LIMITS.projectFileBytes,
    }));
    expect(await refusedFiles(...all)).toMatchObject({ code: 'too_large' });
  });

  test('[FL-53] more files than a project has', async () => {
    const many = Array.from({ length: LIMITS.filesPerProject + 1 }, (_, i) => ({ name: `f${i}` }));
    expect(await refusedFiles(...many)).toMatchObject({ code: 'too_large' });
    const folders = Array.from({ length: LIMITS.zipEntries + 1 }, (_, i) => ({ name: `f${i}/` }));
    expect(await refusedFiles(...folders)).toMatchObject({ code: 'too_large' });
  });

  test('[FL-52] what is no archive, or says impossible things of itself', async () => {
    const good = archiveOf([{ name: 'a', content: 'x' }]);
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('PK'),
      Buffer.from('just words, no archive at all'),
      good.subarray(0, good.length - 5),
      good.subarray(10),
      archiveOf([{ name: 'a', content: 'x' }], { entryCount: 2 }),
      archiveOf([{ name: 'a', content: 'x' }], { directoryOffset: 0xfffffffe }),
      archiveOf([{ name: 'a', content: 'x' }], { zip64At: 2n ** 64n - 1n }),
      archiveOf([{ name: 'a', content: 'x' }], { zip64At: 2n ** 63n }),
      archiveOf([{ name: 'a', content: 'x' }], { zip64At: 5n }),
      archiveOf([{ name: 'a', content: 'x', offset: 0xfffffffe }]),
      archiveOf([{ name: 'a', content: 'x', extra: Buffer.from([1, 0, 255, 255, 1]) }]),
    ]) {
      expect(await faultOf(bytes)).toMatchObject({ code: 'invalid' });
    }
  });

  test('[FL-52] any damage to an archive is refused or does not matter, and never breaks the process', async () => {
    const good = archiveOf([
      { name: 'src/a.txt', content: 'some text '.repeat(50) },
      { name: 'b.bin', content: Buffer.from([0, 1, 2, 3]), method: 0 },
      { name: 'c/', mode: FOLDER },
    ]);
    await assert(
      asyncProperty(array(tuple(nat(good.length - 1), nat(255)), { minLength: 1, maxLength: 6 }), async (damages) => {
        const bytes = Buffer.from(good);
        for (const [place, value] of damages) bytes[place] = value;
        const outcome = await contentsOf(bytes).catch((error: unknown) => error);
        expect(outcome instanceof Error && !(outcome instanceof Fault)).toBe(false);
      }),
      { numRuns: 400 },
    );
  });
});
