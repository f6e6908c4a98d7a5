import { Decimal128, Long, Timestamp } from 'bson';
import { compare, same } from '../bson/keys.ts';
import { bsonType, clone, hasOperators, isDoc, own, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';
import { sortBy, sortFields } from '../query/sort.ts';
import { typeName } from '../query/types.ts';
import { place, type Container } from './places.ts';

/** Applies an operator at one place of the document. */
type Apply = (container: Container, key: string | number, operand: unknown) => void;

/** An update operator. */
export interface UpdateOperator {
  apply: Apply;
  /** Whether it makes the path where it is missing. */
  creates: boolean;
}

type NumberLike = number | bigint | { toString(): string };

function arithmetic(
  verb: string,
  double: (a: number, b: number) => number,
  exact: (a: bigint, b: bigint) => bigint,
): Apply {
  return (container, key, operand) => {
    if (tagOf(operand) !== TAG.number) fail(14, `Cannot ${verb} with non-numeric argument: {${key}}`);
    const current = own(container, key) ?? (own(container, key) === null ? null : 0);
    if (tagOf(current) !== TAG.number) {
      fail(14, `Cannot ${verb} a value of non-numeric type: the field '${key}' is of type ${typeName(current)}`);
    }
    place(container, key, calculate(current as NumberLike, operand as NumberLike, double, exact));
  };
}

/** Int64 arithmetic is exact; a Decimal128 is calculated with a double's precision. */
function calculate(
  a: NumberLike,
  b: NumberLike,
  double: (a: number, b: number) => number,
  exact: (a: bigint, b: bigint) => bigint,
): unknown {
  const both = [a, b];
  const result = double(Number(a), Number(b));
  if (both.some((value) => bsonType(value) === 'Decimal128')) return Decimal128.fromString(String(result));
  // bson reads an int64 up to 2^53 as a number and a larger one as a Long; a larger number was a double.
  const whole = both.every((v) => typeof v !== 'number' || (Number.isInteger(v) && Math.abs(v) <= 2 ** 53));
  if (!whole || Number.isSafeInteger(result)) return result;
  const integer = exact(BigInt(a.toString()), BigInt(b.toString()));
  if (BigInt.asIntN(64, integer) !== integer)
    fail(2, 'Failed to apply $inc or $mul: the result does not fit into an int64');
  return Long.fromBigInt(integer);
}

function integer(value: unknown): bigint {
  if (value instanceof Long) return value.toBigInt();
  return Number.isSafeInteger(value) ? BigInt(value as number) : fail(14, 'The $bit modifier needs integers');
}

function bitwise(container: Container, key: string | number, operand: unknown): void {
  if (!isDoc(operand)) return fail(2, 'The $bit modifier needs {and|or|xor: number}');
  let value = integer(own(container, key) ?? 0);
  for (const [name, bits] of Object.entries(operand)) {
    const other = integer(bits);
    if (name === 'and') value &= other;
    else if (name === 'or') value |= other;
    else if (name === 'xor') value ^= other;
    else fail(2, `The $bit modifier only supports 'and', 'or', and 'xor', not '${name}'`);
  }
  place(container, key, Number.isSafeInteger(Number(value)) ? Number(value) : Long.fromBigInt(value));
}

function limit(wins: (order: number) => boolean): Apply {
  return (container, key, operand) => {
    const current = own(container, key);
    if (current === undefined || wins(compare(operand, current))) place(container, key, clone(operand));
  };
}

function arrayAt(container: Container, key: string | number): unknown[] | undefined {
  const current = own(container, key);
  if (current === undefined || Array.isArray(current)) return current;
  return fail(2, `The field '${key}' must be an array but is of type ${typeName(current)}`);
}

function eachOf(operand: unknown, operator: string): unknown[] {
  if (!isDoc(operand) || !('$each' in operand)) return [operand];
  if (!Array.isArray(operand['$each'])) {
    return fail(
      operator === '$push' ? 2 : 14,
      `The argument to $each in ${operator} must be an array but it was of type ${typeName(operand['$each'])}`,
    );
  }
  return operand['$each'];
}

const PUSH_CLAUSES = ['$each', '$position', '$sort', '$slice'];

const push: Apply = (container, key, operand) => {
  const added = eachOf(operand, '$push').map(clone);
  const clauses: Doc = isDoc(operand) && '$each' in operand ? operand : {};
  const unknown = Object.keys(clauses).find((name) => !PUSH_CLAUSES.includes(name));
  if (unknown) fail(2, `Unrecognized clause in $push: ${unknown}`);
  const list = [...(arrayAt(container, key) ?? [])];
  const { $position: position, $sort: sort, $slice: slice } = clauses;
  list.splice(position === undefined ? list.length : Number(position), 0, ...added);
  const sorted = sort === undefined ? list : sortElements(list, sort);
  const count = Number(slice);
  place(container, key, slice === undefined ? sorted : count < 0 ? sorted.slice(count) : sorted.slice(0, count));
};

function sortElements(list: unknown[], sort: unknown): unknown[] {
  if (isDoc(sort)) return sortBy(list, sortFields(sort), (element) => (isDoc(element) ? element : {}));
  const sign = Number(sort);
  if (Math.abs(sign) !== 1) fail(2, 'The $sort element value must be either 1 or -1');
  return list.sort((a, b) => compare(a, b) * sign);
}

const addToSet: Apply = (container, key, operand) => {
  const list = [...(arrayAt(container, key) ?? [])];
  for (const value of eachOf(operand, '$addToSet')) {
    if (!list.some((element) => same(element, value))) list.push(clone(value));
  }
  place(container, key, list);
};

function removing(test: (operand: unknown) => (element: unknown) => boolean): Apply {
  return (container, key, operand) => {
    const gone = test(operand);
    const list = arrayAt(container, key);
    if (list)
      place(
        container,
        key,
        list.filter((element) => !gone(element)),
      );
  };
}

/** `$pull` takes a value, a condition on the element, or conditions on the element's fields. */
function pulled(condition: unknown): (element: unknown) => boolean {
  const logical = ['$and', '$or', '$nor'].includes(isDoc(condition) ? (Object.keys(condition)[0] ?? '') : '');
  if (condition instanceof RegExp || (hasOperators(condition) && !logical)) {
    const test = compile({ v: condition });
    return (element) => test({ v: Array.isArray(element) ? [element] : element });
  }
  if (!isDoc(condition)) return (element) => same(element, condition);
  const test = compile(condition);
  return (element) => isDoc(element) && test(element);
}

function allOf(values: unknown): (element: unknown) => boolean {
  if (!Array.isArray(values)) return fail(2, '$pullAll requires an array argument');
  return (element) => values.some((value) => same(value, element));
}

const pop: Apply = (container, key, operand) => {
  if (Math.abs(Number(operand)) !== 1) fail(9, '$pop expects 1 or -1');
  const list = arrayAt(container, key);
  if (list) place(container, key, Number(operand) < 0 ? list.slice(1) : list.slice(0, -1));
};

const unset: Apply = (container, key) => {
  if (!Array.isArray(container)) delete container[key];
  else if (Number(key) < container.length) container[Number(key)] = null;
};

const currentDate: Apply = (container, key, operand) => {
  const timestamp = isDoc(operand) && operand['$type'] === 'timestamp';
  place(container, key, timestamp ? new Timestamp({ t: Math.floor(Date.now() / 1000), i: 1 }) : new Date());
};

const creating = (apply: Apply): UpdateOperator => ({ apply, creates: true });
const existing = (apply: Apply): UpdateOperator => ({ apply, creates: false });

/** The update operators that work at a place; `$setOnInsert` and `$rename` are the caller's. */
export const OPERATORS: ReadonlyMap<string, UpdateOperator> = new Map([
  ['$set', creating((container, key, operand) => place(container, key, clone(operand)))],
  [
    '$inc',
    creating(
      arithmetic(
        'increment',
        (a, b) => a + b,
        (a, b) => a + b,
      ),
    ),
  ],
  [
    '$mul',
    creating(
      arithmetic(
        'multiply',
        (a, b) => a * b,
        (a, b) => a * b,
      ),
    ),
  ],
  ['$min', creating(limit((order) => order < 0))],
  ['$max', creating(limit((order) => order > 0))],
  ['$bit', creating(bitwise)],
  ['$currentDate', creating(currentDate)],
  ['$push', creating(push)],
  ['$addToSet', creating(addToSet)],
  ['$pull', existing(removing(pulled))],
  ['$pullAll', existing(removing(allOf))],
  ['$pop', existing(pop)],
  ['$unset', existing(unset)],
]);
