import { mongo } from 'mongoose';
import { describe, expect, it } from 'vitest';
import { openDatabase, rejection } from './support.ts';

type Run = (db: mongo.Db) => Promise<unknown>;
const aggregate =
  (...pipeline: object[]): Run =>
  (db) =>
    db.collection('rows').aggregate(pipeline).toArray();
const find =
  (filter: object, options: mongo.FindOptions = {}): Run =>
  (db) =>
    db.collection('rows').find(filter, options).toArray();
const update =
  (change: object): Run =>
  (db) =>
    db.collection('rows').updateMany({}, change);
const index =
  (key: object, options: mongo.CreateIndexesOptions = {}): Run =>
  (db) =>
    db.collection('rows').createIndex(key as mongo.IndexSpecification, options);
const french = { collation: { locale: 'fr' } };

async function longValue(db: mongo.Db): Promise<unknown> {
  await db.collection('rows').createIndex({ a: 1 });
  return db.collection('rows').insertOne({ a: 'x'.repeat(2000) });
}

const refusals: [what: string, code: number, run: Run][] = [
  ['an unknown command', 59, (db) => db.command({ collMod: 'rows' })],
  ['renameCollection', 59, (db) => db.collection('rows').rename('other')],
  ['mapReduce', 59, (db) => db.command({ mapReduce: 'rows' })],
  ['an unknown option of a command', 238, (db) => db.command({ find: 'rows', tailable: true })],
  ['collation of find', 238, find({}, french)],
  ['collation of an update', 238, (db) => db.collection('rows').updateOne({}, { $set: { a: 1 } }, french)],
  ['collation of an index', 238, index({ a: 1 }, french)],
  ['$where', 238, find({ $where: 'true' })],
  ['$text', 238, find({ $text: { $search: 'x' } })],
  ['$jsonSchema', 238, find({ $jsonSchema: {} })],
  ['$near', 238, find({ at: { $near: [0, 0] } })],
  ['an unknown query operator', 238, find({ a: { $foo: 1 } })],
  ['an unknown top level operator', 238, find({ $foo: 1 })],
  ['an empty $or', 2, find({ $or: [] })],
  ['$in without an array', 2, find({ a: { $in: 1 } })],
  ['a bad regular expression', 51091, find({ a: { $regex: '(' } })],
  ['an unsupported regular expression option', 238, find({ a: { $regex: 'a', $options: 'x' } })],
  ['a hint', 238, find({}, { hint: '_id_' })],
  [
    'arrayFilters',
    238,
    (db) => db.collection('rows').updateOne({}, { $set: { 'a.$[x]': 1 } }, { arrayFilters: [{ x: 1 }] }),
  ],
  ['a bad sort', 15975, (db) => db.command({ find: 'rows', sort: { a: 2 } })],
  ['$expr', 238, find({ $expr: { $gt: ['$a', 1] } })],
  ['$mod', 238, find({ a: { $mod: [2, 0] } })],
  ['$type by number', 238, find({ a: { $type: 2 } })],
  ['an unknown operator under $not', 238, find({ a: { $not: { $foo: 1 } } })],
  ['an unknown operator under $elemMatch', 238, find({ a: { $elemMatch: { $foo: 1 } } })],
  ['variables', 238, find({}, { let: { x: 1 } })],
  ['explain', 59, (db) => db.collection('rows').find().explain()],
  ['a projection with $slice', 238, find({}, { projection: { a: { $slice: 1 } } })],
  ['a projection with $elemMatch', 238, find({}, { projection: { a: { $elemMatch: { b: 1 } } } })],
  ['a positional projection', 238, find({ a: 1 }, { projection: { 'a.$': 1 } })],
  ['a computed projection of find', 238, find({}, { projection: { b: '$a' } })],
  ['an update by a pipeline', 238, update([{ $set: { b: 1 } }])],
  ['$rename', 238, update({ $rename: { a: 'b' } })],
  ['$mul', 238, update({ $mul: { a: 2 } })],
  ['$bit', 238, update({ $bit: { a: { or: 1 } } })],
  ['$pop', 238, update({ $pop: { a: 1 } })],
  ['$currentDate', 238, update({ $currentDate: { b: true } })],
  ['$push with $sort', 238, update({ $push: { b: { $each: [1], $sort: 1 } } })],
  ['$inc of an int64 past 2^53', 238, update({ $inc: { big: 1 } })],
  ['$inc of a decimal', 238, update({ $inc: { n: mongo.Decimal128.fromString('1') } })],
  ['an operator in an expression', 238, aggregate({ $project: { b: { $add: ['$n', 1] } } })],
  ['a variable in an expression', 238, aggregate({ $project: { b: '$$ROOT' } })],
  ['$sum of an int64 past 2^53', 238, aggregate({ $group: { _id: null, n: { $sum: '$big' } } })],
  ['a group field with two accumulators', 238, aggregate({ $group: { _id: null, n: { $sum: 1, $max: 1 } } })],
  ['an _id projection that is no flag', 238, find({}, { projection: { _id: 'x' as never } })],
  ['$lookup', 238, aggregate({ $lookup: { from: 'x', localField: 'a', foreignField: 'b', as: 'c' } })],
  ['$facet', 238, aggregate({ $facet: { a: [{ $match: {} }] } })],
  ['$addFields', 238, aggregate({ $addFields: { b: 1 } })],
  ['an unknown stage after those that indexes serve', 238, aggregate({ $match: { a: 'none' } }, { $foo: 1 })],
  ['the natural order', 238, (db) => db.command({ find: 'rows', sort: { $natural: -1 } })],
  ['mixing inclusion and exclusion', 31254, find({}, { projection: { a: 1, b: 0 } })],
  ['a text index', 67, index({ a: 'text' })],
  ['a hashed index', 67, index({ a: 'hashed' })],
  ['a geo index', 67, index({ a: '2dsphere' })],
  ['a wildcard index', 67, index({ '$**': 1 })],
  ['a compound TTL index', 67, index({ a: 1, b: 1 }, { expireAfterSeconds: 1 })],
  ['a sparse and partial index', 67, index({ a: 1 }, { sparse: true, partialFilterExpression: { a: 1 } })],
  ['a hidden index', 238, index({ a: 1 }, { hidden: true })],
  ['a capped collection', 238, (db) => db.createCollection('c', { capped: true, size: 1000 })],
  ['a view', 238, (db) => db.createCollection('c', { viewOn: 'rows', pipeline: [] })],
  ['a time series', 238, (db) => db.createCollection('c', { timeseries: { timeField: 't' } })],
  ['a validator', 238, (db) => db.createCollection('c', { validator: { a: 1 } })],
  ['a collation of a collection', 238, (db) => db.createCollection('c', french)],
  ['$out', 238, aggregate({ $out: 'other' })],
  ['$merge', 238, aggregate({ $merge: 'other' })],
  ['$geoNear', 238, aggregate({ $geoNear: {} })],
  ['an unknown stage', 238, aggregate({ $foo: 1 })],
  ['a stage with two names', 40323, aggregate({ $match: {}, $limit: 1 })],
  ['an unknown expression', 238, aggregate({ $project: { a: { $foo: 1 } } })],
  ['$function', 238, aggregate({ $project: { a: { $function: { body: 'x', args: [], lang: 'js' } } } })],
  ['$accumulator', 238, aggregate({ $group: { _id: 1, a: { $accumulator: {} } } })],
  [
    'a write concern of three nodes',
    2,
    (db) => db.command({ insert: 'rows', documents: [{}], writeConcern: { w: 3 } }),
  ],
  ['a snapshot read', 238, (db) => db.command({ find: 'rows', readConcern: { level: 'snapshot' } })],
  ['an invalid namespace', 73, (db) => db.createCollection('a$b')],
  ['an array as _id', 53, (db) => db.collection('rows').insertOne({ _id: [1] as never })],
  ['an _id with operators', 52, (db) => db.collection('rows').insertOne({ _id: { $a: 1 } as never })],
  ['a very long indexed value', 17280, longValue],
  ['a very long _id', 17280, (db) => db.collection('rows').insertOne({ _id: 'x'.repeat(600) as never })],
  ['authentication', 59, (db) => db.command({ saslStart: 1, mechanism: 'SCRAM-SHA-256', payload: '' })],
  ['a transaction', 20, (db) => db.command({ find: 'rows', startTransaction: true, autocommit: false })],
];

describe('what is not implemented', () => {
  it.each(refusals)('refuses %s with code %i', async (_, code, run) => {
    const db = await openDatabase();
    await db
      .collection('rows')
      .insertOne({ _id: 'x' as never, a: 'text', n: 1, big: mongo.Long.fromBigInt(2n ** 53n + 1n) });
    const error = await rejection(run(db));
    expect(error).toBeInstanceOf(mongo.MongoServerError);
    expect(error.code).toBe(code);
  });

  it('refuses change streams', async () => {
    const db = await openDatabase();
    const stream = db.collection('rows').watch();
    expect((await rejection(stream.next())).code).toBe(40573);
    await stream.close();
  });

  it('refuses transactions of sessions', async () => {
    const db = await openDatabase();
    const session = db.client.startSession();
    const work = session.withTransaction(() => db.collection('rows').insertOne({}, { session }));
    await rejection(work);
    await session.endSession();
    expect(await db.collection('rows').countDocuments()).toBe(0);
  });
});
