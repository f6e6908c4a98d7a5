/** Coming into a project by a link, through a whole server whose clock is the test's. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Types } from 'mongoose';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectDatabase, type Database } from '../../src/storage/database.ts';
import { startEmbeddedMongo, type EmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { call, codeOf, heard } from '../support/calls.ts';
import { freshDatabaseUri } from '../support/database.ts';
import { silentLog as log } from '../support/log.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let directory: string;
let engine: EmbeddedMongo | undefined;
let database: Database;
let server: TestServer;
let nowMs = Date.now();
let ada: Person;
let a: Socket;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-invites-'));
  // A database that the test can look into.
  const given = freshDatabaseUri().MONGODB_URI;
  if (!given) engine = await startEmbeddedMongo({ path: join(directory, 'db'), port: 0 });
  const uri = given ?? `${engine?.uri.replace(/\/+$/, '')}/invites`;
  server = await startServer({ MONGODB_URI: uri, ACCESS_TOKEN_SECONDS: '86400' }, { now: () => nowMs });
  database = await connectDatabase({ dataDir: directory, mongodbUri: uri, log });
  ada = await server.person('Ada');
  a = await server.socket(ada);
});
afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  await database.connection.dropDatabase();
  await database.close();
  await engine?.close();
  await rm(directory, { recursive: true, force: true });
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

const newProject = async () => (await call(a, 'project:create', { name: 'A project' })).project.id;
const someone = async () => {
  const person = await server.person();
  return { person, socket: await server.socket(person) };
};

test('[PJ-12] a token lets in as many as it has uses, each once, with its role', async () => {
  const projectId = await newProject();
  const { invite, token } = await call(a, 'project:invite', { projectId, role: 'viewer', maxUses: 2 });
  expect(invite).toMatchObject({ projectId, role: 'viewer', uses: 0, maxUses: 2, createdBy: ada.id });
  const [ben, eve, tom] = [await someone(), await someone(), await someone()];
  const joined = heard(a, 'project:member-joined');
  // The same person at once from several places takes one use.
  const tries = await Promise.all([1, 2, 3].map(() => call(ben.socket, 'project:accept-invite', { token })));
  for (const { project } of tries) expect(project).toMatchObject({ id: projectId, role: 'viewer' });
  await expect.poll(() => joined).toEqual([{ projectId, userId: ben.person.id, role: 'viewer' }]);
  const { body } = await server.request('POST', '/api/projects/accept-invite', { as: eve.person, body: { token } });
  expect(body).toMatchObject({ data: { project: { id: projectId, role: 'viewer' } } });
  expect(await codeOf(call(tom.socket, 'project:accept-invite', { token }))).toBe('not_found');
  expect((await call(a, 'project:invites', { projectId })).items).toEqual([{ ...invite, uses: 2 }]);
  // Who is in already stays as they are.
  const other = await call(a, 'project:invite', { projectId });
  expect((await call(ben.socket, 'project:accept-invite', { token: other.token })).project.role).toBe('viewer');
  expect((await call(a, 'project:accept-invite', { token: other.token })).project.role).toBe('owner');
  expect((await call(a, 'project:invites', { projectId })).items[0]).toEqual(other.invite);
});

test('[PJ-12] [PJ-10] is shown to who makes it, again only to a repetition, and stored as a hash', async () => {
  const projectId = await newProject();
  const made = await call(a, 'project:invite', { projectId, clientId: 'one' });
  expect(await call(a, 'project:invite', { projectId, clientId: 'one', role: 'viewer' })).toEqual(made);
  expect((await call(a, 'project:invite', { projectId })).token).not.toBe(made.token);
  const row = await database.connection.collection('projectInvites').findOne({
    _id: new Types.ObjectId(made.invite.id),
  });
  expect(JSON.stringify(row)).not.toContain(made.token);
  expect(row?.['tokenHash']).toBe(createHash('sha256').update(made.token).digest('base64url'));
  expect(JSON.stringify(await call(a, 'project:invites', { projectId }))).not.toContain(made.token);
});

test('[PJ-13] what is unknown, expired, revoked, or of a project that is deleted, is not_found', async () => {
  const { socket } = await someone();
  const accept = (token: string) => codeOf(call(socket, 'project:accept-invite', { token }));
  expect(await accept('x'.repeat(43))).toBe('not_found');

  const projectId = await newProject();
  const short = await call(a, 'project:invite', { projectId, expiresInSeconds: 60 });
  const revoked = await call(a, 'project:invite', { projectId });
  const good = await call(a, 'project:invite', { projectId });
  await call(a, 'project:revoke-invite', { projectId, inviteId: revoked.invite.id });
  await call(a, 'project:revoke-invite', { projectId, inviteId: revoked.invite.id });
  nowMs += 61_000;
  expect(await accept(short.token)).toBe('not_found');
  expect(await accept(revoked.token)).toBe('not_found');
  expect((await call(a, 'project:invites', { projectId })).items).toEqual([good.invite]);
  await call(a, 'project:delete', { projectId });
  expect(await accept(good.token)).toBe('not_found');
  await call(a, 'project:restore', { projectId });
  expect(await accept(good.token)).toBe('ok');
});

test('[PJ-13] who was removed comes back by a newer invite only; who left may come back', async () => {
  const projectId = await newProject();
  const { person, socket } = await someone();
  const old = await call(a, 'project:invite', { projectId, maxUses: 5 });
  const accept = (token: string) => codeOf(call(socket, 'project:accept-invite', { token }));
  expect(await accept(old.token)).toBe('ok');
  await call(socket, 'project:leave', { projectId });
  nowMs += 1_000;
  expect(await accept(old.token)).toBe('ok');
  expect((await call(a, 'project:invites', { projectId })).items).toMatchObject([{ uses: 1 }]);
  await call(a, 'project:remove-member', { projectId, userId: person.id });
  expect(await accept(old.token)).toBe('not_found');
  nowMs += 1_000;
  const fresh = await call(a, 'project:invite', { projectId });
  expect(await accept(fresh.token)).toBe('ok');
});

test('[PJ-12] [PJ-13] who was cut off after their use was taken comes in at the next try, also by a used up token', async () => {
  const projectId = await newProject();
  const { person, socket } = await someone();
  const { invite, token } = await call(a, 'project:invite', { projectId });
  // As a server leaves it that dies between its two writes.
  const used: object = { $inc: { usesLeft: -1 }, $push: { usedBy: new Types.ObjectId(person.id) } };
  await database.connection.collection('projectInvites').updateOne({ _id: new Types.ObjectId(invite.id) }, used);
  expect((await call(socket, 'project:accept-invite', { token })).project).toMatchObject({ id: projectId });
  expect(await codeOf(call((await someone()).socket, 'project:accept-invite', { token }))).toBe('not_found');
});

test('[PJ-17] open invites are listed newest first, page by page, and limited', async () => {
  const projectId = await newProject();
  const made: string[] = [];
  for (let n = 0; n < 100; n++) {
    nowMs += 1;
    made.push((await call(a, 'project:invite', { projectId })).invite.id);
  }
  expect(await codeOf(call(a, 'project:invite', { projectId }))).toBe('quota_exceeded');
  const first = await call(a, 'project:invites', { projectId, limit: 60 });
  const rest = await call(a, 'project:invites', { projectId, limit: 60, cursor: first.next ?? '' });
  expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(made.toReversed());
  expect(rest.next).toBeNull();
});

test('[PJ-18] what concerns membership, invites, visibility and the end is in the audit list', async () => {
  const projectId = await newProject();
  const { person, socket } = await someone();
  const { invite, token } = await call(a, 'project:invite', { projectId });
  await call(socket, 'project:accept-invite', { token });
  await call(a, 'project:set-role', { projectId, userId: person.id, role: 'viewer' });
  await call(socket, 'project:leave', { projectId });
  await call(a, 'project:add-member', { projectId, userId: person.id });
  await call(a, 'project:remove-member', { projectId, userId: person.id });
  await call(a, 'project:revoke-invite', { projectId, inviteId: invite.id });
  await call(a, 'project:update', { projectId, visibility: 'public' });
  await call(a, 'project:delete', { projectId });
  await call(a, 'project:restore', { projectId });
  const rows = () =>
    database.connection
      .collection('audit')
      .find({ projectId: new Types.ObjectId(projectId) })
      .sort({ _id: 1 })
      .toArray();
  await expect.poll(async () => (await rows()).length).toBe(11);
  expect((await rows()).map(({ action, target }) => [action, target])).toEqual([
    ['project.create', projectId],
    ['project.invite', invite.id],
    ['project.accept-invite', person.id],
    ['project.set-role', person.id],
    ['project.leave', person.id],
    ['project.add-member', person.id],
    ['project.remove-member', person.id],
    ['project.revoke-invite', invite.id],
    ['project.visibility', projectId],
    ['project.delete', projectId],
    ['project.restore', projectId],
  ]);
});
