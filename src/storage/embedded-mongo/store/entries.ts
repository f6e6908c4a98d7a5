import { encode, keyParts } from '../bson/keys.ts';
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
  let combinations: unknown[][] = [[]];
  let arrays = 0;
  for (const { parts } of fields) {
    const { values, multi } = keysAt(doc, parts);
    if (multi && ++arrays > 1) {
      fail(171, `cannot index parallel arrays [${fields.map(({ path }) => path).join('] [')}]`);
    }
    if (values.length === 1) for (const combination of combinations) combination.push(values[0]);
    else combinations = combinations.flatMap((head) => values.map((value) => [...head, value]));
  }
  if (spec.sparse && combinations.flat().every((value) => value === undefined)) return { entries: [], multi: false };
  const entries = combinations.map((values) => {
    const parts: Uint8Array[] = [prefix];
    values.forEach((value, i) => parts.push(...(fields[i]?.descending ? [encode(value, true)] : keyParts(value))));
    return { key: Buffer.concat(parts), values };
  });
  return { entries, multi: arrays > 0 };
}

/** The entries of one list, each once, that another lacks. */
export function without(entries: Entry[], others: Entry[]): Entry[] {
  if (entries.length === 0 || (entries.length === 1 && others.length === 0)) return entries;
  const seen = new Set(others.map(({ key }) => key.toString('latin1')));
  return entries.filter(({ key }) => isNew(seen, key));
}

/** Adds a key to those that were seen; false if it was there already. */
export function isNew(seen: Set<string>, key: Buffer): boolean {
  const { size } = seen;
  return seen.add(key.toString('latin1')).size > size;
}
