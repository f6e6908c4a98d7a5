import { isPosition, valuesAt } from '../bson/paths.ts';
import { assign, hasOperators, isDoc, own, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';

/** An array or a document in which a field is written. */
export type Container = Doc | unknown[];
type ElementTest = (element: unknown) => boolean;

/** What the parts `$` and `$[name]` of update paths refer to. */
export interface Positions {
  filters: ReadonlyMap<string, ElementTest>;
  /** The element that the filter matched in the array at a path. */
  matched: (path: string) => number;
}

/** A gap in an array is filled with nulls; this bounds how long a gap a client may ask for, as MongoDB does. */
const LONGEST_GAP = 1_500_000;

/** The value at a place. */
export const read = (container: Container, key: string): unknown => own(container, key);

/** Writes a value; undefined removes the field, or leaves null in an array. */
export function write(container: Container, key: string, value: unknown): void {
  if (!Array.isArray(container)) {
    if (value === undefined) delete container[key];
    else assign(container, key, value);
    return;
  }
  const gap = Number(key) - container.length;
  if (gap > LONGEST_GAP) fail(2, `can't backfill more than ${LONGEST_GAP} elements`);
  if (value === undefined && gap >= 0) return;
  while (container.length < Number(key)) container.push(null);
  container[Number(key)] = value ?? null;
}

/** Calls `visit` with every place in the document that a path names; with `create`, missing ones are made. */
export function eachPlace(
  doc: Doc,
  path: string,
  create: boolean,
  positions: Positions,
  visit: (container: Container, key: string) => void,
): void {
  const parts = path.split('.');
  const descend = (node: unknown, depth: number): void => {
    for (const key of keysIn(node, parts, depth, create, positions)) {
      const container = node as Container;
      if (depth === parts.length - 1) {
        visit(container, key);
        continue;
      }
      if (create && read(container, key) === undefined) write(container, key, {});
      descend(read(container, key), depth + 1);
    }
  };
  descend(doc, 0);
}

/** The keys that a part of a path names in what lies there. */
function keysIn(node: unknown, parts: string[], depth: number, create: boolean, positions: Positions): string[] {
  const part = parts[depth] ?? '';
  if (Array.isArray(node)) {
    const indexes = [...node.keys()].map(String);
    const name = /^\$\[(.*)\]$/.exec(part)?.[1];
    if (part === '$') return [String(positions.matched(parts.slice(0, depth).join('.')))];
    if (name === '') return indexes;
    if (name !== undefined) {
      const test = positions.filters.get(name) ?? fail(2, `No array filter found for identifier '${name}'`);
      return indexes.filter((index) => test(node[Number(index)]));
    }
    if (isPosition(part)) return [part];
  } else if (part.startsWith('$')) {
    return fail(2, `Cannot apply array updates to non-array element ${parts[depth - 1]}`);
  } else if (isDoc(node)) return [part];
  return create ? fail(28, `Cannot create field '${part}' in element {${parts[depth - 1]}}`) : [];
}

/** Compiles `arrayFilters`; each must be named by a path of the update. */
export function arrayFilters(filters: unknown, paths: string[]): Map<string, ElementTest> {
  const tests = new Map<string, ElementTest>();
  for (const filter of Array.isArray(filters) ? (filters as unknown[]) : []) {
    if (!isDoc(filter)) return fail(14, 'arrayFilters must be objects');
    const names = new Set(Object.keys(filter).map((key) => key.split('.', 1)[0] ?? ''));
    const [name = ''] = names;
    if (names.size !== 1 || name.startsWith('$') || tests.has(name)) {
      fail(9, 'Error parsing array filter :: caused by :: Expected a single top-level field name of its own');
    }
    if (!paths.some((path) => path.includes(`$[${name}]`))) {
      fail(9, `The array filter for identifier '${name}' was not used in the update`);
    }
    const test = compile(filter);
    tests.set(name, (element) => test({ [name]: element }));
  }
  return tests;
}

/** The index of the first array element that meets what the filter demands of the array or of fields in it. */
export function matchedElement(doc: Doc, path: string, filter: Doc): number {
  const tests = conditionsOn(filter, path).map(([key, condition]) => compile({ [key]: condition }));
  const array = valuesAt(doc, path.split('.')).find(Array.isArray) ?? [];
  const found = array.findIndex((element: unknown) => {
    const alone: Doc = {};
    setPath(alone, path, [element]);
    return tests.every((test) => test(alone));
  });
  if (!tests.length || found < 0) fail(2, 'The positional operator did not find the match needed from the query.');
  return found;
}

function conditionsOn(filter: Doc, path: string): [string, unknown][] {
  return Object.entries(filter).flatMap(([key, value]): [string, unknown][] => {
    if (key === '$and' && Array.isArray(value)) return value.flatMap((item: Doc) => conditionsOn(item, path));
    return key === path || key.startsWith(`${path}.`) ? [[key, value]] : [];
  });
}

/** Sets a path that has no `$` in a document, making what is missing on the way. */
function setPath(doc: Doc, path: string, value: unknown): void {
  const positions = { filters: new Map<string, ElementTest>(), matched: () => 0 };
  eachPlace(doc, path, true, positions, (container, key) => write(container, key, value));
}

/** The document an upsert starts from: what the filter says that fields equal. */
export function seed(filter: Doc, doc: Doc = {}): Doc {
  for (const [path, condition] of Object.entries(filter)) {
    if (path === '$and' && Array.isArray(condition)) for (const item of condition) seed(item as Doc, doc);
    if (path.startsWith('$') || condition instanceof RegExp) continue;
    if (!hasOperators(condition)) {
      setPath(doc, path, condition);
      continue;
    }
    const values = '$eq' in condition ? [condition['$eq']] : condition['$in'];
    if (Array.isArray(values) && values.length === 1) setPath(doc, path, values[0]);
  }
  return doc;
}
