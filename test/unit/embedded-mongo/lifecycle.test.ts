import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { mongo } from 'mongoose';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createEngine, type OnError } from '../../../src/storage/embedded-mongo/engine.ts';
import { startEmbeddedMongo } from '../../../src/storage/embedded-mongo/index.ts';
import { serve, temporaryDirectory } from './support.ts';

const directoryOf = ({ uri }: { uri: string }) => dirname(decodeURIComponent(uri.replace('mongodb://', '')));

async function start(options: Partial<Parameters<typeof startEmbeddedMongo>[0]> = {}) {
  const server = await startEmbeddedMongo({ path: temporaryDirectory(), sync: false, ...options });
  onTestFinished(() => server.close());
  const client = await mongo.MongoClient.connect(server.uri, { serverSelectionTimeoutMS: 2000 });
  onTestFinished(() => client.close());
  return { server, client };
}

describe('startEmbeddedMongo', () => {
  it('serves from a worker thread on a private socket, which goes when it closes', async () => {
    const { server, client } = await start();
    const directory = directoryOf(server);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await client.db('a').collection('b').insertOne({ x: 1 });
    await client.close();
    await server.close();
    expect(await server.exited).toBeUndefined();
    expect(existsSync(directory)).toBe(false);
    await server.close();
  });

  it('finds its data again, its indexes included', async () => {
    const path = temporaryDirectory();
    const first = await start({ path, sync: true });
    await first.client.db('a').collection('b').createIndex({ x: 1 }, { unique: true });
    await first.client.db('a').collection('b').insertOne({ x: 1 });
    await first.client.close();
    await first.server.close();
    const { client } = await start({ path });
    const rows = client.db('a').collection('b');
    expect(await rows.findOne({ x: 1 }, { projection: { _id: 0 } })).toEqual({ x: 1 });
    await expect(rows.insertOne({ x: 1 })).rejects.toMatchObject({ code: 11000 });
  });

  it('listens on a port of this host, if asked to', async () => {
    const { server, client } = await start({ port: 0 });
    expect(server.uri).toMatch(/^mongodb:\/\/127\.0\.0\.1:\d+$/);
    expect(await client.db('a').command({ ping: 1 })).toMatchObject({ ok: 1 });
  });

  it('refuses a socket path that the system would cut', async () => {
    vi.stubEnv('TMPDIR', join(temporaryDirectory(), 'x'.repeat(80)));
    onTestFinished(() => void vi.unstubAllEnvs());
    mkdirSync(process.env['TMPDIR'] as string);
    await expect(startEmbeddedMongo({ path: 'unused' })).rejects.toThrow(/over 100 bytes/);
    expect(readdirSync(process.env['TMPDIR'] as string)).toEqual([]);
  });

  it('says so when its thread dies, and takes the private directory away', async () => {
    const once = vi.spyOn(Worker.prototype, 'once');
    onTestFinished(() => once.mockRestore());
    const server = await startEmbeddedMongo({ path: temporaryDirectory(), sync: false });
    const [worker] = once.mock.contexts as Worker[];
    await worker?.terminate();
    expect(await server.exited).toMatchObject({ message: expect.stringContaining('thread ended') });
    expect(existsSync(directoryOf(server))).toBe(false);
    await expect(server.close()).rejects.toThrow(/thread ended/);
  });

  it('says why it cannot start', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    await expect(startEmbeddedMongo({ path: join(file, 'below') })).rejects.toThrow(/ENOTDIR|not a directory/i);
  });
});

describe('several servers on one path', () => {
  it('see each other\u2019s writes, collections and indexes at once', async () => {
    const path = temporaryDirectory();
    const [a, b] = await Promise.all([start({ path }), start({ path })]);
    const [left, right] = [
      a.client.db('t').collection<{ _id: number; k?: number }>('c'),
      b.client.db('t').collection<{ _id: number; k?: number }>('c'),
    ];
    for (let i = 0; i < 20; i++) {
      await (i % 2 ? left : right).insertOne({ _id: i, k: i });
      expect(await (i % 2 ? right : left).findOne({ _id: i })).toEqual({ _id: i, k: i });
    }
    await left.createIndex({ k: 1 }, { unique: true });
    await expect(right.insertOne({ _id: 99, k: 5 })).rejects.toMatchObject({ code: 11000 });
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 ? left : right).updateOne({ _id: 0 }, { $inc: { k: -1 } })),
    );
    expect(await right.findOne({ _id: 0 })).toEqual({ _id: 0, k: -100 });
  });
});

describe('errors that are no answers of MongoDB\u2019s', () => {
  it('reach onError and the client as a coded error without their text', async () => {
    const onError = vi.fn<OnError>();
    const engine = createEngine({ path: temporaryDirectory(), sync: false, onError });
    await engine.close();
    const reply = await engine.run({ command: { find: 'c', $db: 'a' }, sequences: new Map() });
    expect(reply).toMatchObject({
      ok: 0,
      code: 1,
      codeName: 'InternalError',
      errmsg: 'internal error of the embedded store',
    });
    expect(onError).toHaveBeenCalledWith(expect.any(Error), 'find');
  });

  it('of a client that speaks something else end its connection alone', async () => {
    const onError = vi.fn<OnError>();
    const server = await serve({ onError });
    onTestFinished(() => server.close());
    const socket = connectSocket(Number(new URL(server.uri).port), '127.0.0.1');
    socket.end('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect(onError).toHaveBeenCalledWith(expect.objectContaining({ code: 17 }), 'connection');
    const client = await mongo.MongoClient.connect(server.uri);
    expect(await client.db('a').command({ ping: 1 })).toMatchObject({ ok: 1 });
    await client.close();
  });
});
