import { Schema, Types } from 'mongoose';
import { describe, expect, test } from 'vitest';
import { createLeases } from '../../src/cluster/leases.ts';
import { createNodes } from '../../src/cluster/nodes.ts';
import type { Log } from '../../src/observability/log.ts';
import { assertSchema, runMigrations, SchemaTooNew, type Migration } from '../../src/storage/migrations.ts';
import { migrations as shipped } from '../../src/storage/migrations/index.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const nothing = (): void => {};
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };

/** A runner as another process would be one: a node with leases of its own. */
async function join({ connection }: TestDatabase) {
  const nodes = await createNodes({ connection, log });
  const leases = createLeases({ connection, nodes, log });
  return {
    run: (migrations: readonly Migration[]) => runMigrations({ connection, leases, migrations, log }),
    [Symbol.asyncDispose]: () => nodes.close(),
  };
}

/** Migrations that write down that they ran. */
const recording = (ran: number[], count: number): Migration[] =>
  Array.from({ length: count }, (_, index) => ({
    version: index + 1,
    name: `number ${index + 1}`,
    up: async () => void ran.push(index + 1),
  }));

describe('migrations', () => {
  test('[ST-40] run once, in order, and later only what is new', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    const { connection } = database;
    const ran: number[] = [];
    expect(await assertSchema({ connection, migrations: recording(ran, 2) })).toEqual({ version: 0, latest: 2 });
    expect(await runner.run(recording(ran, 2))).toEqual({ version: 2, latest: 2 });
    expect(await runner.run(recording(ran, 2))).toEqual({ version: 2, latest: 2 });
    expect(await runner.run(recording(ran, 3))).toEqual({ version: 3, latest: 3 });
    expect(ran).toEqual([1, 2, 3]);
  });

  test('[ST-41] run once when two runners come together', async () => {
    await using database = await openTestDatabase();
    await using first = await join(database);
    await using second = await join(database);
    const ran: number[] = [];
    const outcomes = await Promise.all([first.run(recording(ran, 3)), second.run(recording(ran, 3))]);
    expect(outcomes).toEqual([
      { version: 3, latest: 3 },
      { version: 3, latest: 3 },
    ]);
    expect(ran).toEqual([1, 2, 3]);
  });

  test('[ST-42] go on where one has failed', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    const ran: number[] = [];
    const failing = recording(ran, 3).with(1, {
      version: 2,
      name: 'broken',
      up: () => Promise.reject(new Error('broken')),
    });
    await expect(runner.run(failing)).rejects.toThrow('broken');
    expect(await assertSchema({ connection: database.connection, migrations: failing })).toMatchObject({ version: 1 });
    await runner.run(recording(ran, 3));
    expect(ran).toEqual([1, 2, 3]);
  });

  test('[ST-43] are refused, like the server’s start, where the database is newer', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    const ran: number[] = [];
    await runner.run(recording(ran, 3));
    const older = recording(ran, 2);
    await expect(assertSchema({ connection: database.connection, migrations: older })).rejects.toThrow(SchemaTooNew);
    await expect(runner.run(older)).rejects.toThrow(/schema version 3, this version of Atelier knows 2/);
  });

  test('[ST-44] cannot raise the version once their lease is another’s', async () => {
    await using database = await openTestDatabase();
    const { connection } = database;
    const ran: number[] = [];
    let fence = 0;
    // Leases that every runner gets at once, as if each were thought dead right after.
    const acquire = async () => ({ fence: ++fence, lost: new AbortController().signal, release: async () => {} });
    const options = { connection, leases: { acquire }, log };
    let newerDone: Promise<unknown> = Promise.resolve();
    const overtaken = recording(ran, 2).with(1, {
      version: 2,
      name: 'slow',
      up: async () => {
        newerDone = runMigrations({ ...options, migrations: recording(ran, 2) });
        await newerDone;
      },
    });
    await expect(runMigrations({ ...options, migrations: overtaken })).rejects.toThrow(/meanwhile/);
    await newerDone;
    expect(await assertSchema({ connection, migrations: overtaken })).toEqual({ version: 2, latest: 2 });
  });

  test('[ST-45] must be numbered without a gap', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    await expect(runner.run(recording([], 3).slice(1))).rejects.toThrow('has number 2 in place 1');
  });

  test('[ST-46] of the first version make the indexes of the models', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    const schema = new Schema<{ name: string }>({ name: String });
    schema.index({ name: 1 }, { unique: true, name: 'thing_name' });
    const model = database.connection.model('Thing', schema);
    await runner.run(shipped);
    expect(Object.keys(await model.collection.indexInformation()).toSorted()).toEqual(['_id_', 'thing_name']);
  });

  test('[ST-47] memberships of the first version count as they did', async () => {
    await using database = await openTestDatabase();
    await using runner = await join(database);
    const memberships = database.connection.collection('memberships');
    const chatId = new Types.ObjectId();
    const left = {
      chatId,
      userId: new Types.ObjectId(),
      role: 'member',
      state: 'left',
      rev: 4,
      changedAt: new Date(0),
    };
    await memberships.insertMany([{ chatId, userId: new Types.ObjectId(), role: 'owner' }, left]);
    await runner.run(shipped);
    expect(await memberships.find({ chatId }).sort({ rev: 1 }).toArray()).toMatchObject([
      { role: 'owner', state: 'active', rev: 0, changedAt: expect.any(Date) },
      left,
    ]);
  });
});
