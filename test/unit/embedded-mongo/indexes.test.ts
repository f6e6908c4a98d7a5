import type { mongo } from 'mongoose';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Store } from '../../../src/storage/embedded-mongo/store/store.ts';
import type { IndexSpec } from '../../../src/storage/embedded-mongo/store/catalog.ts';
import { find, planOf } from '../../../src/storage/embedded-mongo/commands/matching.ts';
import { openDatabase, rejection, temporaryDirectory } from './support.ts';

type Row = mongo.Document & { _id: number };

/** Says how queries on a collection with these indexes are answered. */
async function planner(...specs: Partial<IndexSpec>[]) {
  const store = new Store(temporaryDirectory(), false);
  onTestFinished(() => store.close());
  const collection = await store.write(() => {
    const made = store.catalog.ensure('test.rows');
    for (const { key = {}, ...spec } of specs)
      store.addIndex(made, { v: 2, key, name: Object.keys(key).join(), ...spec });
    return made;
  });
  return (filter: Record<string, unknown>, sort: object = {}): string => {
    const { ids, index, reverse, sorted } = planOf(collection, { filter, sort });
    if (ids) return 'ids';
    return [index?.spec.name ?? 'scan', ...(reverse ? ['backward'] : []), ...(sorted ? [] : ['and sort'])].join(' ');
  };
}

describe('unique indexes', () => {
  it.each<[string, object, object[], object, { keyPattern: object; keyValue: object }]>([
    ['single', { a: 1 }, [{ a: 'x' }], { a: 'x' }, { keyPattern: { a: 1 }, keyValue: { a: 'x' } }],
    [
      'compound',
      { a: 1, b: -1 },
      [
        { a: 1, b: 2 },
        { a: 1, b: 3 },
      ],
      { a: 1, b: 3 },
      { keyPattern: { a: 1, b: -1 }, keyValue: { a: 1, b: 3 } },
    ],
    ['missing counts as null', { a: 1 }, [{ a: null }], {}, { keyPattern: { a: 1 }, keyValue: { a: null } }],
    ['multikey', { t: 1 }, [{ t: ['x', 'y'] }], { t: ['z', 'y'] }, { keyPattern: { t: 1 }, keyValue: { t: 'y' } }],
    [
      'embedded',
      { 'a.b': 1 },
      [{ a: { b: 1 } }],
      { a: { b: 1 } },
      { keyPattern: { 'a.b': 1 }, keyValue: { 'a.b': 1 } },
    ],
  ])('%s: E11000 names the key', async (_, key, docs, clash, expected) => {
    const rows = (await openDatabase()).collection('rows');
    await rows.createIndex(key as never, { unique: true });
    await rows.insertMany(docs);
    const error = await rejection(rows.insertOne(clash));
    expect(error.code).toBe(11000);
    expect(error.message).toMatch(/^E11000 duplicate key error collection: test\.rows index: .+ dup key: \{/);
    expect(error).toMatchObject(expected);
    expect(await rows.countDocuments()).toBe(docs.length);
  });

  it('bind updates and upserts too, and free the key that a document leaves', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.createIndex({ k: 1 }, { unique: true });
    await rows.insertMany([
      { _id: 1, k: 1 },
      { _id: 2, k: 2 },
    ]);
    expect((await rejection(rows.updateOne({ _id: 2 }, { $set: { k: 1 } }))).code).toBe(11000);
    expect((await rejection(rows.updateOne({ _id: 3 }, { $set: { k: 1 } }, { upsert: true }))).code).toBe(11000);
    await rows.updateOne({ _id: 1 }, { $set: { k: 9 } });
    await rows.updateOne({ _id: 2 }, { $set: { k: 1 } });
    await rows.deleteOne({ _id: 1 });
    await rows.insertOne({ _id: 4, k: 9 });
    expect(await rows.distinct('k')).toEqual([1, 9]);
  });

  it('cannot be built over duplicates, and then leave no index', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertMany([
      { _id: 1, k: 1 },
      { _id: 2, k: 1 },
    ]);
    expect((await rejection(rows.createIndex({ k: 1 }, { unique: true }))).code).toBe(11000);
    expect(await rows.indexes()).toHaveLength(1);
  });

  it('of two indexes, a clash in the second leaves no trace in the first', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.createIndexes([
      { key: { a: 1 }, unique: true },
      { key: { b: 1 }, unique: true },
    ]);
    await rows.insertOne({ _id: 1, a: 1, b: 1 });
    expect((await rejection(rows.insertOne({ _id: 2, a: 2, b: 1 }))).code).toBe(11000);
    await rows.insertOne({ _id: 3, a: 2, b: 3 });
    expect(await rows.find({ a: 2 }).toArray()).toEqual([{ _id: 3, a: 2, b: 3 }]);
  });
});

describe('sparse and partial indexes', () => {
  it('sparse: leave out documents without the field', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.createIndex({ k: 1 }, { unique: true, sparse: true });
    await rows.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3, k: 1 }]);
    expect((await rejection(rows.insertOne({ _id: 4, k: 1 }))).code).toBe(11000);
    expect(await rows.countDocuments({ k: null })).toBe(2);
  });

  it('partial: bind and serve only what they cover', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.createIndex(
      { chat: 1, client: 1 },
      { unique: true, partialFilterExpression: { client: { $type: 'string' } } },
    );
    await rows.insertMany([
      { _id: 1, chat: 1 },
      { _id: 2, chat: 1 },
      { _id: 3, chat: 1, client: 'a' },
    ]);
    expect((await rejection(rows.insertOne({ _id: 4, chat: 1, client: 'a' }))).code).toBe(11000);
    await rows.updateOne({ _id: 3 }, { $unset: { client: 1 } });
    await rows.insertOne({ _id: 5, chat: 1, client: 'a' });
  });
});

describe('the planner', () => {
  it('walks an index for equality, range and order', async () => {
    const seq = { key: { chat: 1, seq: 1 }, partialFilterExpression: { seq: { $exists: true } } };
    const planFor = await planner({ key: { chat: 1, rev: 1 }, unique: true }, seq);
    expect(planFor({ chat: 1 }, { rev: -1 })).toBe('chat,rev backward');
    expect(planFor({ chat: 1, rev: { $gt: 5 } }, { rev: 1 })).toBe('chat,rev');
    expect(planFor({ chat: 1, seq: { $lt: 5 } }, { seq: -1 })).toBe('chat,seq backward');
    expect(planFor({ chat: 1 }, { other: 1 })).toBe('chat,rev and sort');
    expect(planFor({ _id: { $in: [1, 2] } })).toBe('ids');
    expect(planFor({ other: 1 })).toBe('scan');
  });

  it('leaves a sparse or partial index out unless it covers every match', async () => {
    const planFor = await planner(
      { key: { k: 1 }, sparse: true },
      { key: { chat: 1, client: 1 }, partialFilterExpression: { client: { $type: 'string' } } },
      { key: { status: 1 }, partialFilterExpression: { status: 'running' } },
    );
    expect(planFor({ k: 1 })).toBe('k');
    expect(planFor({ k: { $gt: 1 } })).toBe('k');
    expect(planFor({ k: null })).toBe('scan');
    expect(planFor({ chat: 1, client: 'a' })).toBe('chat,client');
    expect(planFor({ chat: 1, client: 5 })).toBe('scan');
    expect(planFor({ chat: 1 })).toBe('scan');
    expect(planFor({ status: 'running' })).toBe('status');
    expect(planFor({ status: { $in: ['running', 'done'] } })).toBe('scan');
  });

  it('reads one document for the last of a chat, and one for each _id', async () => {
    const store = new Store(temporaryDirectory(), false);
    onTestFinished(() => store.close());
    const rows = await store.write(() => {
      const collection = store.catalog.ensure('test.rows');
      store.addIndex(collection, { v: 2, key: { chat: 1, rev: 1 }, name: 'i', unique: true });
      for (let rev = 0; rev < 200; rev++) store.insert(collection, { _id: rev, chat: rev % 2, rev });
      return collection;
    });
    const reads = vi.spyOn(store.documents, 'get');
    const walks = vi.spyOn(store.entries, 'getRange');
    const last = [...find(store, rows, { filter: { chat: 1 }, sort: { rev: -1 }, limit: 1 })];
    expect(last.map(({ doc }) => doc)).toEqual([{ _id: 199, chat: 1, rev: 199 }]);
    expect(reads).toHaveBeenCalledTimes(1);
    expect(walks.mock.calls.map(([options]) => options?.limit)).toEqual([1]);
    expect([...find(store, rows, { filter: { _id: { $in: [5, 7, 999] } } })]).toHaveLength(2);
    expect(reads).toHaveBeenCalledTimes(4);
  });
});

describe('expiry', () => {
  it('removes what a TTL index says is over, and nothing else', async () => {
    const db = await openDatabase({ ttlSeconds: 0.02 });
    const rows = db.collection<Row>('rows');
    await rows.createIndex({ until: 1 }, { expireAfterSeconds: 10 });
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);
    await rows.insertMany([
      { _id: 1, until: ago(60) },
      { _id: 2, until: ago(5) },
      { _id: 3, until: 'no date' },
      { _id: 4 },
      { _id: 5, until: [ago(60), ago(0)] },
    ]);
    await vi.waitFor(async () => expect(await rows.distinct('_id')).toEqual([2, 3, 4]), { timeout: 10_000 });
    const [, index] = await rows.indexes();
    expect(index).toMatchObject({ expireAfterSeconds: 10, key: { until: 1 } });
  });
});

describe('declaring indexes', () => {
  it('again is no error; other options or another name are', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    expect(await rows.createIndex({ a: 1, b: -1 })).toBe('a_1_b_-1');
    expect(await rows.createIndex({ a: 1, b: -1 })).toBe('a_1_b_-1');
    expect((await rejection(rows.createIndex({ a: 1, b: -1 }, { unique: true }))).code).toBe(86);
    expect((await rejection(rows.createIndex({ c: 1 }, { name: 'a_1_b_-1' }))).code).toBe(86);
    expect((await rejection(rows.createIndex({ a: 1, b: -1 }, { name: 'other' }))).code).toBe(85);
    expect((await rejection(rows.dropIndex('nope'))).code).toBe(27);
    expect((await rejection(rows.dropIndex('_id_'))).code).toBe(72);
    await rows.dropIndex('a_1_b_-1');
    expect((await rows.indexes()).map(({ name }) => name)).toEqual(['_id_']);
  });

  it('refuses two arrays in one compound index', async () => {
    const rows = (await openDatabase()).collection('rows');
    await rows.createIndex({ a: 1, b: 1 });
    expect((await rejection(rows.insertOne({ a: [1], b: [1] }))).code).toBe(171);
    expect(await rows.countDocuments()).toBe(0);
  });

  it('dropping a collection frees its keys', async () => {
    const db = await openDatabase();
    const rows = db.collection<Row>('rows');
    await rows.createIndex({ k: 1 }, { unique: true });
    await rows.insertOne({ _id: 1, k: 1 });
    expect(await rows.drop()).toBe(true);
    await rows.insertOne({ _id: 1, k: 1 });
    expect(await rows.indexes()).toHaveLength(1);
    await db.dropDatabase();
    expect(await db.listCollections().toArray()).toEqual([]);
  });
});
