import { same } from '../bson/keys.ts';
import { isDoc, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';
import { sortBy, sortFields } from '../query/sort.ts';
import type { Collection, Index } from '../store/catalog.ts';
import { plan, type Plan } from '../store/planner.ts';
import { docOf, scan, type Row } from '../store/scan.ts';
import type { Store } from '../store/store.ts';

/** Which documents are meant, in which order. */
export interface Query {
  filter: Doc;
  sort?: unknown;
  skip?: number | undefined;
  /** 0 for all. */
  limit?: number | undefined;
  hint?: unknown;
  vars?: Doc | undefined;
}

/** The filter of a command, which must be a document if it is there. */
export function readFilter(value: unknown): Doc {
  if (value === undefined || value === null) return {};
  return isDoc(value) ? value : fail(14, 'the filter must be an object');
}

/** The rows that match a query. Wrong queries throw at once, not when the rows are read. */
export function find(store: Store, collection: Collection | undefined, query: Query): Iterable<Row> {
  const test = Object.keys(query.filter).length ? compile(query.filter, query.vars) : undefined;
  const fields = sortFields(query.sort);
  if (!collection) return [];
  const way = planOf(collection, query);
  const skip = query.skip ?? 0;
  const limit = query.limit || Number.POSITIVE_INFINITY;
  if (skip < 0) fail(51024, 'BSON field skip value must be >= 0');
  const wanted = way.sorted ? skip + limit : Number.POSITIVE_INFINITY;
  const rows = filtered(scan(store, collection, way, wanted), test);
  return slice(way.sorted ? rows : ordered(rows, fields), skip, limit);
}

/** The way in which a query is answered. */
export function planOf(collection: Collection, { filter, sort, hint }: Query): Plan {
  return plan(collection, filter, sortFields(sort), hinted(collection, hint));
}

function hinted(collection: Collection, hint: unknown): Index | undefined {
  if (hint === undefined || hint === '_id_' || (isDoc(hint) && (same(hint, { _id: 1 }) || '$natural' in hint)))
    return undefined;
  const index = collection.indexes.find(({ spec }) => spec.name === hint || (isDoc(hint) && same(spec.key, hint)));
  return (
    index ?? fail(2, 'planner returned error :: caused by :: hint provided does not correspond to an existing index')
  );
}

function* filtered(rows: Iterable<Row>, test: ((doc: Doc) => boolean) | undefined): Generator<Row> {
  for (const row of rows) if (!test || test(docOf(row))) yield row;
}

function* ordered(rows: Iterable<Row>, fields: ReturnType<typeof sortFields>): Generator<Row> {
  yield* sortBy([...rows], fields, docOf);
}

function* slice(rows: Iterable<Row>, skip: number, limit: number): Generator<Row> {
  let seen = 0;
  for (const row of rows) {
    if (seen++ < skip) continue;
    yield row;
    if (seen >= skip + limit) return;
  }
}
