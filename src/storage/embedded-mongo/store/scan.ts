import { fromBson, type Doc } from '../bson/values.ts';
import type { Collection } from './catalog.ts';
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
const ZERO = Buffer.from([0]);

/** A row's document. */
export function docOf(row: Row): Doc {
  return (row.doc ??= fromBson(row.bytes));
}

/** The rows of a plan, in its order. `wanted` is how many the caller expects to take. */
export function* scan(store: Store, collection: Collection, plan: Plan, wanted: number): Generator<Row> {
  if (plan.ids) yield* fetch(store, collection, plan.ids);
  else if (plan.index) yield* walk(store, collection, plan, wanted);
  else yield* everything(store, collection, wanted);
}

function* fetch(store: Store, collection: Collection, idKeys: Iterable<Buffer>): Generator<Row> {
  for (const idKey of idKeys) {
    const bytes = store.documents.get(store.keyOf(collection, idKey));
    if (bytes) yield { idKey, bytes };
  }
}

function* everything(store: Store, { prefix }: Collection, wanted: number): Generator<Row> {
  const end = Buffer.concat([prefix, LAST]);
  let start = prefix;
  for (let limit = Math.min(wanted, PAGE); ; limit = PAGE) {
    const rows = [...store.documents.getRange({ start, end, limit })];
    for (const { key, value } of rows) yield { idKey: key.subarray(prefix.length), bytes: value };
    const last = rows.at(-1);
    if (!last || rows.length < limit) return;
    start = Buffer.concat([last.key, ZERO]);
  }
}

function* walk(store: Store, collection: Collection, plan: Plan, wanted: number): Generator<Row> {
  const { index, ranges, reverse } = plan;
  const seen = index?.multi || ranges.length > 1 ? new Set<string>() : undefined;
  for (const [low, high] of ranges) {
    let [start, end] = reverse ? [high, low] : [low, high];
    let exclusiveStart = false;
    for (let limit = Math.min(wanted, PAGE); ; limit = PAGE) {
      const options = { start, end, reverse, limit, exclusiveStart, inclusiveEnd: reverse };
      const rows = [...store.entries.getRange(options)];
      const idKeys = rows.map(({ value }) => value);
      yield* fetch(store, collection, seen ? idKeys.filter((idKey) => isNew(seen, idKey)) : idKeys);
      const last = rows.at(-1);
      if (!last || rows.length < limit) break;
      start = last.key;
      exclusiveStart = true;
    }
  }
}

function isNew(seen: Set<string>, idKey: Buffer): boolean {
  const { size } = seen;
  return seen.add(idKey.toString('latin1')).size > size;
}
