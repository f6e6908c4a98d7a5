/** A directory that programs may do anything to, as a disk here and through the file helper in a sandbox. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { hashOf } from '../../src/features/workspace/disk-text.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { createSandboxDisk } from '../../src/sandbox/sandbox-disk.ts';
import { directoryDisk } from '../support/disks.ts';
import { Ends } from '../support/ends.ts';
import { silentLog } from '../support/log.ts';
import { createStage, fileHelper } from './agent-process.ts';

const listed = async (paths: AsyncIterable<string>): Promise<string[]> => {
  const found: string[] = [];
  for await (const path of paths) found.push(path);
  return found.toSorted();
};

describe.each(['here', 'helped'] as const)('%s', (form) => {
  async function openDirectory(ends: Ends, mostBytes: number = LIMITS.projectFileBytes) {
    const directory = await mkdtemp(join(tmpdir(), 'atelier-disk-'));
    ends.defer(() => rm(directory, { recursive: true, force: true }));
    const path = (name: string): string => join(directory, name);
    if (form === 'here') return { disk: directoryDisk(directory, mostBytes), path };
    const stage = await createStage();
    ends.defer(() => stage[Symbol.asyncDispose]());
    const { streams } = await stage.link();
    stage.agent();
    const disk = createSandboxDisk({ streams, helper: fileHelper(), directory, mostBytes, log: silentLog });
    ends.defer(() => disk.close());
    return { disk, path };
  }

  test('a file is read with its hash, a large one without its bytes', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    await writeFile(path('a'), 'text');
    const bytes = Buffer.from('text');
    expect(await disk.read('a')).toEqual({ kind: 'file', hash: hashOf(bytes), sizeBytes: 4, bytes });
    const large = Buffer.alloc(LIMITS.documentTextBytes + 1, 'x');
    await writeFile(path('large'), large);
    expect(await disk.read('large')).toEqual({
      kind: 'file',
      hash: hashOf(large),
      sizeBytes: large.length,
      bytes: undefined,
    });
    expect(await disk.read('none')).toEqual({ kind: 'missing' });
    expect(await disk.read('a/none')).toEqual({ kind: 'missing' });
  });

  test('what is no regular file is skipped, and never opened', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends, 1_000_000);
    await writeFile(path('target'), 'secret');
    await symlink(path('target'), path('link'));
    await mkdir(path('folder'));
    await symlink(path('folder'), path('linked-folder'));
    await writeFile(path('folder/inside'), 'secret');
    execFileSync('mkfifo', [path('pipe')]);
    const server = createServer().listen(path('socket'));
    ends.defer(() => new Promise((resolve) => server.close(resolve)));
    await expect.poll(() => server.listening).toBe(true);
    const giant = await open(path('giant'), 'w');
    await giant.close();
    await truncate(path('giant'), 2 ** 40);
    expect(await disk.read('link')).toEqual({ kind: 'skipped', reason: 'link' });
    expect(await disk.read('folder')).toEqual({ kind: 'skipped', reason: 'folder' });
    expect(await disk.read('pipe')).toEqual({ kind: 'skipped', reason: 'special' });
    expect(await disk.read('socket')).toEqual({ kind: 'skipped', reason: 'special' });
    expect(await disk.read('giant')).toEqual({ kind: 'skipped', reason: 'too_large' });
    expect(await disk.read('linked-folder/inside')).toEqual({ kind: 'missing' });
    expect(await listed(disk.list())).toEqual([
      'folder/inside',
      'giant',
      'link',
      'linked-folder',
      'pipe',
      'socket',
      'target',
    ]);
  });

  test('no path leads out', async () => {
    await using ends = new Ends();
    const { disk, path: at } = await openDirectory(ends);
    await writeFile(at('a'), 'a');
    for (const path of ['../x', 'a/../../x', '..', '/etc/passwd', '']) {
      await expect(disk.read(path)).rejects.toThrow('no path of a workspace');
      await expect(disk.move('a', path)).rejects.toThrow('no path of a workspace');
    }
  });

  test('nothing is placed, moved or replaced through a linked folder', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    const elsewhere = await openDirectory(ends);
    await writeFile(elsewhere.path('a'), 'theirs');
    await symlink(elsewhere.path('.'), path('folder'));
    await writeFile(path('own'), 'own');
    await disk.stage('1', Buffer.from('new'), 'folder/a');
    expect(await disk.replace('1', 'folder/a')).toBe('missing');
    await expect(disk.place('1', 'folder/b')).rejects.toThrow(/ENOTDIR|ELOOP/);
    await expect(disk.move('own', 'folder/c')).rejects.toThrow(/ENOTDIR|ELOOP/);
    expect(await disk.take('2', 'folder/a')).toBe(false);
    expect(await listed(elsewhere.disk.list())).toEqual(['a']);
    expect(await readFile(elsewhere.path('a'), 'utf8')).toBe('theirs');
  });

  test('a swap puts the old file aside, and may be repeated', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    await writeFile(path('a'), 'old');
    const program = await open(path('a'), 'a');
    ends.defer(() => program.close());
    await disk.stage('1', Buffer.from('new'), 'a');
    expect(await disk.replace('1', 'a')).toBe('swapped');
    // It has had the file open since before.
    await program.appendFile('er');
    expect(await readFile(path('a'), 'utf8')).toBe('new');
    expect(await disk.read(disk.asidePath('1'))).toMatchObject({ bytes: Buffer.from('older') });
    expect(await disk.replace('1', 'a')).toBe('absent');
    expect(await disk.ids()).toEqual(['1']);
    await disk.forget('1');
    await disk.forget('1');
    expect(await disk.ids()).toEqual([]);
  });

  test('what is placed or moved takes nobody’s place', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    await writeFile(path('a'), 'a');
    await disk.stage('1', Buffer.from('new'), 'a');
    expect(await disk.place('1', 'a')).toBe('taken');
    expect(await disk.place('1', 'deep/er/b')).toBe('swapped');
    expect(await disk.place('1', 'deep/er/b')).toBe('absent');
    expect(await disk.move('a', 'deep/er/b')).toBe('taken');
    expect(await disk.move('a', 'c/a')).toBe('moved');
    expect(await disk.move('a', 'd')).toBe('missing');
    expect(await listed(disk.list())).toEqual(['c/a', 'deep/er/b']);
  });

  test('what was taken comes back, beside what came meanwhile', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    await writeFile(path('a'), 'a');
    expect(await disk.take('1', 'a')).toBe(true);
    expect(await disk.read('a')).toEqual({ kind: 'missing' });
    await disk.putBack('1', 'a');
    expect(await readFile(path('a'), 'utf8')).toBe('a');
    await disk.take('2', 'a');
    await writeFile(path('b'), 'b');
    await rename(path('b'), path('a'));
    // Taken already: what is there now is not touched.
    expect(await disk.take('2', 'a')).toBe(true);
    await disk.putBack('2', 'a');
    expect([await readFile(path('a'), 'utf8'), await readFile(path('a (2)'), 'utf8')]).toEqual(['b', 'a']);
    expect(await disk.ids()).toEqual([]);
  });

  test('large contents go both ways in pieces, and stop where their reader or writer does', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends, 10_000_000);
    const large = Buffer.alloc(5_000_001, 'large');
    await disk.stage('1', Readable.from([large.subarray(0, 700_000), large.subarray(700_000)]), 'large');
    expect(await disk.place('1', 'large')).toBe('swapped');
    expect((await readFile(path('large'))).equals(large)).toBe(true);
    expect((await buffer(Readable.from(disk.content('large')))).equals(large)).toBe(true);
    for await (const chunk of disk.content('large')) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a part');
      await Promise.reject(new Error('No more'));
    };
    await expect(disk.stage('2', broken(), 'b')).rejects.toThrow('No more');
    await disk.forget('2');
    await truncate(path('large'), 10_000_001);
    await expect(buffer(Readable.from(disk.content('large')))).rejects.toThrow();
    await expect(buffer(Readable.from(disk.content('none')))).rejects.toThrow();
    expect(await disk.ids()).toEqual([]);
  });

  test('many files are listed, without what is excluded', async () => {
    await using ends = new Ends();
    const { disk, path } = await openDirectory(ends);
    const names = Array.from({ length: 1_500 }, (_, i) => `files/${i}-${'x'.repeat(50)}`);
    for (const folder of ['files', 'node_modules/a', '.git', 'empty']) await mkdir(path(folder), { recursive: true });
    await Promise.all([...names, 'node_modules/a/b', '.git/c'].map((name) => writeFile(path(name), '')));
    expect(await listed(disk.list())).toEqual(names.toSorted());
  });
});
