import type { Database } from 'lmdb';
import { fromBson, type Doc } from '../bson/values.ts';
import type { Collection } from './catalog.ts';
import { isNew } from './entries.ts';
import type { Plan } from './planner.ts';
import { LAST, type Store } from './store.ts';

/** A document on the way through a query; read only when something asks for its fields. */
export interface Row {
  idKey: Buffer;
  bytes: Buffer;
  doc?: Doc;
}

/** How many rows are read at once, at most: no LMDB cursor stays open between them. */
const PAGE = 256;

/** A row's document. */
export function docOf(row: Row): Doc {
  return (row.doc ??= fromBson(row.bytes));
}

/** The rows of a plan, in its order. `wanted` is how many the caller expects to take. */
export function* scan(store: Store, collection: Collection, plan: Plan, wanted: number): Generator<Row> {
  const { ids, index, ranges, reverse } = plan;
  const { prefix } = collection;
  if (ids) yield* fetch(store, collection, ids);
  else if (index) {
    const seen = index.multi || ranges.length > 1 ? new Set<string>() : undefined;
    for (const range of ranges) {
      for (const page of pages(store.entries, range, reverse, wanted)) {
        const idKeys = page.map(({ value }) => value);
        yield* fetch(store, collection, seen ? idKeys.filter((idKey) => isNew(seen, idKey)) : idKeys);
      }
    }
  } else {
    for (const page of pages(store.documents, [prefix, Buffer.concat([prefix, LAST])], false, wanted)) {
      for (const { key, value } of page) yield { idKey: key.subarray(prefix.length), bytes: value };
    }
  }
}

function* fetch(store: Store, collection: Collection, idKeys: Buffer[]): Generator<Row> {
  for (const idKey of idKeys) {
    const bytes = store.documents.get(store.keyOf(collection, idKey));
    if (bytes) yield { idKey, bytes };
  }
}

function* pages(database: Database<Buffer, Buffer>, [low, high]: [Buffer, Buffer], reverse: boolean, wanted: number) {
  const end = reverse ? low : high;
  let start = reverse ? high : low;
  let exclusiveStart = false;
  for (let limit = Math.min(wanted, PAGE); ; limit = PAGE) {
    const rows = [...database.getRange({ start, end, reverse, limit, exclusiveStart, inclusiveEnd: reverse })];
    yield rows;
    const last = rows.at(-1);
    if (!last || rows.length < limit) return;
    start = last.key;
    exclusiveStart = true;
  }
}
