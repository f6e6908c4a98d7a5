/**
 * `npm run restore -- --from FILE [--replace]`: puts an archive into an empty database. The whole archive is verified
 * before anything is changed. A restore that is cut off leaves a database that no server starts on.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CommandRefused, startCommand } from './command.ts';
import type { Config } from './config/index.ts';
import { unsettleChats } from './features/chat/index.ts';
import type { Log } from './observability/index.ts';
import { createServer } from './server.ts';
import { openStorage, pepperSumOf } from './storage-parts.ts';
import {
  assertEmpty,
  assertUnused,
  begin,
  clear,
  finish,
  freeLeases,
  takeFences,
  load,
  verifyArchive,
  type Manifest,
} from './storage/backup/index.ts';
import type { Blobs } from './storage/blobs/index.ts';
import { migrations } from './storage/migrations/index.ts';

await startCommand(async (config, log) => {
  const { values } = parseArgs({ options: { from: { type: 'string' }, replace: { type: 'boolean', default: false } } });
  if (values.from === undefined) throw new CommandRefused('Say where from: npm run restore -- --from atelier.tar.gz');
  const file = resolve(values.from);
  const manifest = await verifyArchive(file);
  if (manifest.schemaVersion > migrations.length) {
    throw new CommandRefused(
      `The archive has schema version ${manifest.schemaVersion}, this version of Atelier knows ${migrations.length}. Use a newer one.`,
    );
  }
  const fences = await makeRoom(config, log, values.replace);
  // Where the versions are the same, the indexes are there first and keep out what is in the archive twice.
  if (manifest.schemaVersion === migrations.length) await prepare(config, log);
  const leftOut = await fill(config, log, { file, manifest, fences });
  await prepare(config, log);

  const { collections, blobs, startedAt } = manifest;
  const documents = collections.reduce((sum, collection) => sum + collection.documents, 0);
  const lines = [
    `Restored ${documents} documents and ${blobs.count} blobs, as of ${startedAt}. Everybody signs in again.`,
  ];
  for (const [name, count] of leftOut) lines.push(`${count} of ${name} left out: they were in the archive twice.`);
  if ((await pepperSumOf(config)) !== manifest.pepperSum) {
    lines.push('AUTH_PEPPER is not that of the backup: no password in it is valid until it is set to that.');
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  await log.close();
});

/** Empties the database, or sees that it is empty. */
async function makeRoom(config: Config, log: Log, replace: boolean): Promise<Map<string, number>> {
  await using storage = await openStorage(config, log);
  const { database, blobs } = storage;
  await assertUnused(database.connection);
  if (!replace) {
    await assertEmpty(database.connection);
    if ((await blobs.list('', { limit: 1 })).items.length > 0) {
      throw new CommandRefused('There are blobs already. With --replace they are removed first.');
    }
  }
  const fences = await clear(database.connection);
  await removeAll(blobs);
  return fences;
}

/** What a server does at its start: the schema of this version, and indexes. */
async function prepare(config: Config, log: Log): Promise<void> {
  const server = await createServer(config, { log, migrate: true });
  await server.close();
}

async function fill(
  config: Config,
  log: Log,
  { file, manifest, fences }: { file: string; manifest: Manifest; fences: ReadonlyMap<string, number> },
): Promise<Map<string, number>> {
  await using storage = await openStorage(config, log);
  const { database, blobs } = storage;
  const { connection } = database;
  await assertUnused(connection);
  await begin(connection);
  const newer = await takeFences(connection);
  const leftOut = await load({ connection, blobs, file });
  await freeLeases(connection, fences, newer);
  await unsettleChats(connection, new Date(manifest.startedAt));
  await finish(connection, manifest.schemaVersion);
  return leftOut;
}

async function removeAll(blobs: Blobs): Promise<void> {
  for (;;) {
    const { items } = await blobs.list('');
    if (items.length === 0) return;
    for (const { key } of items) await blobs.remove(key);
  }
}
