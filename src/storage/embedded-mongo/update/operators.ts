import { compare, same } from '../bson/keys.ts';
import { clone, isDoc, isNil, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { elementTest } from '../query/filter.ts';

/** The new value at a place, from the present one; undefined where there is none. */
type Apply = (current: unknown, operand: unknown, path: string) => unknown;

function increment(current: unknown, operand: unknown, path: string): number {
  const value = current === undefined ? 0 : current;
  if ([value, operand].some((side) => tagOf(side) !== TAG.number)) fail(14, `Cannot increment '${path}': no number`);
  const sum = Number(value) + Number(operand);
  // bson reads an int64 as a number where that is exact; there is no arithmetic for others, nor for decimals.
  const exact = [value, operand].every((side) => typeof side === 'number');
  if (!exact || (Number.isSafeInteger(value) && Number.isSafeInteger(operand) && !Number.isSafeInteger(sum))) {
    refuse('$inc with integers beyond 2^53 or decimals');
  }
  return sum;
}

function limit(wins: (order: number) => boolean): Apply {
  return (current, operand) => (current === undefined || wins(compare(operand, current)) ? operand : current);
}

function arrayIn(current: unknown, path: string): unknown[] {
  if (current === undefined) return [];
  if (Array.isArray(current)) return current;
  return fail(2, `The field '${path}' must be an array`);
}

/** The values to add: those of `$each`, or the operand itself. `clauses` may stand beside `$each`. */
function eachOf(operand: unknown, clauses: string[]): { values: unknown[]; options: Doc } {
  if (!isDoc(operand) || !('$each' in operand)) return { values: [operand], options: {} };
  const { $each: values, ...options } = operand;
  if (!Array.isArray(values)) return fail(2, 'The argument to $each must be an array');
  const unknown = Object.keys(options).find((name) => !clauses.includes(name));
  if (unknown) refuse(`the clause ${unknown} beside $each`);
  return { values, options };
}

function push(current: unknown, operand: unknown, path: string): unknown[] {
  const list = [...arrayIn(current, path)];
  const { values, options } = eachOf(operand, ['$position', '$slice']);
  const { $position: position = list.length, $slice: slice } = options;
  list.splice(Number(position), 0, ...values);
  if (isNil(slice)) return list;
  return Number(slice) < 0 ? list.slice(Number(slice)) : list.slice(0, Number(slice));
}

function addToSet(current: unknown, operand: unknown, path: string): unknown[] {
  const list = [...arrayIn(current, path)];
  for (const value of eachOf(operand, []).values) if (!list.some((element) => same(element, value))) list.push(value);
  return list;
}

function removing(testOf: (operand: unknown) => (element: unknown) => boolean): Apply {
  return (current, operand, path) => {
    if (current === undefined) return undefined;
    const gone = testOf(operand);
    return arrayIn(current, path).filter((element) => !gone(element));
  };
}

/** `$pull` takes a value, a condition on the element, or conditions on the element's fields. */
function pulled(condition: unknown): (element: unknown) => boolean {
  if (condition instanceof RegExp) return elementTest({ $regex: condition });
  return isDoc(condition) ? elementTest(condition) : (element) => same(element, condition);
}

function anyOf(values: unknown): (element: unknown) => boolean {
  if (!Array.isArray(values)) return fail(2, '$pullAll requires an array argument');
  return (element) => values.some((value) => same(value, element));
}

const set: Apply = (_, operand) => clone(operand);

/** The update operators. */
export const OPERATORS: ReadonlyMap<string, Apply> = new Map([
  ['$set', set],
  ['$setOnInsert', set],
  ['$inc', increment],
  ['$min', limit((order) => order < 0)],
  ['$max', limit((order) => order > 0)],
  ['$push', push],
  ['$addToSet', addToSet],
  ['$pull', removing(pulled)],
  ['$pullAll', removing(anyOf)],
  ['$unset', () => undefined],
]);

/** Those that do not make the path where it is missing. */
export const MAKES_NOTHING = new Set(['$pull', '$pullAll', '$unset']);
