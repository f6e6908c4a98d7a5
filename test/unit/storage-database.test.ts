import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Schema } from 'mongoose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { explainDatabase } from '../../src/storage/database-fault.ts';
import { connectDatabase, ensureIndexes } from '../../src/storage/database.ts';
import { startEmbeddedMongo, type EmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import type { Log } from '../../src/observability/log.ts';
import { openTestDatabase } from '../support/database.ts';

const nothing = (): void => {};
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

interface Pet {
  name: string;
  age: number;
}
const pets = (): Schema<Pet> => {
  const schema = new Schema<Pet>({ name: { type: String, required: true }, age: Number });
  schema.index({ name: 1 }, { unique: true, name: 'pet_name' });
  return schema;
};

describe('the database', () => {
  test('[ST-1] keeps what was written when it is opened again', async () => {
    const first = await connectDatabase({ dataDir, log });
    await first.connection.model<Pet>('Pet', pets()).create({ name: 'Rex', age: 3 });
    expect(first.embedded).toBe(true);
    await first.close();

    const second = await connectDatabase({ dataDir, log });
    expect(await second.connection.model<Pet>('Pet', pets()).findOne({ name: 'Rex' }).lean()).toMatchObject({ age: 3 });
    await second.close();
  });

  test('[ST-2] treats an operator in a filter as a value', async () => {
    await using database = await openTestDatabase();
    const model = database.connection.model<Pet>('Pet', pets());
    await model.create({ name: 'Rex', age: 3 });
    const filter = JSON.parse('{"name":{"$ne":null}}') as { name: string };
    await expect(model.findOne(filter)).rejects.toThrow(/Cast to/);
  });

  test('[ST-3] builds the indexes of all models when told to, twice without harm', async () => {
    await using database = await openTestDatabase();
    const model = database.connection.model<Pet>('Pet', pets());
    await model.create({ name: 'Rex', age: 3 });
    expect(Object.keys(await model.collection.indexInformation())).toEqual(['_id_']);
    await ensureIndexes(database.connection);
    await ensureIndexes(database.connection);
    await expect(model.create({ name: 'Rex', age: 4 })).rejects.toMatchObject({
      code: 11_000,
      keyPattern: { name: 1 },
      keyValue: { name: 'Rex' },
    });
  });

  test('[ST-4] answers a ping while it is there and false when it is gone', async () => {
    const database = await openTestDatabase();
    expect(await database.ping()).toBe(true);
    await database.close();
    expect(await database.ping()).toBe(false);
    await database.close();
  });

  test('[ST-5] tells when the embedded engine has ended by itself, and not when it was closed', async () => {
    let engine: EmbeddedMongo | undefined;
    const database = await connectDatabase({
      dataDir,
      log,
      startEngine: async (options) => (engine = await startEmbeddedMongo(options)),
    });
    let told = false;
    void database.failed.then(() => (told = true));
    await engine?.close();
    await expect(database.failed).resolves.toBeInstanceOf(Error);
    expect(told).toBe(true);
    await database.close();

    const orderly = await connectDatabase({ dataDir, log });
    let failed = false;
    void orderly.failed.then(() => (failed = true));
    await orderly.close();
    expect(failed).toBe(false);
  });

  test('[ST-6] fails instead of waiting when no server answers, and leaves nothing open', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const mongodbUri = `mongodb://127.0.0.1:${port}/?serverSelectionTimeoutMS=200`;
    await expect(connectDatabase({ dataDir, mongodbUri, log })).rejects.toThrow(/ECONNREFUSED/);
  });

  test('[ST-7] uses the database that the URI names, else `atelier`', async () => {
    const engine = await startEmbeddedMongo({ path: dataDir });
    const plain = await connectDatabase({ dataDir, mongodbUri: engine.uri, log });
    expect(plain.connection.name).toBe('atelier');
    expect(plain.embedded).toBe(false);
    await plain.close();
    const uri = engine.uri.replace(/\/?(\?.*)?$/, '/other$1');
    const named = await connectDatabase({ dataDir, mongodbUri: uri, log });
    expect(named.connection.name).toBe('other');
    await named.close();
    await engine.close();
  });

  test('[ST-8] an operation on a connection that is cut just before its write ends, and does not wait for ever', async () => {
    const engine = await startEmbeddedMongo({ path: dataDir, port: 0 });
    const database = await connectDatabase({ dataDir, mongodbUri: engine.uri, log });
    const driver = createRequire(createRequire(import.meta.url).resolve('mongoose'));
    const { Connection } = driver('mongodb/lib/cmap/connection.js') as { Connection: DriverConnection };
    const { ns } = driver('mongodb/lib/utils.js') as { ns: (name: string) => object };
    const socket = connect(Number(new URL(engine.uri).port), '127.0.0.1');
    await once(socket, 'connect');
    const driverConnection = new Connection(socket, { id: 1, generation: 0, hostAddress: engine.uri });
    const asked = driverConnection.command(ns('admin.$cmd'), { hello: 1 }, {});
    // Its end is not told yet when the driver writes.
    socket.destroy();
    await expect(asked).rejects.toThrow(/closed/);
    await database.close();
    await engine.close();
  });

  test('[ST-9] an error that says that the database is away is `unavailable`; any other is as it was', async () => {
    const engine = await startEmbeddedMongo({ path: dataDir, port: 0 });
    const mongodbUri = `${engine.uri}/?serverSelectionTimeoutMS=200`;
    const database = await connectDatabase({ dataDir, mongodbUri, log });
    const rows = database.connection.collection<{ _id: number }>('rows');
    await rows.insertOne({ _id: 1 });
    const duplicate = await rows.insertOne({ _id: 1 }).catch((error: unknown) => error);
    expect(explainDatabase(duplicate)).toBe(duplicate);
    const closing = engine.close();
    await expect.poll(() => database.ping()).toBe(false);
    await closing;
    const away = await rows.findOne({}).catch((error: unknown) => error);
    expect(explainDatabase(away)).toMatchObject({ code: 'unavailable', retryAfterMs: 1_000, cause: away });
    await database.close();
  });
});

/** The part of the driver's own connection that is under test. */
type DriverConnection = new (
  socket: Socket,
  options: object,
) => { command(namespace: object, command: object, options: object): Promise<unknown> };
