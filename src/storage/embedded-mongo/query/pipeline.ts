import { compare, identity } from '../bson/keys.ts';
import { assign, hasOperators, isDoc, isNil, own, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { compile } from './filter.ts';
import { isFlag, projector } from './projection.ts';
import { sortBy, sortFields } from './sort.ts';

/** One step of a pipeline. */
export type Stage = (docs: Doc[]) => Doc[];
type Expression = (doc: Doc) => unknown;

/** Reads a pipeline; throws for stages that this engine does not run. */
export function compilePipeline(stages: readonly unknown[]): Stage[] {
  return stages.map((stage) => {
    const [[name, operand] = [], ...more] = isDoc(stage) ? Object.entries(stage) : [];
    if (name === undefined || more.length) {
      return fail(40323, 'A pipeline stage specification object must contain exactly one field.');
    }
    if (name === '$changeStream') fail(40573, 'The $changeStream stage is only supported on replica sets');
    return (STAGES.get(name) ?? refuse(`the stage ${name}`))(operand);
  });
}

const STAGES = new Map<string, (operand: unknown) => Stage>([
  ['$match', match],
  ['$project', project],
  ['$group', group],
  ['$unwind', unwind],
  ['$sort', sort],
  ['$skip', (count) => slice(Number(count), Number.POSITIVE_INFINITY)],
  ['$limit', (count) => (Number(count) > 0 ? slice(0, Number(count)) : fail(15958, 'the limit must be positive'))],
  ['$count', (name) => (docs) => (docs.length ? [{ [String(name)]: docs.length }] : [])],
]);

function sort(order: unknown): Stage {
  const fields = sortFields(order);
  return (docs) => sortBy(docs, fields, (doc) => doc);
}

function slice(skip: number, end: number): Stage {
  if (!(skip >= 0)) fail(5107200, 'invalid argument to $skip stage');
  return (docs) => docs.slice(skip, end);
}

/** Reads an expression: a path, a constant, or a document of expressions. */
function expression(spec: unknown): Expression {
  if (hasOperators(spec) || Array.isArray(spec)) refuse('an expression with operators or lists');
  if (isDoc(spec)) {
    const fields = Object.entries(spec).map(([name, inner]) => [name, expression(inner)] as const);
    return (doc) => Object.fromEntries(fields.map(([name, inner]) => [name, inner(doc)]));
  }
  if (typeof spec !== 'string' || !spec.startsWith('$')) return () => spec;
  if (spec.startsWith('$$')) refuse(`the variable ${spec}`);
  const parts = spec.slice(1).split('.');
  return (doc) => valueIn(doc, parts);
}

/** The value at a path; below an array, the list of those in its elements. */
function valueIn(value: unknown, [part, ...rest]: readonly string[]): unknown {
  if (part === undefined) return value;
  if (Array.isArray(value)) return present(value.map((element: unknown) => valueIn(element, [part, ...rest])));
  return isDoc(value) ? valueIn(own(value, part), rest) : undefined;
}

function match(filter: unknown): Stage {
  const test = compile(isDoc(filter) ? filter : fail(15959, 'the match filter must be an expression in an object'));
  return (docs) => docs.filter(test);
}

function project(spec: unknown): Stage {
  if (!isDoc(spec)) return fail(51272, 'projection specification must be an object');
  const made = Object.entries(spec).flatMap(([name, value]) => {
    if (isFlag(value)) return [];
    return name.includes('.') ? refuse(`an expression for the path '${name}'`) : [{ name, make: expression(value) }];
  });
  // What is made is kept at first, so that the rest is read as a list of what to keep.
  const keep = projector({ ...spec, ...Object.fromEntries(made.map(({ name }) => [name, 1])) });
  if (!keep) return fail(51272, 'projection specification must have at least one field');
  return (docs) =>
    docs.map((doc) => {
      const out = keep(doc);
      for (const { name, make } of made) assign(out, name, make(doc));
      return out;
    });
}

function unwind(spec: unknown): Stage {
  const { path, ...options } = isDoc(spec) ? spec : { path: spec };
  if (Object.keys(options).some((option) => option !== 'preserveNullAndEmptyArrays')) refuse('an option of $unwind');
  const field = /^\$([^.$]+)$/.exec(String(path))?.[1] ?? refuse(`$unwind of ${String(path)}`);
  const preserve = options['preserveNullAndEmptyArrays'] === true;
  return (docs) =>
    docs.flatMap((doc) => {
      const value = own(doc, field);
      if (Array.isArray(value) && value.length) return value.map((element: unknown) => ({ ...doc, [field]: element }));
      return preserve || !(isNil(value) || Array.isArray(value)) ? [doc] : [];
    });
}

const numbers = (values: unknown[]) =>
  values
    .filter((value) => tagOf(value) === TAG.number)
    .map((value) => (typeof value === 'number' ? value : refuse('arithmetic with integers beyond 2^53 or decimals')));
const sum = (values: unknown[]) => numbers(values).reduce((total, value) => total + value, 0);
const present = (values: unknown[]) => values.filter((value) => value !== undefined);
const best = (wins: (order: number) => boolean) => (values: unknown[]) =>
  values.filter((value) => !isNil(value)).reduce((a, b) => (isNil(a) || wins(compare(b, a)) ? b : a), null as unknown);

const ACCUMULATORS = new Map<string, (values: unknown[]) => unknown>([
  ['$sum', sum],
  ['$avg', (values) => (numbers(values).length ? sum(values) / numbers(values).length : null)],
  ['$min', best((order) => order < 0)],
  ['$max', best((order) => order > 0)],
  ['$first', (values) => values[0] ?? null],
  ['$last', (values) => values.at(-1) ?? null],
  ['$push', present],
  ['$addToSet', (values) => [...new Map(present(values).map((value) => [identity(value), value])).values()]],
]);

function group(spec: unknown): Stage {
  if (!isDoc(spec) || !('_id' in spec)) return fail(15955, 'a group specification must include an _id');
  const { _id, ...fields } = spec;
  const idOf = expression(_id);
  const made = Object.entries(fields).map(([name, accumulator]) => {
    const [[operator, operand] = ['', undefined], ...more] = isDoc(accumulator) ? Object.entries(accumulator) : [];
    const gather = (more.length ? undefined : ACCUMULATORS.get(operator)) ?? refuse(`the accumulator ${operator}`);
    const value = expression(operand);
    return { name, make: (docs: Doc[]) => gather(docs.map(value)) };
  });
  return (docs) => {
    const groups = new Map<string, { id: unknown; docs: Doc[] }>();
    for (const doc of docs) {
      const id = idOf(doc) ?? null;
      const key = identity(id);
      const found = groups.get(key);
      if (found) found.docs.push(doc);
      else groups.set(key, { id, docs: [doc] });
    }
    return [...groups.values()].map(({ id, docs }) => {
      return Object.fromEntries([['_id', id], ...made.map(({ name, make }) => [name, make(docs)])]);
    });
  };
}
