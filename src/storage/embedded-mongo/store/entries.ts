import { encode } from '../bson/keys.ts';
import { keysAt } from '../bson/paths.ts';
import type { Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import type { Index } from './catalog.ts';

/** One entry that a document has in an index. */
export interface Entry {
  key: Buffer;
  /** The values that make the key, for messages. */
  values: unknown[];
}

/** The entries that a document must have in an index, and whether an array makes them several. */
export function entriesOf({ covers, fields, prefix, spec }: Index, doc: Doc): { entries: Entry[]; multi: boolean } {
  if (covers && !covers(doc)) return { entries: [], multi: false };
  const found = fields.map(({ parts }) => keysAt(doc, parts));
  const isPresent = found.some(({ values }) => values.some((value) => value !== undefined));
  if (spec.sparse && !isPresent) return { entries: [], multi: false };
  const arrays = found.filter(({ multi }) => multi).length;
  if (arrays > 1) fail(171, `cannot index parallel arrays [${fields.map(({ path }) => path).join('] [')}]`);
  let entries: Entry[] = [{ key: prefix, values: [] }];
  for (const [i, { descending }] of fields.entries()) {
    entries = entries.flatMap(({ key, values }) =>
      (found[i]?.values ?? []).map((value) => {
        return { key: Buffer.concat([key, encode(value, descending)]), values: [...values, value] };
      }),
    );
  }
  return { entries, multi: arrays > 0 };
}

/** The entries of one list, each once, that another lacks. */
export function without(entries: Entry[], others: Entry[]): Entry[] {
  const seen = new Set(others.map(({ key }) => key.toString('latin1')));
  return entries.filter(({ key }) => isNew(seen, key));
}

/** Adds a key to those that were seen; false if it was there already. */
export function isNew(seen: Set<string>, key: Buffer): boolean {
  const { size } = seen;
  return seen.add(key.toString('latin1')).size > size;
}
