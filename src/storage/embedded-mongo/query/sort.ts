import { encode, encodeMissing, invert } from '../bson/keys.ts';
import { valuesAt } from '../bson/paths.ts';
import { isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';

/** One field of a sort order. */
export interface SortField {
  path: string;
  parts: readonly string[];
  descending: boolean;
}

/** Reads a sort document. `$natural` is the order in which documents are kept, and so is dropped. */
export function sortFields(sort: unknown): SortField[] {
  if (!isDoc(sort)) return [];
  return Object.entries(sort)
    .filter(([path]) => path !== '$natural')
    .map(([path, direction]) => {
      if (isDoc(direction)) refuse('a sort by $meta');
      if (Math.abs(Number(direction)) !== 1) fail(15975, '$sort key ordering must be 1 (for ascending) or -1');
      return { path, parts: path.split('.'), descending: Number(direction) < 0 };
    });
}

/** Sorts items by their documents; an array sorts by its least element, or descending by its greatest. */
export function sortBy<T>(items: readonly T[], fields: readonly SortField[], docOf: (item: T) => Doc): T[] {
  return items
    .map((item) => ({ item, key: sortKey(docOf(item), fields) }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ item }) => item);
}

function sortKey(doc: Doc, fields: readonly SortField[]): Buffer {
  return Buffer.concat(
    fields.map(({ parts, descending }) => {
      const { values } = valuesAt(doc, parts, true);
      const keys = (values.length ? values : [undefined]).flatMap((value) => {
        if (!Array.isArray(value)) return [encode(value)];
        return value.length ? value.map(encode) : [encodeMissing()];
      });
      const best = keys.reduce((a, b) => (Buffer.compare(a, b) < 0 !== descending ? a : b));
      return descending ? invert(best) : best;
    }),
  );
}
