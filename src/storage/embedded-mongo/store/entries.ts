import { encodeMissing, encodeShort, KeyWriter, LONGEST_STRING } from '../bson/keys.ts';
import { MANY, valueAt, valuesAt } from '../bson/paths.ts';
import { type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import type { Index } from './catalog.ts';

/** One entry that a document has in an index. */
export interface Entry {
  key: Buffer;
  /** The values that make the key, for messages. */
  values: unknown[];
}

/** The entries of a document in one index. */
export interface Entries {
  list: Entry[];
  multi: boolean;
  cut: boolean;
}

const NONE: Entries = { list: [], multi: false, cut: false };
const writer = new KeyWriter();

/** The entries that a document must have in an index. */
export function entriesOf(index: Index, doc: Doc): Entries {
  if (index.covers && !index.covers(doc)) return NONE;
  const values: unknown[] = [];
  let present = false;
  writer.start(true, index.prefix);
  for (const { parts, descending } of index.fields) {
    const value = valueAt(doc, parts);
    if (value === MANY) return multikeyEntries(index, doc);
    present ||= value !== undefined;
    values.push(value);
    writer.value(value, descending);
  }
  if (index.spec.sparse && !present) return NONE;
  return { list: [{ key: writer.take(), values }], multi: false, cut: writer.cut };
}

interface Part {
  key: Buffer;
  value: unknown;
}

function multikeyEntries(index: Index, doc: Doc): Entries {
  let rows: { keys: Buffer[]; values: unknown[] }[] = [{ keys: [index.prefix], values: [] }];
  let arrays = 0;
  let present = false;
  let cut = false;
  for (const { parts, descending } of index.fields) {
    const { values, through } = valuesAt(doc, parts, true);
    const found: Part[] = [];
    let many = through && values.length > 0;
    const add = (value: unknown) => {
      cut ||= typeof value === 'string' && value.length * 3 > LONGEST_STRING;
      found.push({ key: encodeShort(value, descending), value });
    };
    for (const value of values.length ? values : [undefined]) {
      present ||= value !== undefined;
      if (!Array.isArray(value)) {
        add(value);
        continue;
      }
      many = true;
      if (value.length) value.forEach(add);
      else found.push({ key: encodeMissing(descending), value: undefined });
    }
    if (many && ++arrays > 1) {
      fail(171, `cannot index parallel arrays [${index.fields.map((field) => field.path).join('] [')}]`);
    }
    rows = rows.flatMap((row) =>
      found.map(({ key, value }) => ({ keys: [...row.keys, key], values: [...row.values, value] })),
    );
  }
  if (index.spec.sparse && !present) return NONE;
  const unique = new Map<string, Entry>();
  for (const { keys, values } of rows) {
    const key = Buffer.concat(keys);
    unique.set(key.toString('latin1'), { key, values });
  }
  return { list: [...unique.values()], multi: arrays > 0, cut };
}
