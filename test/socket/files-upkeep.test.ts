/** What becomes of files by themselves: changes that a crash has cut off, the trash, space. Looked at in the database itself. */
import { Types } from 'mongoose';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PendingChange, RowChange } from '../../src/features/files/model.ts';
import { DAY_MS, LIMITS, MINUTE_MS } from '../../src/protocol/index.ts';
import { call, codeOf, heard } from '../support/calls.ts';
import type { Person, TestServer } from '../support/server.ts';
import {
  idOf as id,
  JOB_WAIT,
  openWatchedServers,
  type WatchedServer,
  type WatchedServers,
} from '../support/watched-server.ts';

let servers: WatchedServers;
let world: WatchedServer;
let server: TestServer;
let ada: Person;
let a: Socket;
let projectId: string;
beforeAll(async () => {
  servers = await openWatchedServers();
});
afterAll(() => servers[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await servers.start();
  ({ server } = world);
  ada = await server.person('Ada');
  a = await server.socket(ada);
  projectId = (await call(a, 'project:create', { name: 'A project', template: 'empty' })).project.id;
});
afterEach(() => world[Symbol.asyncDispose]());

const collection = (name: string) => world.connection.collection(name);
const rows = (name: string, filter: object = {}) => world.rows(name, filter);
const eventually = <T>(read: () => T) => expect.poll(read, JOB_WAIT);

const create = async (path: string, content = '') => (await call(a, 'file:create', { projectId, path, content })).file;
const pathsOf = async () => (await call(a, 'file:tree', { projectId })).files.map(({ path }) => path);

/** The same person in a new session: the old one has ended with the time. */
async function again(): Promise<void> {
  a.close();
  a = await server.socket(await world.again(ada));
}

/** A node that has died while its change was not done. */
async function leave(changes: RowChange[], texts: { id: Types.ObjectId; text: string }[] = []): Promise<void> {
  const tree = await collection('filetrees').findOne({ _id: id(projectId) });
  const rev = ((tree?.['rev'] as number | undefined) ?? 0) + 1;
  const pending: PendingChange = {
    id: new Types.ObjectId(),
    rev,
    userId: id(ada.id),
    nodeId: 'a node that is gone',
    at: new Date(world.nowMs()),
    rows: changes,
    hasTexts: texts.length > 0,
    written: 0,
  };
  if (texts.length > 0) {
    await collection('filetexts').insertOne({
      _id: pending.id,
      projectId: id(projectId),
      texts,
      createdAt: new Date(world.nowMs()),
    });
  }
  await collection('filetrees').updateOne({ _id: id(projectId) }, { $set: { rev, pending } }, { upsert: true });
}

test('[FL-20] a change that was cut off is finished by whoever reads', async () => {
  const [one, two, there] = [await create('d/1'), await create('d/2'), await create('there', 'before')];
  const made = new Types.ObjectId();
  // Half of it was done.
  await collection('files').updateOne({ _id: id(one.id) }, { $set: { path: 'e/1', key: 'e/1', rev: 99 } });
  await leave(
    [
      { op: 'move', id: id(one.id), path: 'e/1', oldPath: 'd/1' },
      { op: 'move', id: id(two.id), path: 'e/2', oldPath: 'd/2' },
      { op: 'create', id: made, path: 'new', kind: 'text', sizeBytes: 4 },
      { op: 'write', id: id(there.id), sizeBytes: 5 },
    ],
    [
      { id: made, text: 'text' },
      { id: id(there.id), text: 'after' },
    ],
  );
  const renamed = heard(a, 'file:renamed');
  expect(await pathsOf()).toEqual(['e/1', 'e/2', 'new', 'there']);
  expect(await call(a, 'file:read', { fileId: made.toHexString() })).toMatchObject({ content: 'text' });
  expect(await call(a, 'file:read', { fileId: there.id })).toMatchObject({ content: 'after', file: { sizeBytes: 5 } });
  expect(renamed.map(({ oldPath }) => oldPath)).toContain('d/2');
  expect(await rows('filetexts')).toBe(0);
  expect(await rows('filetrees', { pending: { $exists: true } })).toBe(0);
});

test('[FL-20] whoever changes something next finishes it first', async () => {
  const one = await create('a');
  await leave([{ op: 'move', id: id(one.id), path: 'b', oldPath: 'a' }]);
  expect(await codeOf(call(a, 'file:create', { projectId, path: 'b' }))).toBe('conflict');
  expect(await codeOf(call(a, 'file:create', { projectId, path: 'a' }))).toBe('ok');
  expect(await pathsOf()).toEqual(['a', 'b']);
});

test('[FL-20] a change that nobody meets is finished by itself', { timeout: 60_000 }, async () => {
  const one = await create('a');
  await leave([{ op: 'delete', id: id(one.id) }]);
  // One that was never decided.
  const stray = { _id: new Types.ObjectId(), projectId: id(projectId), texts: [], createdAt: new Date(world.nowMs()) };
  await collection('filetexts').insertOne(stray);
  await world.advance(MINUTE_MS);
  await eventually(() => rows('files', { deletedAt: { $exists: true } })).toBe(1);
  await eventually(() => rows('filetrees', { pending: { $exists: true } })).toBe(0);
  await world.advance(61 * MINUTE_MS);
  await eventually(() => rows('filetexts')).toBe(0);
  expect(await pathsOf()).toEqual([]);
});

test(
  '[FL-16] a deleted file goes for good when nobody can restore it any more, and nothing of it is left',
  { timeout: 60_000 },
  async () => {
    const [gone, kept] = [await create('gone', 'text'), await create('kept', 'text')];
    await call(a, 'file:write', { fileId: gone.id, content: 'another' });
    await call(a, 'file:delete', { fileId: gone.id });
    await world.advance(LIMITS.restoreDays * DAY_MS);
    await again();
    expect((await call(a, 'file:trash', { projectId })).items).toEqual([]);
    expect(await codeOf(call(a, 'file:restore', { fileId: gone.id }))).toBe('not_found');
    await world.advance(2 * 60 * MINUTE_MS);
    await eventually(() => rows('files', { _id: id(gone.id) })).toBe(0);
    const names = (await world.connection.listCollections()).map(({ name }) => name);
    for (const name of names.filter((name) => name.startsWith('document'))) {
      expect([name, await rows(name, { docId: id(gone.id) }), await rows(name, { _id: id(gone.id) })]).toEqual([
        name,
        0,
        0,
      ]);
    }
    await again();
    expect(await call(a, 'file:read', { fileId: kept.id })).toMatchObject({ content: 'text' });
  },
);

test("[FL-23] what the owner's files take together is bounded; deleted ones count until they are gone", async () => {
  const { id: fileId } = await create('a', 'text');
  await collection('files').updateOne(
    { _id: id(fileId) },
    { $set: { chargedBytes: LIMITS.storageQuotaBytes - LIMITS.fileLeastBytes } },
  );
  const other = (await call(a, 'project:create', { name: 'Another', template: 'empty' })).project.id;
  expect(await codeOf(call(a, 'file:create', { projectId: other, path: 'a' }))).toBe('ok');
  expect(await codeOf(call(a, 'file:create', { projectId: other, path: 'b' }))).toBe('quota_exceeded');
  const files = [{ path: 'b', content: '' }];
  expect(await codeOf(call(a, 'file:write-many', { projectId, files }))).toBe('quota_exceeded');
  await call(a, 'file:delete', { fileId });
  expect(await codeOf(call(a, 'file:create', { projectId: other, path: 'b' }))).toBe('quota_exceeded');
  // What does not grow is possible.
  expect(await codeOf(call(a, 'file:write', { projectId: other, path: 'a', content: 'short' }))).toBe('ok');
  const ben = await server.person('Ben');
  const b = await server.socket(ben);
  await call(a, 'project:add-member', { projectId: other, userId: ben.id, role: 'editor' });
  expect(await codeOf(call(b, 'file:create', { projectId: other, path: 'b' }))).toBe('quota_exceeded');
  const own = (await call(b, 'project:create', { name: 'Of Ben', template: 'empty' })).project.id;
  expect(await codeOf(call(b, 'file:create', { projectId: own, path: 'b' }))).toBe('ok');
});
