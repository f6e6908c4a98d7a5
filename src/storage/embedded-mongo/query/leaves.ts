import { encode, identity } from '../bson/keys.ts';
import { MANY, valueAt, valuesAt } from '../bson/paths.ts';
import { hasOperators, isDoc, isNil, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { typeTest } from './types.ts';

/** Whether a document matches. */
export type Test = (doc: Doc) => boolean;
type ValueTest = (value: unknown) => boolean;
/** Builds the test for one operator on one path. */
type Leaf = (path: string, operand: unknown, compile: (filter: Doc) => Test) => Test;

/** Tests each value at a path and the elements of arrays there (with `whole`, also the array itself). */
function anyAt(path: string, test: ValueTest, whole = true): Test {
  const parts = path.split('.');
  return (doc) => {
    const value = valueAt(doc, parts);
    if (value !== MANY) return test(value);
    return valuesAt(doc, parts).values.some((v) => (Array.isArray(v) ? v.some(test) || (whole && test(v)) : test(v)));
  };
}

function arraysAt(path: string, test: (array: unknown[]) => boolean): Test {
  const parts = path.split('.');
  return (doc) => valuesAt(doc, parts).values.some((value) => Array.isArray(value) && test(value));
}

/** The test for `path equals operand`, which is also what a plain value in a filter means. */
export function equals(path: string, operand: unknown): Test {
  if (isNil(operand)) {
    const parts = path.split('.');
    const isNull: ValueTest = (value) => isNil(value) || (Array.isArray(value) && value.includes(null));
    return (doc) => {
      const value = valueAt(doc, parts);
      return value === MANY ? valuesAt(doc, parts).values.some(isNull) : isNull(value);
    };
  }
  if (operand instanceof RegExp) return matches(path, operand);
  if (typeof operand === 'string' || typeof operand === 'boolean') return anyAt(path, (value) => value === operand);
  const key = encode(operand);
  const tag = tagOf(operand);
  const number = typeof operand === 'number';
  return anyAt(path, (value) => {
    if (value === operand) return true;
    if (number && typeof value === 'number' && value === value) return false;
    return value !== undefined && tagOf(value) === tag && encode(value).equals(key);
  });
}

function range(accepts: (order: number) => boolean): Leaf {
  return (path, operand) => {
    if (isNil(operand)) return accepts(0) ? equals(path, null) : () => false;
    if (operand instanceof RegExp) return fail(2, 'Can not have RegEx as arg to predicate over field');
    const tag = tagOf(operand);
    const key = encode(operand);
    const anyType = tag === TAG.min || tag === TAG.max;
    const plainNumber = typeof operand === 'number' && operand === operand;
    return anyAt(path, (value) => {
      if (value === undefined) return false;
      if (plainNumber && typeof value === 'number' && value === value)
        return accepts(value < operand ? -1 : value > operand ? 1 : 0);
      return (anyType || tagOf(value) === tag) && accepts(Buffer.compare(encode(value), key));
    });
  };
}

const oneOf: Leaf = (path, operand) => {
  if (!Array.isArray(operand)) return fail(2, '$in needs an array');
  const keys = new Set<string>();
  const tests: Test[] = [];
  for (const item of operand) {
    if (hasOperators(item)) fail(2, 'cannot nest $ under $in');
    if (isNil(item) || item instanceof RegExp) tests.push(equals(path, item));
    else keys.add(identity(item));
  }
  const hit = anyAt(path, (value) => value !== undefined && keys.has(identity(value)));
  return (doc) => (keys.size > 0 && hit(doc)) || tests.some((test) => test(doc));
};

function not(leaf: Leaf): Leaf {
  return (path, operand, compile) => {
    const test = leaf(path, operand, compile);
    return (doc) => !test(doc);
  };
}

/** A regular expression as the server means it: bson carries its dot-all flag as JavaScript's `g`. */
function toRegExp(pattern: unknown, options: unknown): RegExp {
  const isRegExp = pattern instanceof RegExp;
  const flags = typeof options === 'string' ? options : isRegExp ? pattern.flags.replace('g', 's') : '';
  try {
    return new RegExp(isRegExp ? pattern.source : String(pattern), flags.replace('u', ''));
  } catch (cause) {
    return fail(51091, `Regular expression is invalid: ${cause instanceof Error ? cause.message : ''}`);
  }
}

/** The test for a regular expression on a path. */
export function matches(path: string, pattern: unknown, options?: unknown): Test {
  const regex = toRegExp(pattern, options);
  const key = pattern instanceof RegExp ? encode(pattern) : undefined;
  return anyAt(
    path,
    (value) =>
      typeof value === 'string' ? regex.test(value) : value instanceof RegExp && key?.equals(encode(value)) === true,
    false,
  );
}

const elemMatch: Leaf = (path, operand, compile) => {
  const test = elementTest(operand, compile);
  return arraysAt(path, (array) => array.some(test));
};

/** The test for an element under `$elemMatch`: conditions on the element itself or on its fields. */
export function elementTest(operand: unknown, compile: (filter: Doc) => Test): ValueTest {
  if (!isDoc(operand)) return fail(2, '$elemMatch needs an Object');
  const logical = ['$and', '$or', '$nor', '$expr'].includes(Object.keys(operand)[0] ?? '');
  if (hasOperators(operand) && !logical) {
    const test = compile({ v: operand });
    // An element that is itself an array must match as a whole, unless the operator is about arrays.
    const descends = '$elemMatch' in operand || '$size' in operand || '$all' in operand;
    return (element) => test({ v: Array.isArray(element) && !descends ? [element] : element });
  }
  const test = compile(operand);
  return (element) => (isDoc(element) || Array.isArray(element)) && test(element as Doc);
}

const all: Leaf = (path, operand, compile) => {
  if (!Array.isArray(operand)) return fail(2, '$all needs an array');
  const tests = operand.map((item: unknown) =>
    isDoc(item) && '$elemMatch' in item ? elemMatch(path, item['$elemMatch'], compile) : equals(path, item),
  );
  return (doc) => tests.length > 0 && tests.every((test) => test(doc));
};

const size: Leaf = (path, operand) => {
  const length = Number(operand);
  if (!Number.isInteger(length) || length < 0) fail(2, 'Failed to parse $size. Expected a non-negative integer');
  return arraysAt(path, (array) => array.length === length);
};

const mod: Leaf = (path, operand) => {
  if (!Array.isArray(operand) || operand.length !== 2) return fail(2, 'malformed mod, needs to be an array of two');
  const [divisor, remainder] = operand.map((item) => Math.trunc(Number(item))) as [number, number];
  if (!divisor) fail(2, 'divisor cannot be 0');
  const test: ValueTest = (value) => {
    const number = tagOf(value) === TAG.number ? Math.trunc(Number(value)) : Number.NaN;
    return Number.isFinite(number) && number % divisor === remainder;
  };
  return anyAt(path, test, false);
};

const type: Leaf = (path, operand) => {
  const tests = (Array.isArray(operand) ? operand : [operand]).map(typeTest);
  return anyAt(path, (value) => tests.some((test) => test(value)));
};

const exists: Leaf = (path, operand) => {
  const parts = path.split('.');
  return (doc) => valuesAt(doc, parts).values.some((value) => value !== undefined) === Boolean(operand);
};

/** The query operators on a field. */
export const LEAVES: ReadonlyMap<string, Leaf> = new Map<string, Leaf>([
  ['$eq', equals],
  ['$ne', not(equals)],
  ['$gt', range((order) => order > 0)],
  ['$gte', range((order) => order >= 0)],
  ['$lt', range((order) => order < 0)],
  ['$lte', range((order) => order <= 0)],
  ['$in', oneOf],
  ['$nin', not(oneOf)],
  ['$all', all],
  ['$elemMatch', elemMatch],
  ['$exists', exists],
  ['$mod', mod],
  ['$size', size],
  ['$type', type],
]);
