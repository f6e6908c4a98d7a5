import { Binary, Decimal128, Long, ObjectId } from 'bson';
import type { mongo } from 'mongoose';
import { describe, expect, it } from 'vitest';
import { openDatabase } from './support.ts';

type Doc = Record<string, unknown>;
/** Documents, a filter, and the ids that must be found. */
type FilterCase = [name: string, docs: Doc[], filter: Doc, ids: number[]];
/** A document, an update, and the document afterwards (without its `_id`). */
type UpdateCase = [name: string, doc: Doc, update: Doc, after: Doc];
/** A document and how it looks through a projection. */
type ProjectionCase = [name: string, doc: Doc, projection: Doc, seen: Doc];
/** Documents, a pipeline and its result. */
type PipelineCase = [name: string, docs: Doc[], pipeline: Doc[], result: Doc[]];

const N = [{ n: 1 }, { n: 2 }, { n: 3 }, {}, { n: null }, { n: 'x' }];
const TAGS = [{ t: ['a', 'b'] }, { t: ['b'] }, { t: 'b' }, { t: [] }, { t: [['b']] }];
const ITEMS = [
  {
    i: [
      { k: 1, v: 'x' },
      { k: 2, v: 'y' },
    ],
  },
  {
    i: [
      { k: 1, v: 'y' },
      { k: 2, v: 'x' },
    ],
  },
  { i: { k: 1, v: 'y' } },
];

const filters: FilterCase[] = [
  ['all', N, {}, [0, 1, 2, 3, 4, 5]],
  ['a value', N, { n: 2 }, [1]],
  ['null finds missing fields too', N, { n: null }, [3, 4]],
  ['$eq', N, { n: { $eq: 2 } }, [1]],
  ['$ne', N, { n: { $ne: 2 } }, [0, 2, 3, 4, 5]],
  ['$gt keeps to its type', N, { n: { $gt: 1 } }, [1, 2]],
  ['$gte and $lt', N, { n: { $gte: 1, $lt: 3 } }, [0, 1]],
  ['$lte null', N, { n: { $lte: null } }, [3, 4]],
  ['$in with null', N, { n: { $in: [1, null] } }, [0, 3, 4]],
  ['$nin', N, { n: { $nin: [1, null] } }, [1, 2, 5]],
  ['$exists true', N, { n: { $exists: true } }, [0, 1, 2, 4, 5]],
  ['$exists false', N, { n: { $exists: false } }, [3]],
  ['$type by name', N, { n: { $type: 'string' } }, [5]],
  ['$type by two names', N, { n: { $type: ['string', 'null'] } }, [4, 5]],
  ['$type number', N, { n: { $type: 'number' } }, [0, 1, 2]],
  ['$not', N, { n: { $not: { $gt: 1 } } }, [0, 3, 4, 5]],
  ['$and', N, { $and: [{ n: { $gt: 1 } }, { n: { $lt: 3 } }] }, [1]],
  ['$or', N, { $or: [{ n: 1 }, { n: 'x' }] }, [0, 5]],
  ['$nor', N, { $nor: [{ n: 1 }, { n: null }] }, [1, 2, 5]],
  ['$comment', N, { n: 1, $comment: 'why' }, [0]],
  ['an element of an array', TAGS, { t: 'b' }, [0, 1, 2]],
  ['a whole array', TAGS, { t: ['b'] }, [1, 4]],
  ['$all', TAGS, { t: { $all: ['a', 'b'] } }, [0]],
  ['$size', TAGS, { t: { $size: 1 } }, [1, 4]],
  ['$size 0', TAGS, { t: { $size: 0 } }, [3]],
  ['an array position', TAGS, { 't.0': 'b' }, [1, 4]],
  ['$elemMatch on values', [{ a: [1, 9] }, { a: [5] }], { a: { $elemMatch: { $gt: 2, $lt: 8 } } }, [1]],
  ['without $elemMatch two elements may meet two bounds', [{ a: [1, 9] }], { a: { $gt: 2, $lt: 8 } }, [0]],
  ['$elemMatch on documents', ITEMS, { i: { $elemMatch: { k: 1, v: 'y' } } }, [1]],
  ['paths through arrays', ITEMS, { 'i.k': 1, 'i.v': 'y' }, [0, 1, 2]],
  ['an embedded document, exactly', [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }], { a: { b: 1, c: 2 } }, [0]],
  ['a dotted path', [{ a: { b: 1 } }, { a: 1 }], { 'a.b': 1 }, [0]],
  ['a regular expression', [{ s: 'Hello' }, { s: 'hello' }], { s: /^h/ }, [1]],
  ['$regex with $options', [{ s: 'Hello' }, { s: 'hello' }], { s: { $regex: '^h', $options: 'i' } }, [0, 1]],
  ['$not with a regular expression', [{ s: 'a' }, { s: 'b' }, {}], { s: { $not: /a/ } }, [1, 2]],
  ['$in with a regular expression', [{ s: 'ab' }, { s: 'b' }], { s: { $in: [/^a/] } }, [0]],
  ['dates', [{ d: new Date(1) }, { d: new Date(5) }], { d: { $gt: new Date(2) } }, [1]],
  [
    'int64 beyond 2^53',
    [{ l: Long.fromBigInt(2n ** 60n) }, { l: Long.fromBigInt(2n ** 60n + 1n) }],
    { l: Long.fromBigInt(2n ** 60n + 1n) },
    [1],
  ],
  ['numbers of different types', [{ n: Long.fromNumber(7) }, { n: Decimal128.fromString('7') }], { n: 7 }, [0, 1]],
  [
    'binary',
    [{ b: new Binary(Buffer.from('x')) }, { b: new Binary(Buffer.from('y')) }],
    { b: new Binary(Buffer.from('y')) },
    [1],
  ],
  ['booleans are not numbers', [{ a: true }, { a: 1 }], { a: true }, [0]],
];

const updates: UpdateCase[] = [
  ['$set', { a: 1 }, { $set: { a: 2, 'b.c': 3 } }, { a: 2, b: { c: 3 } }],
  ['$unset', { a: 1, b: 2 }, { $unset: { a: '' } }, { b: 2 }],
  ['$unset in an array leaves null', { a: [1, 2] }, { $unset: { 'a.0': '' } }, { a: [null, 2] }],
  ['$inc', { n: 1 }, { $inc: { n: 2, m: 5 } }, { n: 3, m: 5 }],
  ['$inc of doubles past 2^53', { n: 1e21 }, { $inc: { n: 1 } }, { n: 1e21 + 1 }],
  ['$min', { a: 5, b: 5 }, { $min: { a: 3, b: 9, c: 1 } }, { a: 3, b: 5, c: 1 }],
  ['$max', { a: 5, b: 5 }, { $max: { a: 3, b: 9, c: 1 } }, { a: 5, b: 9, c: 1 }],
  ['$push', { a: [1] }, { $push: { a: 2, b: 1 } }, { a: [1, 2], b: [1] }],
  ['$push with $each and $slice', { a: [3, 1] }, { $push: { a: { $each: [2, 5], $slice: -3 } } }, { a: [1, 2, 5] }],
  ['$push at a $position', { a: [1, 4] }, { $push: { a: { $each: [2, 3], $position: 1 } } }, { a: [1, 2, 3, 4] }],
  ['$addToSet', { a: [1] }, { $addToSet: { a: 1, b: 2 } }, { a: [1], b: [2] }],
  ['$addToSet with $each', { a: [1] }, { $addToSet: { a: { $each: [1, 2, 2] } } }, { a: [1, 2] }],
  ['$pull a value', { a: [1, 2, 1] }, { $pull: { a: 1 } }, { a: [2] }],
  ['$pull by condition', { a: [1, 5, 9] }, { $pull: { a: { $gt: 4 } } }, { a: [1] }],
  ['$pull documents', { a: [{ k: 1, v: 2 }, { k: 2 }] }, { $pull: { a: { k: 1 } } }, { a: [{ k: 2 }] }],
  ['$pullAll', { a: [1, 2, 3] }, { $pullAll: { a: [1, 3] } }, { a: [2] }],
  ['an array position', { a: [1, 2] }, { $set: { 'a.1': 9 } }, { a: [1, 9] }],
  ['a position past the end', { a: [1] }, { $set: { 'a.3': 9 } }, { a: [1, null, null, 9] }],
];

const projections: ProjectionCase[] = [
  ['inclusion', { a: 1, b: 2, c: 3 }, { a: 1, c: 1 }, { _id: 0, a: 1, c: 3 }],
  ['exclusion', { a: 1, b: 2 }, { a: 0 }, { _id: 0, b: 2 }],
  ['without _id', { a: 1 }, { _id: 0, a: 1 }, { a: 1 }],
  ['only _id', { a: 1 }, { _id: 1 }, { _id: 0 }],
  ['dotted inclusion', { a: { b: 1, c: 2 } }, { 'a.b': 1 }, { _id: 0, a: { b: 1 } }],
  ['inclusion within arrays', { a: [{ b: 1, c: 2 }, { b: 3 }, 4] }, { 'a.b': 1 }, { _id: 0, a: [{ b: 1 }, { b: 3 }] }],
  ['dotted exclusion', { a: [{ b: 1, c: 2 }], d: 1 }, { 'a.b': 0 }, { _id: 0, a: [{ c: 2 }], d: 1 }],
];

const ID = new ObjectId();
const SALES = [
  { item: 'a', qty: 2, tags: ['x', 'y'] },
  { item: 'b', qty: 1, tags: ['x'] },
  { item: 'a', qty: 3, tags: [] },
];
const pipelines: PipelineCase[] = [
  ['$match and $project', SALES, [{ $match: { item: 'b' } }, { $project: { _id: 0, qty: 1 } }], [{ qty: 1 }]],
  [
    '$group with $sum',
    SALES,
    [{ $group: { _id: '$item', total: { $sum: '$qty' } } }, { $sort: { _id: 1 } }],
    [
      { _id: 'a', total: 5 },
      { _id: 'b', total: 1 },
    ],
  ],
  [
    '$group with $push and $max',
    SALES,
    [{ $sort: { qty: 1 } }, { $group: { _id: null, all: { $push: '$qty' }, max: { $max: '$qty' } } }],
    [{ _id: null, all: [1, 2, 3], max: 3 }],
  ],
  [
    '$unwind',
    SALES,
    [{ $unwind: '$tags' }, { $group: { _id: '$tags', items: { $addToSet: '$item' } } }],
    [
      { _id: 'x', items: ['a', 'b'] },
      { _id: 'y', items: ['a'] },
    ],
  ],
  ['$count', SALES, [{ $match: { item: 'a' } }, { $count: 'n' }], [{ n: 2 }]],
  [
    '$sort, $skip and $limit',
    SALES,
    [{ $sort: { qty: -1 } }, { $skip: 1 }, { $limit: 1 }, { $project: { qty: 1, _id: 0 } }],
    [{ qty: 2 }],
  ],
  ['$limit before $match', SALES, [{ $limit: 1 }, { $match: { item: 'b' } }], []],
  [
    '$project with fields of its own',
    [{ a: { b: 1 }, list: [{ k: 1 }, { k: 2 }], one: [{ k: 1 }], gone: 1 }],
    [
      {
        $project: { _id: 0, a: 1, b: '$a.b', ks: '$list.k', one: '$one.k', both: { b: '$a.b', c: 'x' }, gone: '$nope' },
      },
    ],
    [{ a: { b: 1 }, one: [1], b: 1, ks: [1, 2], both: { b: 1, c: 'x' } }],
  ],
  [
    '$group by ObjectId and date',
    [{ u: ID, at: new Date(2) }, { u: new ObjectId(ID.id), at: new Date(1) }, { u: new ObjectId() }],
    [{ $group: { _id: '$u', n: { $sum: 1 }, first: { $min: '$at' }, last: { $max: '$at' } } }, { $match: { _id: ID } }],
    [{ _id: ID, n: 2, first: new Date(1), last: new Date(2) }],
  ],
  [
    '$group with $avg, $first and $last',
    SALES,
    [{ $group: { _id: null, avg: { $avg: '$qty' }, first: { $first: '$item' }, last: { $last: '$qty' } } }],
    [{ _id: null, avg: 2, first: 'a', last: 3 }],
  ],
  [
    '$unwind that keeps empty arrays',
    SALES.slice(2),
    [{ $unwind: { path: '$tags', preserveNullAndEmptyArrays: true } }, { $count: 'n' }],
    [{ n: 1 }],
  ],
];

async function withDocs(docs: Doc[]): Promise<mongo.Collection<Doc & { _id: number }>> {
  const collection = (await openDatabase()).collection<Doc & { _id: number }>('c');
  if (docs.length) await collection.insertMany(docs.map((doc, _id) => ({ _id, ...doc })));
  return collection;
}

describe('filters', () => {
  it.each(filters)('%s', async (_, docs, filter, ids) => {
    const collection = await withDocs(docs);
    const found = await collection.find(filter).sort({ _id: 1 }).toArray();
    expect(found.map((doc) => doc._id)).toEqual(ids);
    expect(await collection.countDocuments(filter)).toBe(ids.length);
    expect((await collection.deleteMany(filter)).deletedCount).toBe(ids.length);
  });
});

describe('updates', () => {
  it.each(updates)('%s', async (_, doc, update, after) => {
    const collection = await withDocs([doc]);
    const raw = { promoteLongs: true };
    const done = await collection.updateOne({}, update);
    expect(done.matchedCount).toBe(1);
    expect(await collection.findOne({}, raw)).toEqual({ _id: 0, ...after });
    expect(done.modifiedCount).toBe(JSON.stringify(doc) === JSON.stringify(after) ? 0 : 1);
  });
});

describe('projections', () => {
  it.each(projections)('%s', async (_, doc, projection, seen) => {
    const collection = await withDocs([doc]);
    expect(await collection.findOne({}, { projection })).toEqual(seen);
  });
});

describe('pipelines', () => {
  it.each(pipelines)('%s', async (_, docs, pipeline, result) => {
    const collection = await withDocs(docs);
    expect(await collection.aggregate(pipeline).toArray()).toEqual(result);
  });
});

describe('sorting', () => {
  it('follows the BSON order, arrays by their least or greatest element', async () => {
    const values = [3, 'a', null, [1, 9], { b: 1 }, true, new Date(1), 2];
    const collection = await withDocs(values.map((v) => ({ v })));
    const ids = async (v: 1 | -1) => (await collection.find().sort({ v }).toArray()).map((doc) => doc._id);
    expect(await ids(1)).toEqual([2, 3, 7, 0, 1, 4, 5, 6]);
    expect(await ids(-1)).toEqual([6, 5, 4, 1, 3, 0, 7, 2]);
  });

  it('tells apart strings that are long and begin alike, and looks for longer ones than an index holds', async () => {
    const long = 'x'.repeat(700);
    const collection = await withDocs([{ v: `${long}b` }, { v: `${long}a` }, { v: `${long}c` }]);
    await collection.createIndex({ v: 1 });
    const sorted = await collection
      .find({ v: { $gte: `${long}a` } })
      .sort({ v: 1 })
      .toArray();
    expect(sorted.map((doc) => doc._id)).toEqual([1, 0, 2]);
    expect(await collection.countDocuments({ v: { $gt: `${long}a`, $lt: `${long}c` } })).toBe(1);
    const longer = 'x'.repeat(20_000);
    expect(await collection.countDocuments({ v: { $gt: longer } })).toBe(0);
    expect(await collection.countDocuments({ v: { $lt: longer } })).toBe(3);
    expect(await collection.countDocuments({ $or: [{ v: longer }, { _id: longer as never }] })).toBe(0);
    expect(await collection.findOne({ _id: longer as never })).toBeNull();
  });
});

describe('distinct', () => {
  it('gives each value once, of arrays each element', async () => {
    const collection = await withDocs([{ v: 2 }, { v: [1, 2] }, { v: 'x' }, {}]);
    expect(await collection.distinct('v')).toEqual([1, 2, 'x']);
    expect(await collection.distinct('v', { v: 1 })).toEqual([1, 2]);
  });
});
