import { compare, identity, same } from '../bson/keys.ts';
import { valuesAt } from '../bson/paths.ts';
import { hasOperators, isDoc, isNil, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';

/** Whether a document matches. */
export type Test = (doc: Doc) => boolean;
type ValueTest = (value: unknown) => boolean;
/** Builds the test for one operator on one path. */
type Operator = (path: string, operand: unknown) => Test;

/** Compiles a filter into a test. */
export function compile(filter: Doc): Test {
  const tests = Object.entries(filter).flatMap(([key, value]) =>
    key.startsWith('$') ? logical(key, value) : conditions(key, value),
  );
  return every(tests);
}

function every(tests: Test[]): Test {
  const [only] = tests;
  return only && tests.length === 1 ? only : (doc) => tests.every((test) => test(doc));
}

function logical(operator: string, operand: unknown): Test[] {
  if (operator === '$comment') return [];
  if (operator !== '$and' && operator !== '$or' && operator !== '$nor') refuse(`the query operator ${operator}`);
  if (!Array.isArray(operand) || !operand.length) return fail(2, `${operator} must be a nonempty array`);
  const tests = operand.map((item: unknown) => compile(isDoc(item) ? item : fail(2, `${operator} needs objects`)));
  if (operator === '$and') return tests;
  return [(doc) => tests.some((test) => test(doc)) === (operator === '$or')];
}

function conditions(path: string, condition: unknown): Test[] {
  if (!hasOperators(condition)) return [equals(path, condition)];
  const { $options: options, ...operators } = condition;
  return Object.entries(operators).map(([operator, operand]) => {
    if (operator === '$regex') return matches(path, operand, options);
    return (OPERATORS.get(operator) ?? refuse(`the query operator ${operator}`))(path, operand);
  });
}

/** Tests each value at a path, and the elements of arrays there. */
function anyAt(path: string, test: ValueTest): Test {
  const parts = path.split('.');
  return (doc) => valuesAt(doc, parts).some((value) => test(value) || (Array.isArray(value) && value.some(test)));
}

function arrayAt(path: string, test: (array: unknown[]) => boolean): Test {
  const parts = path.split('.');
  return (doc) => valuesAt(doc, parts).some((value) => Array.isArray(value) && test(value));
}

/** The test for `path equals operand`, which is also what a plain value in a filter means. */
function equals(path: string, operand: unknown): Test {
  if (operand instanceof RegExp) return matches(path, operand);
  if (isNil(operand)) return anyAt(path, isNil);
  return anyAt(path, (value) => same(value, operand));
}

function range(accepts: (order: number) => boolean): Operator {
  return (path, operand) => {
    if (isNil(operand)) return accepts(0) ? equals(path, null) : () => false;
    if (operand instanceof RegExp) return fail(2, 'Can not have RegEx as arg to predicate over field');
    const tag = tagOf(operand);
    const anyType = tag === TAG.minKey || tag === TAG.maxKey;
    return anyAt(path, (value) => {
      return value !== undefined && (anyType || tagOf(value) === tag) && accepts(compare(value, operand));
    });
  };
}

function oneOf(path: string, operand: unknown): Test {
  if (!Array.isArray(operand)) return fail(2, '$in needs an array');
  const keys = new Set<string>();
  const tests = [anyAt(path, (value) => value !== undefined && keys.size > 0 && keys.has(identity(value)))];
  for (const item of operand as unknown[]) {
    if (hasOperators(item)) fail(2, 'cannot nest $ under $in');
    if (isNil(item) || item instanceof RegExp) tests.push(equals(path, item));
    else keys.add(identity(item));
  }
  return (doc) => tests.some((test) => test(doc));
}

function not(operator: Operator): Operator {
  return (path, operand) => {
    const test = operator(path, operand);
    return (doc) => !test(doc);
  };
}

function negated(path: string, operand: unknown): Test {
  if (!(operand instanceof RegExp) && !hasOperators(operand)) fail(2, '$not needs a regex or a document');
  return every(conditions(path, operand));
}

/** The test for a regular expression; bson carries the flag by which a dot matches line ends as JavaScript's `g`. */
function matches(path: string, pattern: unknown, options?: unknown): Test {
  const isRegExp = pattern instanceof RegExp;
  const flags = typeof options === 'string' ? options : isRegExp ? pattern.flags.replace('g', 's') : '';
  if (!/^[ims]*$/.test(flags)) refuse(`the regular expression option '${flags}'`);
  let regex: RegExp;
  try {
    regex = new RegExp(isRegExp ? pattern.source : String(pattern), flags);
  } catch (cause) {
    return fail(51091, `Regular expression is invalid: ${cause instanceof Error ? cause.message : ''}`);
  }
  return anyAt(path, (value) => (typeof value === 'string' ? regex.test(value) : isRegExp && same(value, pattern)));
}

function elemMatch(path: string, operand: unknown): Test {
  const test = elementTest(operand);
  return arrayAt(path, (array) => array.some(test));
}

/** The test for an element of an array: conditions on the element itself or on its fields. */
export function elementTest(condition: unknown): ValueTest {
  if (!isDoc(condition)) return fail(2, '$elemMatch needs an Object');
  const [first = ''] = Object.keys(condition);
  if (!OPERATORS.has(first) && first !== '$regex') {
    const test = compile(condition);
    return (element) => isDoc(element) && test(element);
  }
  const test = compile({ v: condition });
  // An element that is itself an array must match as a whole, unless the operator is about arrays.
  const isAboutArrays = ['$elemMatch', '$size', '$all'].includes(first);
  return (element) => test({ v: Array.isArray(element) && !isAboutArrays ? [element] : element });
}

function all(path: string, operand: unknown): Test {
  if (!Array.isArray(operand)) return fail(2, '$all needs an array');
  const tests = operand.map((item: unknown) =>
    isDoc(item) && '$elemMatch' in item ? elemMatch(path, item['$elemMatch']) : equals(path, item),
  );
  return tests.length ? every(tests) : () => false;
}

function size(path: string, operand: unknown): Test {
  const length = Number(operand);
  if (!Number.isInteger(length) || length < 0) fail(2, 'Failed to parse $size. Expected a non-negative integer');
  return arrayAt(path, (array) => array.length === length);
}

function type(path: string, operand: unknown): Test {
  const aliases = [operand].flat().map(String);
  const unknown = aliases.find((alias) => !Object.hasOwn(TAG, alias));
  if (unknown !== undefined) refuse(`$type: ${unknown}`);
  const tags = new Set<number>(aliases.map((alias) => TAG[alias as keyof typeof TAG]));
  return anyAt(path, (value) => value !== undefined && tags.has(tagOf(value)));
}

function exists(path: string, operand: unknown): Test {
  const parts = path.split('.');
  return (doc) => valuesAt(doc, parts).some((value) => value !== undefined) === Boolean(operand);
}

const OPERATORS = new Map<string, Operator>([
  ['$eq', equals],
  ['$ne', not(equals)],
  ['$gt', range((order) => order > 0)],
  ['$gte', range((order) => order >= 0)],
  ['$lt', range((order) => order < 0)],
  ['$lte', range((order) => order <= 0)],
  ['$in', oneOf],
  ['$nin', not(oneOf)],
  ['$not', not(negated)],
  ['$all', all],
  ['$elemMatch', elemMatch],
  ['$exists', exists],
  ['$size', size],
  ['$type', type],
]);
