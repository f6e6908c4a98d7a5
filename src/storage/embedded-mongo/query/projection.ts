import { valuesAt } from '../bson/paths.ts';
import { assign, copyOf, hasOperators, isDoc, own, tagOf, TAG, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { evaluate } from './expressions.ts';
import { compile } from './filter.ts';
import { elementTest } from './leaves.ts';

/** Paths to keep or to leave out: `true` ends a path. */
type Tree = Map<string, Tree | true>;
/** What a projection does beyond keeping and leaving out: changes `out`, the document so far. */
type Step = (out: Doc, doc: Doc) => Doc;

/** Reads a projection of `find`, `findAndModify` or `$project`; null if it changes nothing. */
export function projector(spec: unknown, filter: Doc, vars?: Doc): ((doc: Doc) => Doc) | null {
  if (!isDoc(spec) || Object.keys(spec).length === 0) return null;
  const reader = new ProjectionReader(filter, vars);
  for (const [path, value] of Object.entries(spec)) reader.read(path, value);
  const { tree, steps, id } = reader;
  const include = reader.include ?? (id === true && steps.length === 0);
  if (include ? id !== false : id === false) tree.set('_id', true);
  return (doc) => {
    const start = include ? keep(doc, tree) : tree.size ? leave(doc, tree) : copyOf(doc);
    return steps.reduce((out, step) => step(out, doc), start);
  };
}

class ProjectionReader {
  readonly tree: Tree = new Map();
  readonly steps: Step[] = [];
  include: boolean | undefined;
  id: boolean | undefined;
  readonly #filter: Doc;
  readonly #vars: Doc | undefined;

  constructor(filter: Doc, vars?: Doc) {
    this.#filter = filter;
    this.#vars = vars;
  }

  read(path: string, value: unknown): void {
    if (path.endsWith('.$')) return this.#positional(path.slice(0, -2));
    if (path.startsWith('$')) fail(16410, `FieldPath field names may not start with '$'. Consider using $getField`);
    if (hasOperators(value)) return this.#operator(path, value);
    if (isDoc(value)) {
      if (Object.keys(value).length === 0) fail(51270, 'An empty sub-projection is not a valid value');
      for (const [key, inner] of Object.entries(value)) this.read(`${path}.${key}`, inner);
    } else if (typeof value === 'boolean' || tagOf(value) === TAG.number) {
      const wanted = Boolean(Number(value));
      if (path === '_id') this.id = wanted;
      else this.#add(path, wanted);
    } else this.#computed(path, value);
  }

  #mode(include: boolean, path: string): void {
    this.include ??= include;
    if (this.include === include) return;
    const [is, mode] = include ? ['inclusion', 'exclusion'] : ['exclusion', 'inclusion'];
    fail(include ? 31253 : 31254, `Cannot do ${is} on field ${path} in ${mode} projection`);
  }

  #add(path: string, include: boolean): void {
    this.#mode(include, path);
    const parts = path.split('.');
    const last = parts.pop() ?? '';
    let tree = this.tree;
    for (const part of parts) {
      const next = tree.get(part) ?? new Map<string, Tree | true>();
      if (next === true) return fail(31249, `Path collision at ${path}`);
      tree.set(part, next);
      tree = next;
    }
    if (tree.has(last) && tree.get(last) !== true) fail(31250, `Path collision at ${path}`);
    tree.set(last, true);
  }

  #operator(path: string, value: Doc): void {
    const { $slice: slice, $elemMatch: match } = value;
    if ('$meta' in value) refuse('$meta');
    if (match !== undefined) {
      this.#add(path, true);
      const test = elementTest(match, compile);
      this.steps.push((out, doc) => {
        const array = valuesAt(doc, path.split('.')).values[0];
        const hit = Array.isArray(array) ? array.findIndex(test) : -1;
        return setField(out, path.split('.'), hit < 0 ? undefined : [(array as unknown[])[hit]]);
      });
    } else if ('$slice' in value && [slice].flat().every((bound) => typeof bound === 'number')) {
      const cut = slicer([slice].flat() as number[]);
      this.steps.push((out, doc) => {
        const array = valuesAt(doc, path.split('.')).values[0];
        if (!Array.isArray(array)) return out;
        return setField(out, path.split('.'), cut(array));
      });
    } else this.#computed(path, value);
  }

  #computed(path: string, expression: unknown): void {
    this.#mode(true, path);
    const parts = path.split('.');
    this.steps.push((out, doc) => setField(out, parts, evaluate(doc, expression, this.#vars)));
  }

  /** `field.$` keeps the first element that the filter's conditions on the field match. */
  #positional(path: string): void {
    this.#add(path, true);
    const tests = Object.entries(this.#filter)
      .filter(([key]) => key === path || key.startsWith(`${path}.`))
      .map(([key, condition]) => compile({ [key]: condition }));
    if (!tests.length)
      fail(
        51246,
        "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array",
      );
    const parts = path.split('.');
    this.steps.push((out, doc) => {
      const array = valuesAt(doc, parts).values[0];
      if (!Array.isArray(array)) return out;
      const fits = (element: unknown) => tests.every((test) => test(setField({}, parts, [element])));
      return setField(out, parts, array.filter(fits).slice(0, 1));
    });
  }
}

function slicer(bounds: number[]): (array: unknown[]) => unknown[] {
  const [first = 0, length] = bounds;
  if (length === undefined) return (array) => (first < 0 ? array.slice(first) : array.slice(0, first));
  if (length <= 0) fail(28724, 'First argument to $slice must be positive');
  return (array) => array.slice(first < 0 ? Math.max(0, array.length + first) : first).slice(0, length);
}

function keep(doc: Doc, tree: Tree): Doc {
  const out: Doc = {};
  for (const key of Object.keys(doc)) {
    const branch = tree.get(key);
    const value = branch === true ? doc[key] : branch && within(doc[key], branch, keep, true);
    if (value !== undefined) assign(out, key, value);
  }
  return out;
}

function leave(doc: Doc, tree: Tree): Doc {
  const out: Doc = {};
  for (const key of Object.keys(doc)) {
    const branch = tree.get(key);
    if (branch !== true) assign(out, key, branch ? within(doc[key], branch, leave, false) : doc[key]);
  }
  return out;
}

function within(value: unknown, tree: Tree, each: (doc: Doc, tree: Tree) => Doc, dropScalars: boolean): unknown {
  if (Array.isArray(value)) {
    return value.map((element) => within(element, tree, each, dropScalars)).filter((element) => element !== undefined);
  }
  if (isDoc(value)) return each(value, tree);
  return dropScalars ? undefined : value;
}

/** A copy of the document with the value at the path, in each element of arrays on it; `undefined` removes it. */
export function setField(doc: Doc, parts: readonly string[], value: unknown): Doc {
  const [first = '', ...rest] = parts;
  const out = copyOf(doc);
  if (rest.length === 0) {
    if (value === undefined) delete out[first];
    else assign(out, first, value);
    return out;
  }
  const inner = own(doc, first);
  const set = (container: unknown): unknown => {
    if (Array.isArray(container)) return container.map(set);
    if (isDoc(container)) return setField(container, rest, value);
    return value === undefined ? container : setField({}, rest, value);
  };
  const next = set(inner);
  if (next !== undefined) assign(out, first, next);
  return out;
}
