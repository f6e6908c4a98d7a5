/** A project's files and a disk are kept the same: each rule by itself. */
import { appendFile, chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { LIMITS } from '../../../src/protocol/index.ts';
import { STAGING_FOLDER } from '../../../src/sandbox/disk/excluded.ts';
import { openWorld, type World } from './world.ts';

/** One text file, on both sides. */
async function openWithFile(text = 'one\ntwo\nthree\n') {
  const world = await openWorld();
  const fileId = world.project.add('src/a.ts', text);
  await world.restart();
  return { world, fileId, path: world.path('src/a.ts') };
}

const onDisk = (world: World, path: string): Promise<string> => readFile(world.path(path), 'utf8');

test('what is in the project comes to the disk, and what is on the disk into the project', async () => {
  await using world = await openWorld();
  world.project.add('src/deep/a.ts', 'let a;\n');
  await writeFile(world.path('b.md'), '# b\n');
  await world.restart();
  expect(await world.files()).toEqual(
    new Map([
      ['b.md', '# b\n'],
      ['src/deep/a.ts', 'let a;\n'],
    ]),
  );
  expect(world.project.textAt('b.md')).toBe('# b\n');
  expect(world.failures).toEqual([]);
});

test('edits of both sides at once are both there', async () => {
  const { world, fileId, path } = await openWithFile('a');
  await using _ = world;
  await writeFile(path, 'ab');
  world.project.edit(fileId, (text) => text.insert(0, 'c'));
  world.workspace.diskChanged('src/a.ts');
  await world.workspace.idle();
  expect(world.project.text(fileId)).toBe('cab');
  expect(await onDisk(world, 'src/a.ts')).toBe('cab');
});

test('a notice that tells nothing new writes nothing', async () => {
  const { world, fileId } = await openWithFile();
  await using _ = world;
  world.fuse.burnAfter(undefined);
  for (let n = 0; n < 3; n++) {
    world.workspace.diskChanged('src/a.ts');
    world.workspace.liveChanged(fileId);
    await world.settle({ late: true });
  }
  expect(world.fuse.names).toEqual([]);
});

test('what nobody told of is found by looking at everything', async () => {
  const { world, path } = await openWithFile();
  await using _ = world;
  await writeFile(path, 'other\n');
  await writeFile(world.path('new.ts'), 'new\n');
  world.workspace.rescan();
  await world.workspace.idle();
  expect(world.project.textAt('src/a.ts')).toBe('other\n');
  expect(world.project.textAt('new.ts')).toBe('new\n');
});

test('what failed is done when it is told of again, and just once', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  const merge = world.project.merge.bind(world.project);
  world.project.merge = () => Promise.reject(new Error('out of reach'));
  await appendFile(path, 'four\n');
  await world.settle();
  expect(String(world.failures[0])).toContain('out of reach');
  expect(world.project.text(fileId)).toBe('one\ntwo\nthree\n');
  world.project.merge = merge;
  world.workspace.liveChanged(fileId);
  await world.workspace.idle();
  expect(world.project.text(fileId)).toBe('one\ntwo\nthree\nfour\n');
});

test('what a program writes while its file is being replaced is not lost', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  let isFirst = true;
  world.beforeSwap = async () => {
    if (isFirst) await appendFile(path, 'four\n');
    isFirst = false;
  };
  world.project.edit(fileId, (text) => text.insert(0, 'zero\n'));
  world.workspace.liveChanged(fileId);
  await world.workspace.idle();
  expect(world.project.text(fileId)).toBe('zero\none\ntwo\nthree\nfour\n');
  expect(await onDisk(world, 'src/a.ts')).toBe('zero\none\ntwo\nthree\nfour\n');
  // The disk's mark.
  expect(await readdir(world.path(STAGING_FOLDER))).toHaveLength(1);
});

test('a file that is removed while it is being replaced comes again with what was written', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  world.beforeSwap = () => rm(path, { force: true });
  world.project.edit(fileId, (text) => text.insert(0, 'zero\n'));
  await world.settle({ late: true });
  expect(await onDisk(world, 'src/a.ts')).toBe('zero\none\ntwo\nthree\n');
  expect(world.project.text(fileId)).toBe('zero\none\ntwo\nthree\n');
});

test('a replaced file keeps its permissions', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  await chmod(path, 0o755);
  world.project.edit(fileId, (text) => text.insert(0, '#!/bin/sh\n'));
  await world.settle();
  expect((await stat(path)).mode & 0o777).toBe(0o755);
});

test('line ends of the disk stay there, and documents have line feeds', async () => {
  const { world, fileId, path } = await openWithFile('');
  await using _ = world;
  await writeFile(path, 'one\r\ntwo\r\n');
  await world.settle();
  expect(world.project.text(fileId)).toBe('one\ntwo\n');
  world.project.edit(fileId, (text) => text.insert(4, 'and\n'));
  await world.settle();
  expect(await onDisk(world, 'src/a.ts')).toBe('one\r\nand\r\ntwo\r\n');
  // A program changes them and nothing else: nobody's document does.
  const before = await world.project.state(fileId);
  await writeFile(path, 'one\nand\ntwo\n');
  await world.settle();
  expect(await world.project.state(fileId)).toEqual(before);
  world.project.edit(fileId, (text) => text.insert(0, 'zero\n'));
  await world.settle();
  expect(await onDisk(world, 'src/a.ts')).toBe('zero\none\nand\ntwo\n');
});

test('halves of surrogate pairs make no endless work, and pairs stay whole', async () => {
  const { world, fileId, path } = await openWithFile('x😀y');
  await using _ = world;
  world.project.edit(fileId, (text) => text.insert(0, '\uD83D'));
  await writeFile(path, 'x😁y');
  await world.settle({ late: true });
  expect(await onDisk(world, 'src/a.ts')).toBe('\uFFFDx😁y');
  world.fuse.burnAfter(undefined);
  await world.settle({ late: true });
  expect(world.fuse.names).toEqual([]);
});

test('a file that appears with the content of one that went is that one, with what people wrote meanwhile', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  await rename(path, world.path('b.ts'));
  world.project.edit(fileId, (text) => text.insert(0, 'zero\n'));
  await world.settle({ late: true });
  expect([...world.project.files.values()]).toEqual([{ fileId, path: 'b.ts', kind: 'text' }]);
  expect(await world.files()).toEqual(new Map([['b.ts', 'zero\none\ntwo\nthree\n']]));
});

test('the old name may be told of long before the new one', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  await rm(path);
  world.workspace.diskChanged('src/a.ts');
  await world.workspace.idle();
  expect(world.project.files.has(fileId)).toBe(true);
  await writeFile(world.path('b.ts'), 'one\ntwo\nthree\n');
  world.workspace.diskChanged('b.ts');
  await world.workspace.idle();
  world.passTime();
  await world.workspace.idle();
  expect(world.project.at('b.ts')?.fileId).toBe(fileId);
});

test('what is deleted on the disk goes from the project, unless somebody has written it since', async () => {
  await using world = await openWorld();
  const [gone, edited] = [world.project.add('gone.txt', 'gone'), world.project.add('edited.txt', 'edited')];
  await world.restart();
  await rm(world.path('gone.txt'));
  await rm(world.path('edited.txt'));
  world.project.edit(edited, (text) => text.insert(0, 'newly '));
  await world.settle();
  expect(world.project.files.has(gone)).toBe(true);
  await world.settle({ late: true });
  expect(world.project.files.has(gone)).toBe(false);
  expect(await world.files()).toEqual(new Map([['edited.txt', 'newly edited']]));
});

test('what is deleted in the project goes from the disk, unless a program has written it since', async () => {
  await using world = await openWorld();
  const [gone, written] = [world.project.add('gone.txt', 'gone'), world.project.add('written.txt', 'written')];
  await world.restart();
  await world.project.remove(gone);
  await world.project.remove(written);
  await writeFile(world.path('written.txt'), 'newly written');
  await world.settle({ late: true });
  expect(await world.files()).toEqual(new Map([['written.txt', 'newly written']]));
  expect(world.project.textAt('written.txt')).toBe('newly written');
  expect(world.project.at('gone.txt')).toBeUndefined();
});

test('files that exchange their names in the project do so on the disk', async () => {
  await using world = await openWorld();
  const [a, b] = [world.project.add('a.txt', 'A'), world.project.add('b.txt', 'B')];
  await world.restart();
  await world.project.move(a, 'c.txt');
  await world.project.move(b, 'a.txt');
  await world.project.move(a, 'b.txt');
  await world.settle({ late: true });
  expect(await world.files()).toEqual(
    new Map([
      ['a.txt', 'B'],
      ['b.txt', 'A'],
    ]),
  );
  expect([world.project.textAt('a.txt'), world.project.textAt('b.txt')]).toEqual(['B', 'A']);
  expect(world.project.files.size).toBe(2);
});

test('two new files of one name are one where they are the same, else both are kept', async () => {
  await using world = await openWorld();
  world.project.add('same.txt', 'same\n');
  world.project.add('other.txt', "the project's");
  await writeFile(world.path('same.txt'), 'same\r\n');
  await writeFile(world.path('other.txt'), "the disk's");
  await world.restart();
  const expected = new Map([
    ['same.txt', 'same\r\n'],
    ['other.txt', "the project's"],
    ['other (from disk).txt', "the disk's"],
  ]);
  expect(await world.files()).toEqual(expected);
  expect(world.project.textAt('other (from disk).txt')).toBe("the disk's");
  expect(world.project.textAt('same.txt')).toBe('same\n');
  expect(world.project.files.size).toBe(3);
});

test('bytes that are no text are a blob, whose last writer wins, with what lost as a version', async () => {
  await using world = await openWorld();
  const png = Buffer.from([0x89, 0x50, 0, 1]);
  await writeFile(world.path('a.png'), png);
  await world.restart();
  const { fileId, kind } = world.project.at('a.png') ?? {};
  expect(kind).toBe('blob');
  expect(world.project.versions.get(fileId ?? '')).toEqual([png]);
  world.project.versions.get(fileId ?? '')?.push(Buffer.from([0, 2]));
  await world.settle();
  expect(await readFile(world.path('a.png'))).toEqual(Buffer.from([0, 2]));
  // Both: the disk's comes last.
  world.project.versions.get(fileId ?? '')?.push(Buffer.from([0, 3]));
  await writeFile(world.path('a.png'), Buffer.from([0, 4]));
  await world.settle();
  expect(await readFile(world.path('a.png'))).toEqual(Buffer.from([0, 4]));
  expect(world.project.versions.get(fileId ?? '')?.map((bytes) => bytes[1])).toEqual([0x50, 2, 3, 4]);
  // Written while it is being replaced.
  world.beforeSwap = async () => writeFile(world.path('a.png'), Buffer.from([0, 5]));
  world.project.versions.get(fileId ?? '')?.push(Buffer.from([0, 6]));
  await world.settle();
  expect(await readFile(world.path('a.png'))).toEqual(Buffer.from([0, 6]));
  expect(world.project.kept.get(fileId ?? '')).toEqual([Buffer.from([0, 5])]);
});

test.each([
  ['half of a surrogate pair', Buffer.from([0x61, 0xed, 0xa0, 0xbd])],
  ['more than 2 MiB', Buffer.alloc(LIMITS.documentTextBytes + 1, 'a')],
])('a text file that gets %s becomes a blob, and its text is kept', async (_name, bytes) => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  await writeFile(path, bytes);
  await world.settle({ late: true });
  expect(world.project.files.get(fileId)?.kind).toBe('blob');
  expect(world.project.versions.get(fileId)?.at(-1)?.equals(bytes)).toBe(true);
  expect(world.project.kept.get(fileId)).toEqual([Buffer.from('one\ntwo\nthree\n')]);
});

test('a text that is too large together with what people wrote becomes a blob', async () => {
  const half = LIMITS.documentTextBytes / 2;
  const { world, fileId, path } = await openWithFile('');
  await using _ = world;
  world.project.edit(fileId, (text) => text.insert(0, 'a'.repeat(half + 1)));
  await writeFile(path, 'b'.repeat(half));
  await world.settle();
  expect(world.project.files.get(fileId)?.kind).toBe('blob');
  expect(world.project.kept.get(fileId)?.map(String)).toEqual(['a'.repeat(half + 1)]);
});

test('what tools make is left out on both sides', async () => {
  await using world = await openWorld();
  world.project.add('node_modules/x/index.js', 'x');
  await mkdir(world.path('packages/b/dist'), { recursive: true });
  await mkdir(world.path('.git'));
  await writeFile(world.path('packages/b/dist/b.js'), 'b');
  await writeFile(world.path('.git/HEAD'), 'ref');
  await writeFile(world.path('distance.ts'), 'far');
  await world.restart();
  world.workspace.diskChanged('.git/HEAD');
  await world.workspace.idle();
  expect([...world.project.files.values()].map(({ path }) => path)).toEqual(['node_modules/x/index.js', 'distance.ts']);
  await expect(stat(world.path('node_modules'))).rejects.toThrow('ENOENT');
});

test('links are left alone, and nothing is written behind them', async () => {
  const { world, fileId, path } = await openWithFile();
  await using _ = world;
  await using elsewhere = await openWorld();
  await writeFile(elsewhere.path('secret'), 'secret');
  await symlink(elsewhere.path('secret'), world.path('link'));
  await symlink(elsewhere.directory, world.path('folder'));
  world.project.add('folder/new.txt', 'new');
  await rm(path);
  await symlink(elsewhere.path('secret'), path);
  world.project.edit(fileId, (text) => text.insert(0, 'zero\n'));
  await world.settle({ late: true });
  expect(await elsewhere.files()).toEqual(new Map([['secret', 'secret']]));
  expect(world.leftOut).toEqual(
    new Map([
      ['link', 'link'],
      ['src/a.ts', 'link'],
      ['folder', 'link'],
    ]),
  );
  expect(world.project.text(fileId)).toBe('zero\none\ntwo\nthree\n');
  expect(world.project.at('link')).toBeUndefined();
});

test('an empty disk in place of the former one makes no file go', async () => {
  const { world, path } = await openWithFile();
  await using _ = world;
  await writeFile(world.path('b.txt'), 'b');
  await world.settle();
  await rm(path);
  await rm(world.path('b.txt'));
  await rm(world.path(STAGING_FOLDER), { recursive: true });
  await world.restart();
  await world.settle({ late: true });
  expect(await world.files()).toEqual(
    new Map([
      ['b.txt', 'b'],
      ['src/a.ts', 'one\ntwo\nthree\n'],
    ]),
  );
  expect(world.project.files.size).toBe(2);
});
