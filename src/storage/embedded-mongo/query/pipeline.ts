import { Context, evalExpr } from 'mingo/core';
import * as mingo from 'mingo/operators/expression';
import type { Options } from 'mingo/types';
import { compare, identity } from '../bson/keys.ts';
import { assign, isDoc, isNil, own, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, MongoError, refuse } from '../errors.ts';
import { compile } from './filter.ts';
import { isFlag, projector } from './projection.ts';
import { sortBy, sortFields } from './sort.ts';

/** One step of a pipeline. */
export type Stage = (docs: Doc[]) => Doc[];
type Expression = (target: unknown, operand: unknown, options: Options) => unknown;

// mingo evaluates expressions. It compares as JavaScript does rather than as BSON, so comparisons are this engine's,
// and of its other operators only those are let in that do not compare.
const {
  $add,
  $subtract,
  $multiply,
  $divide,
  $and,
  $or,
  $not,
  $cond,
  $ifNull,
  $literal,
  $concat,
  $size,
  $dateToString,
} = mingo;

function comparison(accepts: (order: number) => boolean): Expression {
  return (target, operand, options) => {
    if (!Array.isArray(operand) || operand.length !== 2) return fail(16020, 'Expression takes exactly 2 arguments');
    const [a, b] = operand.map((side) => evalExpr(target, side, options) as unknown);
    // A missing value is less than any other, null included.
    const missing = Number(b === undefined) - Number(a === undefined);
    return accepts(-missing || compare(a, b));
  };
}

const context = Context.init({
  expression: {
    ...{
      $add,
      $subtract,
      $multiply,
      $divide,
      $and,
      $or,
      $not,
      $cond,
      $ifNull,
      $literal,
      $concat,
      $size,
      $dateToString,
    },
    $eq: comparison((order) => order === 0),
    $ne: comparison((order) => order !== 0),
    $gt: comparison((order) => order > 0),
    $gte: comparison((order) => order >= 0),
    $lt: comparison((order) => order < 0),
    $lte: comparison((order) => order <= 0),
  } as Record<`$${string}`, typeof $add>,
});
const settings = { context, useStrictMode: true, scriptEnabled: false } as Partial<Options> as Options;

function evaluate(doc: Doc, expression: unknown): unknown {
  try {
    return evalExpr(doc, expression, settings);
  } catch (error) {
    // mingo reports a wrong or unknown expression by an ordinary Error; to a client it is a wrong request.
    if (error instanceof MongoError || !(error instanceof Error)) throw error;
    return refuse(`an expression (${error.message})`);
  }
}

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

function match(filter: unknown): Stage {
  const test = compile(isDoc(filter) ? filter : fail(15959, 'the match filter must be an expression in an object'));
  return (docs) => docs.filter(test);
}

function project(spec: unknown): Stage {
  if (!isDoc(spec)) return fail(51272, 'projection specification must be an object');
  const made = Object.entries(spec).filter(([, value]) => !isFlag(value));
  const dotted = made.find(([path]) => path.includes('.'));
  if (dotted) refuse(`an expression for the path '${dotted[0]}'`);
  // What is made is kept at first, so that the rest is read as a list of what to keep.
  const keep = projector({ ...spec, ...Object.fromEntries(made.map(([path]) => [path, 1])) });
  if (!keep) return fail(51272, 'projection specification must have at least one field');
  return (docs) =>
    docs.map((doc) => {
      const out = keep(doc);
      for (const [path, expression] of made) {
        const value = evaluate(doc, expression);
        if (value === undefined) delete out[path];
        else assign(out, path, value);
      }
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

const numbers = (values: unknown[]) => values.filter((value) => tagOf(value) === TAG.number).map(Number);
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
  const { _id: by, ...fields } = spec;
  const made = Object.entries(fields).map(([name, accumulator]) => {
    const [[operator = '', operand] = []] = isDoc(accumulator) ? Object.entries(accumulator) : [];
    const gather = ACCUMULATORS.get(operator) ?? refuse(`the accumulator ${operator}`);
    return { name, make: (docs: Doc[]) => gather(docs.map((doc) => evaluate(doc, operand))) };
  });
  return (docs) => {
    const groups = new Map<string, { id: unknown; docs: Doc[] }>();
    for (const doc of docs) {
      const id = evaluate(doc, by) ?? null;
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
