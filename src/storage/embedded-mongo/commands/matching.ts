import { isDoc, isNil, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';
import { sortBy, sortFields } from '../query/sort.ts';
import type { Collection } from '../store/catalog.ts';
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
}

/** The filter of a command, which must be a document if it is there. */
export function readFilter(value: unknown): Doc {
  if (isNil(value)) return {};
  return isDoc(value) ? value : fail(14, 'the filter must be an object');
}

/** The rows that match a query. Wrong queries throw at once, not when the rows are read. */
export function find(store: Store, collection: Collection | undefined, query: Query): Iterable<Row> {
  const { filter, skip = 0 } = query;
  const test = Object.keys(filter).length ? compile(filter) : undefined;
  const fields = sortFields(query.sort);
  if (skip < 0) fail(51024, 'BSON field skip value must be >= 0');
  if (!collection) return [];
  const way = planOf(collection, query);
  const end = skip + (query.limit || Number.POSITIVE_INFINITY);
  return rows();

  function* rows(): Generator<Row> {
    const matching = filtered(scan(store, collection as Collection, way, way.sorted ? end : Number.POSITIVE_INFINITY));
    let seen = 0;
    for (const row of way.sorted ? matching : sortBy([...matching], fields, docOf)) {
      if (++seen > skip) yield row;
      if (seen >= end) return;
    }
  }

  function* filtered(all: Iterable<Row>): Generator<Row> {
    for (const row of all) if (!test || test(docOf(row))) yield row;
  }
}

/** The way in which a query is answered. */
export function planOf(collection: Collection, { filter, sort }: Query): Plan {
  return plan(collection, filter, sortFields(sort));
}
