import { Context, evalExpr } from 'mingo/core';
import * as accumulators from 'mingo/operators/accumulator';
import * as expressions from 'mingo/operators/expression';
import type { Options } from 'mingo/types';
import { compare, identity } from '../bson/keys.ts';
import { isDoc, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, MongoError, refuse } from '../errors.ts';
import { typeName } from './types.ts';

// mingo evaluates aggregation expressions. Its comparisons, type names and sets follow JavaScript rather than
// BSON, so those operators are replaced.

type Operators = NonNullable<Parameters<typeof Context.init>[0]>;
type AccumulatorOps = NonNullable<Operators['accumulator']>;
type ExpressionOps = NonNullable<Operators['expression']>;

type Operator = (target: unknown, operand: unknown, options: Options) => unknown;

function operands(target: unknown, operand: unknown, options: Options): [unknown, unknown] {
  if (!Array.isArray(operand) || operand.length !== 2) return fail(16020, 'Expression takes exactly 2 arguments');
  return [evalExpr(target, operand[0], options), evalExpr(target, operand[1], options)];
}

/** Orders two values; a missing one is less than any other, unlike null. */
function order([a, b]: [unknown, unknown]): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return Math.sign(compare(a, b));
}

function comparison(accepts: (order: number) => boolean): Operator {
  return (target, operand, options) => accepts(order(operands(target, operand, options)));
}

function unique(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [identity(value), value])).values()];
}

function present(docs: unknown, operand: unknown, options: Options): unknown[] {
  const each = options as Options & { update(locals: { root: unknown }): Options };
  return (docs as unknown[])
    .map((doc) => evalExpr(doc, operand, each.update({ root: doc })))
    .filter((value) => value !== undefined);
}

const refused =
  (name: string): Operator =>
  () =>
    refuse(name);

const OWN_EXPRESSIONS: Record<`$${string}`, Operator> = {
  $type: (target, operand, options) => typeName(evalExpr(target, operand, options)),
  $cmp: (target, operand, options) => order(operands(target, operand, options)),
  $eq: comparison((sign) => sign === 0),
  $ne: comparison((sign) => sign !== 0),
  $gt: comparison((sign) => sign > 0),
  $gte: comparison((sign) => sign >= 0),
  $lt: comparison((sign) => sign < 0),
  $lte: comparison((sign) => sign <= 0),
  $in: (target, operand, options) => {
    const [value, array] = operands(target, operand, options);
    if (!Array.isArray(array)) return fail(40081, '$in requires an array as a second argument');
    return array.some((element) => order([element, value]) === 0);
  },
  $function: refused('$function'),
  $toHashedIndexKey: refused('$toHashedIndexKey'),
};

const OWN_ACCUMULATORS: Record<`$${string}`, Operator> = {
  $push: present,
  $addToSet: (docs, operand, options) => unique(present(docs, operand, options)),
  $accumulator: refused('$accumulator'),
};

/** The expression operators and accumulators, for building a context of mingo's. */
export const operators = {
  accumulator: { ...accumulators, ...OWN_ACCUMULATORS } as unknown as AccumulatorOps,
  expression: { ...expressions, ...OWN_EXPRESSIONS } as unknown as ExpressionOps,
};
const context = Context.init(operators);

/** The settings under which mingo runs here: no scripts, the given variables. */
export function settings(context: Context, vars?: Doc): Partial<Options> {
  return { context, useStrictMode: true, scriptEnabled: false, ...(vars && { variables: vars }) };
}

/** mingo reports a wrong expression by an ordinary Error; to a client it is a wrong request. */
export function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof MongoError || !(error instanceof Error)) throw error;
    return fail(/undefined variable/.test(error.message) ? 17276 : 2, error.message);
  }
}

/** The value of an aggregation expression on a document. */
export function evaluate(doc: Doc, expression: unknown, vars?: Doc): unknown {
  return guarded(() => evalExpr(doc, expression, settings(context, vars) as Options));
}

/** Whether an expression's value counts as true. */
export function truthy(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return tagOf(value) !== TAG.number || Number(value) !== 0;
}

/** The values of a command's `let`, whose expressions are evaluated once per command. */
export function evaluateLet(vars: unknown): Doc | undefined {
  if (!isDoc(vars) || Object.keys(vars).length === 0) return undefined;
  return Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, evaluate({}, value)]));
}
