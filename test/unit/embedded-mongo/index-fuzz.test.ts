import { describe, expect, it } from 'vitest';
import { openDatabase, seeded, temporaryDirectory, wrongEntries } from './support.ts';

/** Chooses a number, and knows which values documents may hold. */
type Pick = ((below: number) => number) & { scalars: readonly unknown[] };
const choose = <T>(pick: Pick, list: readonly T[]): T => list[pick(list.length)] as T;
const FIELDS = ['a', 'b', 'c', 'd.e', 'd.f', 'u'] as const;
const LONG = 'x'.repeat(520);
const everyScalar = [
  0,
  1,
  2,
  3,
  1.5,
  -1,
  'a',
  'b',
  '',
  null,
  true,
  new Date(0),
  new Date(1000),
  `${LONG}a`,
  `${LONG}b`,
];

function someValue(pick: Pick): unknown {
  const kind = pick(10);
  if (kind > 5) return [pick(30), pick(30)];
  if (kind === 0) return [];
  if (kind === 1) return Array.from({ length: 1 + pick(3) }, () => choose(pick, pick.scalars));
  if (kind === 2) return { e: choose(pick, pick.scalars) };
  return choose(pick, pick.scalars);
}

function someDocument(pick: Pick, multikey: boolean): Record<string, unknown> {
  const doc: Record<string, unknown> = {};
  for (const field of ['a', 'b', 'c']) {
    if (pick(5) > 0)
      doc[field] =
        multikey && field !== 'b' && pick(3) === 0 && !Array.isArray(doc['a'])
          ? someValue(pick)
          : choose(pick, pick.scalars);
  }
  if (pick(3) > 0) {
    const inner = () => ({ e: choose(pick, pick.scalars), ...(pick(2) && { f: pick(4) }) });
    doc['d'] = multikey && pick(4) === 0 ? [inner(), inner()] : inner();
  }
  return doc;
}

function someCondition(pick: Pick): unknown {
  const value = () => choose(pick, pick.scalars);
  const low = pick(30);
  switch (pick(11)) {
    case 9:
      return { $gt: low, $lt: low + 8 };
    case 10:
      return { $gte: low, $lte: low + 12 };
    case 0:
      return { $in: Array.from({ length: pick(4) }, value) };
    case 1:
      return { [choose(pick, ['$gt', '$gte', '$lt', '$lte'])]: value() };
    case 2:
      return { $gte: value(), $lt: value() };
    case 3:
      return { $exists: pick(2) === 1 };
    case 4:
      return { $ne: value() };
    case 5:
      return { $elemMatch: { $gt: value() } };
    case 6:
      return { $type: choose(pick, ['string', 'number', 'null', 'date']) };
    default:
      return value();
  }
}

function someFilter(pick: Pick, depth = 0): Record<string, unknown> {
  const filter: Record<string, unknown> = {};
  for (let i = pick(3); i >= 0; i--) filter[choose(pick, FIELDS)] = someCondition(pick);
  if (depth < 2 && pick(5) === 0)
    filter[choose(pick, ['$and', '$or'])] = [someFilter(pick, depth + 1), someFilter(pick, depth + 1)];
  return filter;
}

function someSort(pick: Pick): Record<string, 1 | -1> {
  const sort: Record<string, 1 | -1> = {};
  for (let i = pick(3); i > 0; i--) sort[choose(pick, FIELDS)] = pick(2) ? 1 : -1;
  // Ties must not depend on the way: _id decides, unless there are none.
  return sort['u'] ? sort : { ...sort, _id: pick(2) ? 1 : -1 };
}

/** A range of one field in the order of that field: what an index is most often walked for. */
function focused(pick: Pick): { filter: Record<string, unknown>; sort: Record<string, 1 | -1> } {
  const field = choose(pick, FIELDS);
  const bound = () => (pick(2) ? pick(30) : choose(pick, [`${LONG}a`, `${LONG}b`, 'a', new Date(0)]));
  const range = pick(2) ? { [choose(pick, ['$gt', '$gte', '$lt', '$lte'])]: bound() } : { $gte: bound(), $lt: bound() };
  const way = pick(2) ? 1 : -1;
  return { filter: { [field]: range }, sort: field === 'u' ? { u: way } : { [field]: way, _id: pick(2) ? 1 : -1 } };
}

const INDEXES = [
  { key: { a: 1, b: -1 } },
  { key: { u: 1 }, unique: true },
  { key: { a: 1, b: -1, _id: 1 } },
  { key: { 'd.e': 1, _id: 1 } },
  { key: { b: 1, c: 1, _id: -1 } },
  { key: { a: 1, u: -1 }, unique: true },
  { key: { b: 1, 'd.e': 1 } },
  { key: { c: -1 } },
  { key: { c: -1, _id: -1 }, name: 'c_descending' },
  { key: { 'd.e': 1, c: 1 }, sparse: true },
  { key: { 'd.f': -1, b: 1 } },
  { key: { b: 1, c: 1 }, partialFilterExpression: { c: { $exists: true } }, name: 'b_c_partial' },
  { key: { a: -1, c: 1 }, partialFilterExpression: { a: { $type: 'number' } }, name: 'a_c_partial' },
  { key: { c: 1, _id: 1 }, unique: true },
  { key: { b: -1, _id: -1 }, unique: true },
] as const;

describe('index against scan', () => {
  it.each([
    [1, true, true],
    [2, true, false],
    [3, true, false],
    [4, false, true],
    [5, false, false],
  ])('finds the same in the same order (seed %i, arrays %s, long strings %s)', async (seed, multikey, long) => {
    // Indexes of arrays or of cut strings serve no sorts, so each is also left out.
    const scalars = everyScalar.filter((value) => long || String(value).length < 500);
    const pick: Pick = Object.assign(seeded(seed), { scalars });
    const path = temporaryDirectory();
    const db = await openDatabase({ path });
    const [indexed, plain] = [db.collection<{ _id: number }>('indexed'), db.collection<{ _id: number }>('plain')];
    await indexed.createIndexes(INDEXES.map((index) => ({ ...index })));
    const documents = Array.from({ length: 250 }, (_, _id) => ({
      _id,
      u: (_id * 37) % 250,
      ...someDocument(pick, multikey),
    }));
    // Some documents hold arrays in two fields of one index, which is refused: they must leave no trace.
    await indexed.insertMany(documents, { ordered: false }).catch(() => undefined);
    await plain.insertMany(await indexed.find().toArray());
    for (let i = 0; i < 60; i++) {
      const filter = { _id: pick(250) };
      const update = { $set: someDocument(pick, multikey) };
      const done = await indexed.updateOne(filter, update).catch(() => undefined);
      if (done) await plain.updateOne(filter, update);
      if (i % 5 === 0) for (const collection of [indexed, plain]) await collection.deleteOne({ _id: i });
    }
    for (let i = 0; i < 500; i++) {
      const { filter, sort } = pick(3) ? { filter: someFilter(pick), sort: someSort(pick) } : focused(pick);
      const options = { sort, skip: pick(4) === 0 ? pick(5) : 0, limit: pick(3) === 0 ? 1 + pick(20) : 0 };
      const [found, expected] = await Promise.all([
        indexed.find(filter, options).toArray(),
        plain.find(filter, options).toArray(),
      ]);
      const result = (docs: { _id: number }[]) => ({ filter, options, ids: docs.map(({ _id }) => _id) });
      expect(result(found)).toEqual(result(expected));
    }
    expect(await wrongEntries(path, 'test.indexed')).toEqual([]);
  });
});
