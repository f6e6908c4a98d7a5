/** The workspace of a sandbox on the real documents and files: what one side does, the other has. */
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Types } from 'mongoose';
import { expect, test } from 'vitest';
import { LIMITS } from '../../../src/protocol/index.ts';
import { newId, openPeer, PROJECT } from '../../support/documents.ts';
import { openSynced, OWNER, type SyncedWorld } from './synced.ts';

const PATIENT = { timeout: 10_000, interval: 20 };

/** Paths and texts of both sides. */
const sides = async (world: SyncedWorld) => ({ disk: await world.onDisk(), project: await world.inProject() });
const both = (files: Record<string, string>) => ({ disk: files, project: files });

const idle = (world: SyncedWorld): Promise<void> => expect.poll(() => world.part.isBusy?.(), PATIENT).toBe(false);

test('the files are there when the sandbox is, and what is there comes into the project', async () => {
  await using world = await openSynced();
  const files: Record<string, string> = { 'from disk.txt': 'disk\n' };
  const texts = Array.from({ length: 40 }, (_, n) => ({ path: `src/${n % 7}/${n}.ts`, content: `let n = ${n};\n` }));
  for (const { path, content } of texts) files[path] = content;
  await world.nodes[0].files.write(PROJECT, OWNER, texts);
  await world.write('from disk.txt', 'disk\n');
  await world.start();
  await expect.poll(() => sides(world), PATIENT).toEqual(both(files));
  expect(world.awakened).toBeGreaterThan(0);
});

test('edits on any node come to the disk, and what programs write comes to the editors', async () => {
  await using world = await openSynced(2);
  const [first, second] = world.nodes;
  const fileId = await world.create('a.txt', 'one\ntwo\n');
  await world.start();
  const [here, there] = [await openPeer(first, fileId), await openPeer(second ?? first, fileId)];
  here.text.insert(0, 'here\n');
  await here.push();
  await expect.poll(() => world.read('a.txt'), PATIENT).toBe('here\none\ntwo\n');
  there.text.insert(there.text.length, 'there\n');
  await there.push();
  await expect.poll(() => world.read('a.txt'), PATIENT).toBe('here\none\ntwo\nthere\n');
  await world.write('a.txt', 'here\none\ndisk\ntwo\nthere\n');
  await expect.poll(() => here.text.toJSON(), PATIENT).toBe('here\none\ndisk\ntwo\nthere\n');
  await expect.poll(() => there.text.toJSON(), PATIENT).toBe('here\none\ndisk\ntwo\nthere\n');
  // Files that another node makes come, too.
  await world.create('b.txt', 'b\n', second);
  await expect.poll(() => world.read('b.txt'), PATIENT).toBe('b\n');
});

test('many new files come into the project in few changes, with the documents of their texts', async () => {
  await using world = await openSynced();
  await world.start();
  const files: Record<string, string> = {};
  for (let n = 0; n < 60; n++) files[`lib/${n}.js`] = n % 5 === 0 ? '' : `// ${n}\n`;
  for (const [path, text] of Object.entries(files)) await world.write(path, text);
  await expect.poll(() => sides(world), PATIENT).toEqual(both(files));
  const tree = await world.nodes[0].connection.collection('filetrees').findOne({ _id: new Types.ObjectId(PROJECT) });
  expect(tree?.['rev']).toBeLessThan(20);
});

test('deletes and renames, also of letters’ case, on either side', async () => {
  await using world = await openSynced();
  const [first] = world.nodes;
  const ids = new Map<string, string>();
  for (const name of ['gone here', 'gone there', 'moved here', 'moved there', 'case here', 'case there']) {
    ids.set(name, await world.create(`${name}.txt`, `${name}\n`));
  }
  await world.start();
  const mirror = first.files.mirror(PROJECT);
  await mirror.remove(ids.get('gone here') ?? '');
  await mirror.move(ids.get('moved here') ?? '', 'deep/in/moved.txt');
  await mirror.move(ids.get('case here') ?? '', 'CASE here.txt');
  await world.remove('gone there.txt');
  await world.move('moved there.txt', 'other/moved.txt');
  await world.move('case there.txt', 'CASE there.txt');
  await expect
    .poll(() => sides(world), PATIENT)
    .toEqual(
      both({
        'deep/in/moved.txt': 'moved here\n',
        'other/moved.txt': 'moved there\n',
        'CASE here.txt': 'case here\n',
        'CASE there.txt': 'case there\n',
      }),
    );
  expect((await world.fileAt('other/moved.txt'))?.fileId).toBe(ids.get('moved there'));
  expect((await world.fileAt('CASE there.txt'))?.fileId).toBe(ids.get('case there'));
});

test('a name in other letters’ case, with another content, comes when the former has gone', async () => {
  await using world = await openSynced();
  await world.create('readme.md', 'old\n');
  await world.start();
  await world.write('README.md', 'new\n');
  await expect.poll(() => world.told, PATIENT).toEqual([{ projectId: PROJECT, path: 'README.md', reason: 'refused' }]);
  await world.remove('readme.md');
  await expect.poll(() => sides(world), PATIENT).toEqual(both({ 'README.md': 'new\n' }));
});

test('a text that becomes binary is a blob whose first version is the text, and nobody has it open any more', async () => {
  await using world = await openSynced();
  const [first] = world.nodes;
  const fileId = await world.create('a.bin', 'text\n');
  await world.start();
  const peer = await openPeer(first, fileId);
  const bytes = Buffer.from([0, 1, 2, 255]);
  await world.write('a.bin', bytes);
  await expect.poll(async () => (await world.fileAt('a.bin'))?.kind, PATIENT).toBe('blob');
  await idle(world);
  const versions = await first.connection
    .collection('fileversions')
    .find({ fileId: new Types.ObjectId(fileId) })
    .sort({ version: 1 })
    .toArray();
  expect(versions.map(({ version, sizeBytes }) => [version, sizeBytes])).toEqual([
    [1, 5],
    [2, 4],
  ]);
  expect(peer.access.at(-1)).toBe('gone');
  expect(await readFile(join(world.directory, 'a.bin'))).toEqual(bytes);
  // A version that a member uploads comes to the disk.
  await first.files.mirror(PROJECT).put(fileId, { bytes: once(Buffer.from([0, 9])), sizeBytes: 2 });
  await expect.poll(() => readFile(join(world.directory, 'a.bin')), PATIENT).toEqual(Buffer.from([0, 9]));
});

test('what does not fit into the owner’s space is left out, and comes when there is room', async () => {
  await using world = await openSynced();
  const [first] = world.nodes;
  const fileId = await world.create('text.txt', 'text\n');
  await world.start();
  const full = { _id: new Types.ObjectId(), projectId: new Types.ObjectId(PROJECT) };
  const files = first.connection.collection('files');
  await files.insertOne({ ...full, chargedBytes: LIMITS.storageQuotaBytes, deletedAt: new Date() });
  await world.write('a.txt', 'a\n');
  await world.write('b.bin', Buffer.from([0, 1]));
  await expect.poll(() => world.told.map(({ path }) => path).toSorted(), PATIENT).toEqual(['a.txt', 'b.bin']);
  expect(world.told.every(({ reason }) => reason === 'refused')).toBe(true);
  // A text cannot become a blob either, and stays what it was.
  await world.write('text.txt', Buffer.from([0, 2]));
  await expect.poll(() => world.told.map(({ path }) => path), PATIENT).toContain('text.txt');
  expect(await world.inProject()).toEqual({ 'text.txt': 'text\n' });
  await files.deleteOne({ _id: full._id });
  await world.create('c.txt', 'c\n');
  await expect
    .poll(async () => Object.keys(await world.inProject()).toSorted(), PATIENT)
    .toEqual(['a.txt', 'b.bin', 'c.txt', 'text.txt']);
  await expect.poll(() => world.fileAt('text.txt'), PATIENT).toEqual({ fileId, path: 'text.txt', kind: 'blob' });
});

test('what happened while nobody looked is found at the next start, also under another owner', async () => {
  await using world = await openSynced();
  const [first] = world.nodes;
  const fileId = await world.create('a.txt', 'one\n');
  await world.start();
  await world.write('a.txt', 'one\ntwo\n');
  await expect.poll(() => first.feature.text(fileId), PATIENT).toBe('one\ntwo\n');
  await idle(world);
  await world.stop();
  await world.write('a.txt', 'one\ntwo\nthree\n');
  await world.write('new.txt', 'new\n');
  const peer = await openPeer(first, fileId);
  peer.text.insert(0, 'zero\n');
  await peer.push();
  world.ownerId = newId();
  await world.start();
  await expect
    .poll(() => sides(world), PATIENT)
    .toEqual(both({ 'a.txt': 'zero\none\ntwo\nthree\n', 'new.txt': 'new\n' }));
  expect(world.ownerId).not.toBe(OWNER);
});

test('an empty disk in place of the former one gets the files, and none goes', async () => {
  await using world = await openSynced();
  await world.create('a.txt', 'a\n');
  await world.start();
  await world.write('b.txt', 'b\n');
  await expect.poll(() => sides(world), PATIENT).toEqual(both({ 'a.txt': 'a\n', 'b.txt': 'b\n' }));
  await idle(world);
  await world.stop();
  await world.replaceDirectory();
  await world.start();
  await expect.poll(() => sides(world), PATIENT).toEqual(both({ 'a.txt': 'a\n', 'b.txt': 'b\n' }));
});

test('what was not told is found: by the bus when it is back, on the disk when changes were lost', async () => {
  await using world = await openSynced(2);
  const [, second] = world.nodes;
  const fileId = await world.create('a.txt', 'one\n');
  await world.start();
  await idle(world);
  const restore = world.documents.network.cut();
  const there = await openPeer(second ?? world.nodes[0], fileId);
  there.text.insert(0, 'zero\n');
  await there.push();
  await world.create('b.txt', 'b\n', second);
  restore();
  world.busReady();
  await expect.poll(() => sides(world), PATIENT).toEqual(both({ 'a.txt': 'zero\none\n', 'b.txt': 'b\n' }));
  await world.disk.stage('x', Buffer.from('c\n'), 'c.txt');
  await world.disk.place('x', 'c.txt');
  world.overflow();
  await expect
    .poll(() => sides(world), PATIENT)
    .toEqual(both({ 'a.txt': 'zero\none\n', 'b.txt': 'b\n', 'c.txt': 'c\n' }));
});

test('a disk that is out of reach is tried again, and closing waits for nobody', async () => {
  await using world = await openSynced();
  const fileId = await world.create('a.txt', 'one\n');
  const { disk } = world;
  let isOut = false;
  world.disk = new Proxy(disk, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (isOut && name !== 'close') throw new Error('out of reach');
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  await world.start();
  await idle(world);
  isOut = true;
  const peer = await openPeer(world.nodes[0], fileId);
  peer.text.insert(0, 'zero\n');
  await peer.push();
  await world.write('b.txt', 'b\n');
  await idle(world);
  isOut = false;
  await expect.poll(() => sides(world), PATIENT).toEqual(both({ 'a.txt': 'zero\none\n', 'b.txt': 'b\n' }));
  isOut = true;
  peer.text.insert(0, 'more\n');
  await peer.push();
  await world.stop();
});

test('links and what else is no file are told of once', async () => {
  await using world = await openSynced();
  await symlink('/etc/passwd', join(world.directory, 'link'));
  await world.start();
  world.overflow();
  await idle(world);
  world.overflow();
  await idle(world);
  expect(world.told).toEqual([{ projectId: PROJECT, path: 'link', reason: 'link' }]);
  expect(await world.inProject()).toEqual({});
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
