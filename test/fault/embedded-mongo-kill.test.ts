import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { mongo } from 'mongoose';
import { expect, it, onTestFinished, vi } from 'vitest';
import { wrongEntries } from '../unit/embedded-mongo/support.ts';

const KILLS = 20;
const WRITERS = 24;
const SERVER = new URL('../../src/storage/embedded-mongo/main.ts', import.meta.url).pathname;
const LOADER = new URL('../support/typescript.mjs', import.meta.url).href;

interface Row {
  _id: string;
  /** Unique. */
  key: string;
  tags: string[];
  version: number;
}

/** What the server has acknowledged, by id: the version of each row. */
type Acked = Map<string, number>;

async function startServer(path: string) {
  const child = spawn(process.execPath, ['--import', LOADER, SERVER, '--path', path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [uri] = (await once(createInterface(child.stdout), 'line')) as [string];
  const client = await mongo.MongoClient.connect(uri, { maxPoolSize: WRITERS, serverSelectionTimeoutMS: 2000 });
  const kill = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { rows: client.db('test').collection<Row>('rows'), kill, close: () => client.close() };
}

/** Writes until the server is gone; records what was acknowledged. */
async function write(rows: mongo.Collection<Row>, name: string, acked: Acked, acknowledged: () => void): Promise<void> {
  for (let n = 0; ; n++) {
    const _id = `${name}-${n}`;
    const row = { key: `k-${_id}`, tags: [name, `t${n % 7}`], version: 0 };
    try {
      await rows.insertMany([
        { _id, ...row },
        { _id: `${_id}b`, ...row, key: `${row.key}b` },
      ]);
      acked.set(_id, 0).set(`${_id}b`, 0);
      acknowledged();
      await rows.updateOne({ _id }, { $inc: { version: 1 }, $push: { tags: 'updated' } });
      acked.set(_id, 1);
      acknowledged();
    } catch (error) {
      // A lost connection has no code; any answer of the server's is a failure of the test.
      if (error instanceof mongo.MongoServerError && error.code !== undefined) throw error;
      return;
    }
  }
}

async function verify(path: string, rows: mongo.Collection<Row>, acked: Acked): Promise<void> {
  const all = await rows.find().toArray();
  const versions = new Map(all.map((row) => [row._id, row.version]));
  const lost = [...acked].filter(([id, version]) => (versions.get(id) ?? -1) < version);
  expect(lost).toEqual([]);
  // Every index has exactly the entries of the rows that the collection has.
  expect(await wrongEntries(path, 'test.rows')).toEqual([]);
  const updated = all.filter((row) => row.version === 1);
  expect(await rows.countDocuments({ tags: 'updated' })).toBe(updated.length);
  expect(await rows.countDocuments({ key: { $in: all.map((row) => row.key) } })).toBe(all.length);
}

it(
  'loses no acknowledged write to twenty kills under 24 writers, and keeps its indexes consistent',
  { timeout: 180_000 },
  async () => {
    const path = mkdtempSync(join(tmpdir(), 'embedded-mongo-kill-'));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    const acked: Acked = new Map();
    for (let round = 0; round < KILLS; round++) {
      const server = await startServer(path);
      await server.rows.createIndexes([{ key: { key: 1 }, unique: true }, { key: { tags: 1, version: -1 } }]);
      await verify(path, server.rows, acked);
      let left = 60 + 37 * (round % 5);
      let enough = () => {};
      const reached = new Promise<void>((resolve) => (enough = resolve));
      const acknowledged = () => void (--left === 0 && enough());
      const writers = Promise.all(
        Array.from({ length: WRITERS }, (_, i) => write(server.rows, `r${round}w${i}`, acked, acknowledged)),
      );
      await Promise.race([reached, writers]);
      await server.kill();
      await writers;
      await server.close();
    }
    const server = await startServer(path);
    await verify(path, server.rows, acked);
    expect(acked.size).toBeGreaterThan(KILLS * WRITERS);
    await server.close();
    await server.kill();
  },
);

it(
  'lets two processes write to one path, and the one go on when the other is killed',
  { timeout: 60_000 },
  async () => {
    const path = mkdtempSync(join(tmpdir(), 'embedded-mongo-pair-'));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    const acked: Acked = new Map();
    const [killed, survivor] = await Promise.all([startServer(path), startServer(path)]);
    await killed.rows.createIndexes([{ key: { key: 1 }, unique: true }, { key: { tags: 1, version: -1 } }]);
    let left = 200;
    let enough = () => {};
    const reached = new Promise<void>((resolve) => (enough = resolve));
    const acknowledged = () => void (--left === 0 && enough());
    const writersOf = ({ rows }: typeof killed, name: string) =>
      Promise.all(Array.from({ length: WRITERS / 2 }, (_, i) => write(rows, `${name}${i}`, acked, acknowledged)));
    const doomed = writersOf(killed, 'killed');
    const others = writersOf(survivor, 'survivor');
    await Promise.race([reached, doomed, others]);
    await killed.kill();
    await doomed;
    // The survivor answers still, although the other may have held the write lock.
    const before = acked.size;
    await vi.waitUntil(() => acked.size > before + WRITERS, { timeout: 20_000 });
    await survivor.kill();
    await others;
    const again = await startServer(path);
    await verify(path, again.rows, acked);
    expect([...acked.keys()].some((id) => id.startsWith('killed'))).toBe(true);
    await Promise.all([killed, survivor, again].map((server) => server.close()));
  },
);
