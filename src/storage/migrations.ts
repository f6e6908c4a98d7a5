/**
 * The version of what is stored. Migrations are numbered from 1 without a gap and repeatable: one that was cut off runs
 * again from its beginning. They run under a lease, and the version is raised by a guarded write, so a runner that was
 * thought dead cannot raise it any more.
 */
import type { Connection, mongo } from 'mongoose';
import type { Log } from '../observability/log.ts';

export interface Migration {
  /** 1 for the first, and one more for each. */
  version: number;
  name: string;
  /** Must be harmless when a part of it, or all of it, was done before. Stops soon after `signal` aborts. */
  up(context: MigrationContext): Promise<void>;
}

export interface MigrationContext {
  connection: Connection;
  log: Log;
  signal: AbortSignal;
}

/** What is stored was written by a newer version; this process should end with code 78. */
export class SchemaTooNew extends Error {
  override readonly name = 'SchemaTooNew';

  constructor(found: number, known: number) {
    super(
      `The database has schema version ${found}, this version of Atelier knows ${known}. Start a newer version, or restore a backup.`,
    );
  }
}

/** A restore was cut off: what is stored is a part of something. This process should end with code 78. */
export class RestoreUnfinished extends Error {
  override readonly name = 'RestoreUnfinished';

  constructor() {
    super('A restore into this database did not finish. Run it again, with --replace.');
  }
}

/** A lease, as far as it is used here. */
export interface MigrationLeases {
  acquire(
    name: string,
    timeoutMs: number,
  ): Promise<{ readonly fence: number; readonly lost: AbortSignal; release(): Promise<void> }>;
}

export interface MigrationOptions {
  connection: Connection;
  leases: MigrationLeases;
  migrations: readonly Migration[];
  log: Log;
  /** How long to wait for another runner. */
  waitMs?: number;
}

export interface SchemaState {
  /** 0 where nothing was stored yet. */
  version: number;
  /** What this process knows. */
  latest: number;
}

export interface SchemaRow {
  _id: 'schema';
  version: number;
  fence: number;
  /** A restore is under way, or was cut off. */
  restoring?: true;
}

const WAIT_MS = 120_000;
const DUPLICATE_KEY = 11_000;

/** Throws `SchemaTooNew` when the database is ahead of this process, `RestoreUnfinished` when it is half filled. A lower version is the caller's to judge. */
export async function assertSchema(options: Pick<MigrationOptions, 'connection' | 'migrations'>): Promise<SchemaState> {
  const latest = latestOf(options.migrations);
  const row = await rowsOf(options.connection).findOne({ _id: 'schema' });
  if (row?.restoring) throw new RestoreUnfinished();
  const version = row?.version ?? 0;
  if (version > latest) throw new SchemaTooNew(version, latest);
  return { version, latest };
}

/**
 * Runs what is missing, in order. Throws `SchemaTooNew`, the error of a migration, or `Fault('unavailable')` when
 * another runner takes too long.
 */
export async function runMigrations(options: MigrationOptions): Promise<SchemaState> {
  const { connection, leases, migrations, log, waitMs = WAIT_MS } = options;
  const before = await assertSchema(options);
  if (before.version === before.latest) return before;
  const lease = await leases.acquire('migrations', waitMs);
  try {
    // Another runner may have done it all meanwhile.
    const { version, latest } = await assertSchema(options);
    for (const migration of migrations.slice(version)) {
      log.info('Migrating the database', { migration: migration.name, version: migration.version });
      await migration.up({ connection, log, signal: lease.lost });
      lease.lost.throwIfAborted();
      await raise(connection, migration.version, lease.fence);
    }
    return { version: latest, latest };
  } finally {
    await lease.release();
  }
}

async function raise(connection: Connection, version: number, fence: number): Promise<void> {
  const rows = rowsOf(connection);
  const filter = { _id: 'schema', version: version - 1, fence: { $lte: fence } } as const;
  const { matchedCount } = await rows.updateOne(filter, { $set: { version, fence } });
  if (matchedCount === 1) return;
  try {
    if (version === 1) return void (await rows.insertOne({ _id: 'schema', version, fence }));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === DUPLICATE_KEY)) throw error;
  }
  throw new Error('Another process has migrated the database meanwhile');
}

const rowsOf = (connection: Connection): mongo.Collection<SchemaRow> => connection.collection<SchemaRow>('schema');

function latestOf(migrations: readonly Migration[]): number {
  for (const [index, { version, name }] of migrations.entries()) {
    if (version !== index + 1) throw new Error(`Migration ${name} has number ${version} in place ${index + 1}`);
  }
  return migrations.length;
}
