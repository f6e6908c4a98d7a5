import { fail } from '../errors.ts';
import { bsonType, TAG, tagOf, type Tag } from '../bson/values.ts';

const CODES: Readonly<Record<string, number>> = {
  double: 1,
  string: 2,
  object: 3,
  array: 4,
  binData: 5,
  objectId: 7,
  bool: 8,
  date: 9,
  null: 10,
  regex: 11,
  javascript: 13,
  int: 16,
  timestamp: 17,
  long: 18,
  decimal: 19,
  minKey: -1,
  maxKey: 127,
};
const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name]));
const BY_TAG: Partial<Record<Tag, string>> = {
  [TAG.string]: 'string',
  [TAG.object]: 'object',
  [TAG.array]: 'array',
  [TAG.binary]: 'binData',
  [TAG.objectId]: 'objectId',
  [TAG.boolean]: 'bool',
  [TAG.date]: 'date',
  [TAG.null]: 'null',
  [TAG.regex]: 'regex',
  [TAG.code]: 'javascript',
  [TAG.timestamp]: 'timestamp',
  [TAG.min]: 'minKey',
  [TAG.max]: 'maxKey',
};

/**
 * MongoDB's name of a value's type. Numbers are JavaScript numbers once read, so an integral double counts as
 * `int` or `long`.
 */
export function typeName(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return 'double';
    return (value | 0) === value ? 'int' : 'long';
  }
  const tag = tagOf(value);
  if (tag !== TAG.number) return BY_TAG[tag] ?? 'missing';
  return bsonType(value) === 'Decimal128' ? 'decimal' : bsonType(value) === 'Double' ? 'double' : 'long';
}

/** Builds the test for `$type: alias or number`. */
export function typeTest(wanted: unknown): (value: unknown) => boolean {
  if (wanted === 'number') return (value) => tagOf(value) === TAG.number;
  const name = typeof wanted === 'string' ? wanted : NAMES.get(Number(wanted));
  if (name === undefined || !(name in CODES)) return fail(2, `Unknown type name alias: ${String(wanted)}`);
  return (value) => value !== undefined && typeName(value) === name;
}
