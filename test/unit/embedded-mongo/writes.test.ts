import { mongo } from 'mongoose';
import { describe, expect, it } from 'vitest';
import { openDatabase, rejection } from './support.ts';

type Row = mongo.Document & { _id: number };

describe('inserts', () => {
  it('ordered: stops at the first error and says where it was', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    const error = (await rejection(
      rows.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 1, again: true }, { _id: 3 }]),
    )) as mongo.MongoBulkWriteError;
    expect(error.code).toBe(11000);
    expect([error.writeErrors].flat().map((e) => [e.index, e.code])).toEqual([[2, 11000]]);
    expect(error.result.insertedCount).toBe(2);
    expect(await rows.distinct('_id')).toEqual([1, 2]);
  });

  it('unordered: goes on and reports every error with its index', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    const batch = [{ _id: 1 }, { _id: 1 }, { _id: 2 }, { _id: 2 }, { _id: 3 }];
    const error = (await rejection(rows.insertMany(batch, { ordered: false }))) as mongo.MongoBulkWriteError;
    expect([error.writeErrors].flat().map((e) => e.index)).toEqual([1, 3]);
    expect(error.result.insertedCount).toBe(3);
    expect(await rows.distinct('_id')).toEqual([1, 2, 3]);
  });

  it('keeps documents exactly as they came, nested fields and types included', async () => {
    const rows = (await openDatabase()).collection('rows');
    const { Long, Decimal128, Double, Binary, Timestamp } = mongo.BSON;
    const doc = {
      _id: 1,
      l: Long.fromNumber(5),
      d: Decimal128.fromString('1.50'),
      f: new Double(1),
      b: new Binary(Buffer.from('x'), 5),
      t: new Timestamp({ t: 1, i: 2 }),
      r: /a/i,
    };
    await rows.insertOne(doc as never);
    const found = await rows.findOne({}, { promoteValues: false, bsonRegExp: false });
    expect(mongo.BSON.EJSON.stringify(found, { relaxed: false })).toBe(
      mongo.BSON.EJSON.stringify({ ...doc, _id: new mongo.BSON.Int32(1) }, { relaxed: false }),
    );
  });

  it('makes an _id where the client sent none, and puts it first', async () => {
    const db = await openDatabase();
    await db.command({ insert: 'rows', documents: [{ a: 1 }, { b: 2, _id: 'x' }] });
    const [made, given] = await db
      .collection('rows')
      .find({}, { sort: { b: 1 } })
      .toArray();
    expect(made?._id).toBeInstanceOf(mongo.ObjectId);
    expect(Object.keys(given ?? {})).toEqual(['_id', 'b']);
  });
});

describe('updates of several documents', () => {
  it('updateMany changes each and counts those that changed', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertMany([
      { _id: 1, n: 1 },
      { _id: 2, n: 2 },
      { _id: 3, n: 2 },
    ]);
    expect(await rows.updateMany({}, { $set: { n: 2 } })).toMatchObject({ matchedCount: 3, modifiedCount: 1 });
    expect(await rows.deleteMany({ n: 2 })).toMatchObject({ deletedCount: 3 });
  });

  it('replaceOne keeps the _id and nothing else', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertOne({ _id: 1, a: 1 });
    await rows.replaceOne({ a: 1 }, { b: 2 });
    expect(await rows.find().toArray()).toEqual([{ _id: 1, b: 2 }]);
    expect((await rejection(rows.replaceOne({ _id: 1 }, { _id: 2 }))).code).toBe(66);
  });

  it.each([
    ['two operators on one path', { $set: { a: 1 }, $inc: { a: 1 } }, 40],
    ['a path and one below it', { $set: { a: 1, 'a.b': 2 } }, 40],
    ['an unknown operator', { $add: { a: 1 } }, 238],
    ['$inc of a string', { $inc: { s: 1 } }, 14],
    ['$push to a number', { $push: { n: 1 } }, 2],
    ['a field below a number', { $set: { 'n.x': 1 } }, 28],
    ['another _id', { $set: { _id: 9 } }, 66],
    ['a position found by the filter', { $set: { 'a.$': 1 } }, 238],
    ['all positions', { $set: { 'a.$[]': 1 } }, 238],
    ['an empty path part', { $set: { 'a..b': 1 } }, 56],
    ['a position far away', { $set: { 'a.9999999': 1 } }, 2],
  ])('refuses %s and changes nothing', async (_, update, code) => {
    const rows = (await openDatabase()).collection<Row>('rows');
    const doc = { _id: 1, n: 1, s: 'x', a: [1], big: mongo.BSON.Long.MAX_VALUE };
    await rows.insertOne(doc);
    expect((await rejection(rows.updateOne({ _id: 1 }, update as never))).code).toBe(code);
    expect(await rows.findOne()).toEqual(doc);
  });
});

describe('upserts', () => {
  it('start from what the filter says and apply $setOnInsert once', async () => {
    const rows = (await openDatabase()).collection('rows');
    const filter = { a: 1, 'b.c': { $eq: 2 }, d: { $gt: 5 }, $and: [{ e: 3 }] };
    const update = { $set: { n: 1 }, $setOnInsert: { made: true } };
    const first = await rows.updateOne(filter, update, { upsert: true });
    expect(first).toMatchObject({ matchedCount: 0, upsertedCount: 1 });
    expect(await rows.findOne()).toEqual({ _id: first.upsertedId, a: 1, b: { c: 2 }, e: 3, n: 1, made: true });
    await rows.updateOne({ a: 1 }, { $unset: { made: 1 }, $setOnInsert: { never: 1 } }, { upsert: true });
    expect(await rows.findOne()).toEqual({ _id: first.upsertedId, a: 1, b: { c: 2 }, e: 3, n: 1 });
  });

  it('take the _id from the filter or the replacement', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    expect((await rows.replaceOne({ _id: 7 }, { a: 1 }, { upsert: true })).upsertedId).toBe(7);
    expect((await rows.updateOne({ _id: 8 }, { $inc: { n: 1 } }, { upsert: true })).upsertedId).toBe(8);
    expect(await rows.find().toArray()).toEqual([
      { _id: 7, a: 1 },
      { _id: 8, n: 1 },
    ]);
  });
});

describe('findOneAndUpdate', () => {
  it('gives the document before or after, through the projection, in the order asked for', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertMany([
      { _id: 1, n: 1 },
      { _id: 2, n: 5 },
    ]);
    expect(await rows.findOneAndUpdate({}, { $inc: { n: 1 } }, { sort: { n: -1 } })).toEqual({ _id: 2, n: 5 });
    const options = { sort: { n: -1 }, returnDocument: 'after', projection: { n: 1, _id: 0 } } as const;
    expect(await rows.findOneAndUpdate({}, { $inc: { n: 1 } }, options)).toEqual({ n: 7 });
    expect(await rows.findOneAndReplace({ _id: 1 }, { z: 1 }, { returnDocument: 'after' })).toEqual({ _id: 1, z: 1 });
    expect(await rows.findOneAndDelete({ _id: 1 })).toEqual({ _id: 1, z: 1 });
    expect(await rows.findOneAndUpdate({ _id: 9 }, { $set: { a: 1 } })).toBeNull();
    const made = await rows.findOneAndUpdate(
      { _id: 9 },
      { $set: { a: 1 } },
      { upsert: true, returnDocument: 'after', includeResultMetadata: true },
    );
    expect(made).toMatchObject({ value: { _id: 9, a: 1 }, lastErrorObject: { updatedExisting: false, upserted: 9 } });
  });
});

describe('bulkWrite', () => {
  const operations = [
    { insertOne: { document: { _id: 1, n: 1 } } },
    { updateOne: { filter: { _id: 1 }, update: { $inc: { n: 1 } } } },
    { updateOne: { filter: { _id: 2 }, update: { $set: { n: 9 } }, upsert: true } },
    { replaceOne: { filter: { _id: 2 }, replacement: { n: 3 } } },
    { updateMany: { filter: {}, update: { $inc: { n: 1 } } } },
    { deleteOne: { filter: { _id: 1 } } },
  ];

  it('runs every kind of operation in order', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    const done = await rows.bulkWrite(operations);
    expect(done).toMatchObject({
      insertedCount: 1,
      upsertedCount: 1,
      matchedCount: 4,
      modifiedCount: 4,
      deletedCount: 1,
    });
    expect(done.upsertedIds).toEqual({ 2: 2 });
    expect(await rows.find().toArray()).toEqual([{ _id: 2, n: 4 }]);
  });

  it('unordered: reports the index of each failed operation', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    const insert = (_id: number) => ({ insertOne: { document: { _id } } });
    const error = (await rejection(
      rows.bulkWrite([insert(1), insert(1), insert(2)], { ordered: false }),
    )) as mongo.MongoBulkWriteError;
    expect([error.writeErrors].flat().map((e) => e.index)).toEqual([1]);
    expect(error.result.insertedCount).toBe(2);
  });
});

describe('concurrent writers', () => {
  it('lose no increment, and one of two inserts of a key wins', async () => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertOne({ _id: 1, n: 0 });
    await Promise.all(Array.from({ length: 200 }, () => rows.updateOne({ _id: 1 }, { $inc: { n: 1 } })));
    expect(await rows.findOne({ _id: 1 })).toEqual({ _id: 1, n: 200 });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => rows.insertOne({ _id: 2 })));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const upserts = Array.from({ length: 20 }, () => rows.updateOne({ _id: 3 }, { $inc: { n: 1 } }, { upsert: true }));
    expect((await Promise.all(upserts)).reduce((sum, done) => sum + done.upsertedCount, 0)).toBe(1);
  });
});

describe('names of JavaScript\u2019s own', () => {
  const evil = (path: string) => JSON.parse(`{"${path}": {"polluted": true}}`) as Record<string, unknown>;
  const paths = [
    '__proto__',
    '__proto__.polluted',
    'a.__proto__',
    'a.__proto__.polluted',
    'constructor',
    'constructor.prototype.polluted',
    'list.0.__proto__.polluted',
  ];
  const updates = paths.flatMap((path): [string, Record<string, unknown>][] => [
    [`$set ${path}`, { $set: evil(path) }],
    [`$unset ${path}`, { $unset: evil(path) }],
    [`$inc ${path}`, { $inc: Object.fromEntries([[path, 1]]) }],
    [`$push ${path}`, { $push: evil(path) }],
    [`$addToSet ${path}`, { $addToSet: evil(path) }],
    [`$min ${path}`, { $min: evil(path) }],
    [`$max ${path}`, { $max: evil(path) }],
    [`$pull ${path}`, { $pull: evil(path) }],
    [`$pullAll ${path}`, { $pullAll: Object.fromEntries([[path, [1]]]) }],
    [`$setOnInsert ${path}`, { $setOnInsert: evil(path) }],
    [`replacement ${path}`, evil(path.replaceAll('.', '_'))],
  ]);

  it.each(updates)('%s pollutes no prototype', async (_, update) => {
    const rows = (await openDatabase()).collection<Row>('rows');
    await rows.insertOne({ _id: 1, a: { b: 1 }, list: [{}] });
    const write =
      'replaceOne' in rows && !Array.isArray(update) && !Object.keys(update)[0]?.startsWith('$')
        ? rows.replaceOne({ _id: 1 }, update)
        : rows.updateOne({ _id: 1 }, update);
    const error: unknown = await write.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error === undefined || error instanceof mongo.MongoServerError).toBe(true);
    await rows.updateOne({ _id: 2 }, update as never, { upsert: true }).catch(() => undefined);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(([] as { polluted?: unknown }).polluted).toBeUndefined();
    expect((Object as { polluted?: unknown }).polluted).toBeUndefined();
    expect(typeof {}.toString).toBe('function');
  });

  it('are ordinary fields, kept, found and indexed', async () => {
    const rows = (await openDatabase()).collection('rows');
    const doc = JSON.parse('{"_id": 1, "__proto__": {"x": 1}, "constructor": "c", "toString": 5}') as { _id: never };
    await rows.createIndex({ constructor: 1 });
    await rows.insertOne(doc);
    await rows.updateOne({ toString: 5 }, { $set: { n: 1 } });
    const found = await rows.findOne({ constructor: 'c' } as never);
    expect(Object.keys(found ?? {})).toEqual(['_id', '__proto__', 'constructor', 'toString', 'n']);
    expect(await rows.countDocuments({ '__proto__.x': 1 })).toBe(1);
    expect(await rows.countDocuments({ valueOf: { $exists: true } })).toBe(0);
    expect(await rows.findOne({}, { projection: JSON.parse('{"__proto__.x": 1, "_id": 0}') as never })).toEqual(
      JSON.parse('{"__proto__": {"x": 1}}'),
    );
  });
});
