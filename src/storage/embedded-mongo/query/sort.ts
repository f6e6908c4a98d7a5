import { encode } from '../bson/keys.ts';
import { keysAt } from '../bson/paths.ts';
import { isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';

/** One field of a sort order or of an index. */
export interface SortField {
  path: string;
  parts: readonly string[];
  descending: boolean;
}

/** Reads a sort document. */
export function sortFields(sort: unknown): SortField[] {
  if (!isDoc(sort)) return [];
  return Object.entries(sort).map(([path, direction]) => {
    if (path.startsWith('$')) refuse(`a sort by ${path}`);
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
  const keys = fields.map(({ parts, descending }) =>
    keysAt(doc, parts)
      .values.map((value) => encode(value, descending))
      .reduce((least, key) => (Buffer.compare(key, least) < 0 ? key : least)),
  );
  return Buffer.concat(keys);
}
