/** The database that an archive is put into: whether it may be, and what is to be removed first. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Connection, mongo } from 'mongoose';
import type { SchemaRow } from '../migrations.ts';

/** The database holds something, or somebody uses it; nothing was changed. */
export class TargetUnusable extends Error {
  override readonly name = 'TargetUnusable';
}

/** A server that lives raises its beat every 2 s; one that has not for this long is not there. */
const BEAT_WAIT_MS = 6_000;

/** What a server writes by itself, without anybody who uses it. */
const BOOKKEEPING: ReadonlySet<string> = new Set(['nodes', 'leases', 'schema', 'deployment', 'jobs']);

interface Row {
  _id: string;
  beat?: number;
  owner?: string | null;
  fence?: number;
}

/** Rejects with `TargetUnusable` while a server uses the database. */
export async function assertUnused(connection: Connection): Promise<void> {
  const nodes = connection.collection<Row>('nodes');
  const beats = async () => new Map((await nodes.find({}).toArray()).map(({ _id, beat }) => [_id, beat]));
  const before = await beats();
  if (before.size === 0) return;
  await wait(BEAT_WAIT_MS);
  for (const [nodeId, beat] of await beats()) {
    if (before.get(nodeId) !== beat) throw new TargetUnusable('A server uses this database. End it first.');
  }
}

/** Rejects with `TargetUnusable` when the database holds more than a server writes by itself. */
export async function assertEmpty(connection: Connection): Promise<void> {
  for (const name of await collections(connection)) {
    if (BOOKKEEPING.has(name) || !(await connection.collection(name).findOne({}))) continue;
    throw new TargetUnusable('This database is not empty. With --replace all that it holds is removed first.');
  }
}

/** Removes everything but the fences that were given out, with which it resolves. */
export async function clear(connection: Connection): Promise<Map<string, number>> {
  const fences = await takeFences(connection);
  await begin(connection);
  for (const name of await collections(connection)) if (name !== 'schema') await connection.dropCollection(name);
  await connection.dropCollection('schema');
  return fences;
}

/** Removes the leases, which nobody owns. Resolves with their fences. */
export async function takeFences(connection: Connection): Promise<Map<string, number>> {
  const leases = connection.collection<Row>('leases');
  const rows = await leases.find({}).toArray();
  await leases.deleteMany({});
  return new Map(rows.map(({ _id, fence = 0 }) => [_id, fence]));
}

/** Until `finish` no server starts on the database. */
export async function begin(connection: Connection): Promise<void> {
  await rowsOf(connection).updateOne({ _id: 'schema' }, { $set: { restoring: true } }, { upsert: true });
}

/** Nobody owns a lease, and every fence is above those of before, in the archive and here. */
export async function freeLeases(connection: Connection, ...fences: ReadonlyMap<string, number>[]): Promise<void> {
  const leases = connection.collection<Row>('leases');
  await leases.updateMany({}, { $set: { owner: null } });
  for (const [_id, fence] of fences.flatMap((each) => [...each])) {
    await leases.updateOne({ _id }, { $max: { fence }, $set: { owner: null } }, { upsert: true });
  }
}

/** Servers of this schema version may start. */
export async function finish(connection: Connection, version: number): Promise<void> {
  await rowsOf(connection).replaceOne({ _id: 'schema' }, { version, fence: 0 }, { upsert: true });
}

const rowsOf = (connection: Connection): mongo.Collection<SchemaRow> => connection.collection<SchemaRow>('schema');

const collections = async (connection: Connection): Promise<string[]> =>
  (await connection.listCollections()).map(({ name }) => name).filter((name) => !name.startsWith('system.'));
