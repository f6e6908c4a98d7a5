import { isPosition, valuesAt } from '../bson/paths.ts';
import { assign, hasOperators, isDoc, own, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';

/** An array or a document in which a field is written. */
export type Container = Doc | unknown[];
type ElementTest = (element: unknown) => boolean;

/** What the dynamic parts of update paths refer to. */
export interface Positions {
  /** `arrayFilters`, by identifier. */
  filters: ReadonlyMap<string, ElementTest>;
  /** The element that the filter matched in the array at a path, for `$`. */
  matched: (path: string) => number;
}

/** A gap in an array is filled with nulls; this bounds how long a gap a client may ask for, as MongoDB does. */
const LONGEST_GAP = 1_500_000;

/** Writes a value; an array grows as needed. */
export function place(container: Container, key: string | number, value: unknown): void {
  if (Array.isArray(container)) {
    if (Number(key) - container.length > LONGEST_GAP) fail(2, `can't backfill more than ${LONGEST_GAP} elements`);
    while (container.length < Number(key)) container.push(null);
  }
  assign(container, key, value);
}

/** Calls `visit` with every place in the document that a path names; with `create`, missing ones are made. */
export function eachPlace(
  doc: Doc,
  path: string,
  create: boolean,
  positions: Positions,
  visit: (container: Container, key: string | number) => void,
): void {
  const parts = path.split('.');
  const descend = (node: unknown, depth: number): void => {
    const part = parts[depth] ?? '';
    const enter = (container: Container, key: string | number): void => {
      if (depth === parts.length - 1) return visit(container, key);
      if (own(container, key) === undefined) {
        if (!create) return;
        place(container, key, {});
      }
      descend(own(container, key), depth + 1);
    };
    if (Array.isArray(node)) {
      for (const key of elementsNamed(node, parts, depth, create, positions)) enter(node, key);
      return;
    }
    if (depth > 0 && part.startsWith('$')) {
      if (part === '$') fail(2, 'The positional operator did not find the match needed from the query.');
      fail(2, `Cannot apply array updates to non-array element ${parts[depth - 1]}`);
    }
    if (isDoc(node)) enter(node, part);
    else if (create) cannotCreate(parts, depth);
  };
  descend(doc, 0);
}

function cannotCreate(parts: string[], depth: number): never {
  return fail(28, `Cannot create field '${parts[depth]}' in element {${parts[depth - 1] ?? ''}}`);
}

function elementsNamed(
  array: unknown[],
  parts: string[],
  depth: number,
  create: boolean,
  positions: Positions,
): number[] {
  const part = parts[depth] ?? '';
  if (part === '$') return [positions.matched(parts.slice(0, depth).join('.'))];
  if (part === '$[]') return [...array.keys()];
  const identifier = /^\$\[(.+)\]$/.exec(part)?.[1];
  if (identifier !== undefined) {
    const test = positions.filters.get(identifier);
    if (!test) return fail(2, `No array filter found for identifier '${identifier}' in path '${parts.join('.')}'`);
    return [...array.keys()].filter((i) => test(array[i]));
  }
  if (isPosition(part)) return [Number(part)];
  return create ? cannotCreate(parts, depth) : [];
}

/** Compiles `arrayFilters`; each must be named by a path of the update. */
export function readArrayFilters(filters: unknown, paths: string[]): Map<string, ElementTest> {
  const tests = new Map<string, ElementTest>();
  for (const filter of Array.isArray(filters) ? (filters as unknown[]) : []) {
    const names = new Set<string>();
    const test = compile(isDoc(filter) ? unprefixed(filter, names) : fail(14, 'arrayFilters must be objects'));
    const [name] = names;
    if (name === undefined || names.size > 1) {
      return fail(9, 'Error parsing array filter :: caused by :: Expected a single top-level field name');
    }
    if (tests.has(name)) fail(9, `Found multiple array filters with the same top-level field name ${name}`);
    if (!paths.some((path) => path.includes(`$[${name}]`)))
      fail(9, `The array filter for identifier '${name}' was not used in the update`);
    tests.set(name, (element) => test({ v: element }));
  }
  return tests;
}

/** Renames the identifier that starts each path of an array filter to `v`. */
function unprefixed(filter: Doc, names: Set<string>): Doc {
  return Object.fromEntries(
    Object.entries(filter).map(([key, value]) => {
      if (key.startsWith('$'))
        return [key, Array.isArray(value) ? value.map((item: Doc) => unprefixed(item, names)) : value];
      const [name = '', ...rest] = key.split('.');
      names.add(name);
      return [['v', ...rest].join('.'), value];
    }),
  );
}

/** The index of the array element that the filter matched. */
export function matchedElement(doc: Doc, path: string, filter: Doc): number {
  const missing = (): never => fail(2, 'The positional operator did not find the match needed from the query.');
  const tests = conditionsOn(filter, path).map(([key, condition]) => compile({ [key]: condition }));
  const last = tests.at(-1);
  const array = valuesAt(doc, path.split('.')).values.find(Array.isArray);
  if (!last || !array) return missing();
  const alone = array.map((element: unknown) => wrap(path, [element]));
  const all = alone.findIndex((one) => tests.every((test) => test(one)));
  const found = all < 0 ? alone.findIndex((one) => last(one)) : all;
  return found < 0 ? missing() : found;
}

function conditionsOn(filter: Doc, path: string): [string, unknown][] {
  return Object.entries(filter).flatMap(([key, value]): [string, unknown][] => {
    if (key === '$and' && Array.isArray(value)) return value.flatMap((item: Doc) => conditionsOn(item, path));
    return key === path || key.startsWith(`${path}.`) ? [[key, value]] : [];
  });
}

function wrap(path: string, value: unknown): Doc {
  const doc: Doc = {};
  setPath(doc, path, value);
  return doc;
}

const STATIC: Positions = {
  filters: new Map(),
  matched: () => fail(2, 'The positional operator did not find the match needed from the query.'),
};

/** Sets a path in a document, making what is missing on the way. */
export function setPath(doc: Doc, path: string, value: unknown): void {
  eachPlace(doc, path, true, STATIC, (container, key) => place(container, key, value));
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
    const values = '$eq' in condition ? [condition['$eq']] : (condition['$in'] ?? condition['$all']);
    if (Array.isArray(values) && values.length === 1 && !hasOperators(values[0])) setPath(doc, path, values[0]);
  }
  return doc;
}
