import { deserialize, Long, ObjectId, serialize } from 'bson';
import { fail, refuse } from '../errors.ts';

/** A document as `bson` reads it: a plain object whose values are JavaScript or BSON values. */
export type Doc = Record<string, unknown>;

/** Rank of each BSON type in MongoDB's comparison order; also the first byte of an encoded key. */
export const TAG = {
  min: 1,
  missing: 4,
  null: 5,
  number: 10,
  string: 20,
  object: 30,
  array: 40,
  binary: 50,
  objectId: 60,
  boolean: 70,
  date: 80,
  timestamp: 85,
  regex: 90,
  code: 95,
  max: 240,
} as const;
export type Tag = (typeof TAG)[keyof typeof TAG];

const BSON_TAGS: Readonly<Record<string, Tag>> = {
  ObjectId: TAG.objectId,
  Binary: TAG.binary,
  Long: TAG.number,
  Double: TAG.number,
  Int32: TAG.number,
  Decimal128: TAG.number,
  Timestamp: TAG.timestamp,
  MinKey: TAG.min,
  MaxKey: TAG.max,
  BSONRegExp: TAG.regex,
  BSONSymbol: TAG.string,
  Code: TAG.code,
};

/** The name bson gives to its own value classes, if the value is one. */
export function bsonType(value: unknown): string | undefined {
  return typeof value === 'object' && value !== null && '_bsontype' in value ? String(value._bsontype) : undefined;
}

/** The comparison rank of a value. A missing field (`undefined`) ranks as null, as in MongoDB. */
export function tagOf(value: unknown): Tag {
  if (typeof value === 'string') return TAG.string;
  if (typeof value === 'number' || typeof value === 'bigint') return TAG.number;
  if (typeof value === 'boolean') return TAG.boolean;
  if (typeof value !== 'object' || value === null) return TAG.null;
  if (Array.isArray(value)) return TAG.array;
  if (value instanceof Date) return TAG.date;
  if (value instanceof RegExp) return TAG.regex;
  if (value instanceof Uint8Array) return TAG.binary;
  const name = bsonType(value);
  // A document may have a field of its own that is called _bsontype; bson's classes inherit theirs.
  if (name === undefined || Object.hasOwn(value, '_bsontype')) return TAG.object;
  return BSON_TAGS[name] ?? refuse(`the BSON type ${name}`);
}

/** Whether a value is an embedded document. */
export function isDoc(value: unknown): value is Doc {
  return typeof value === 'object' && value !== null && tagOf(value) === TAG.object;
}

/** Whether a value is null or missing. */
export function isNil(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** Whether a value is a document of operators, such as `{ $gt: 1 }`. */
export function hasOperators(value: unknown): value is Doc {
  return isDoc(value) && Object.keys(value)[0]?.startsWith('$') === true;
}

/** A number given by a client in any BSON number type. */
export function numeric(value: unknown): number | undefined {
  return isNil(value) ? undefined : Number(value);
}

/** An own property, never an inherited one such as `constructor`. */
export function own(container: object, key: string | number): unknown {
  return Object.hasOwn(container, key) ? (container as Record<string | number, unknown>)[key] : undefined;
}

/** Sets an own property; a field that is called `__proto__` stays data. */
export function assign(container: object, key: string | number, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(container, key, { value, enumerable: true, writable: true, configurable: true });
  } else {
    (container as Record<string | number, unknown>)[key] = value;
  }
}

/** A deep copy of documents and arrays; other values are immutable here and shared. */
export function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (!isDoc(value)) return value;
  const copy: Doc = {};
  for (const key of Object.keys(value)) assign(copy, key, clone(value[key]));
  return copy;
}

/** A shallow copy that keeps a field called `__proto__` a field. */
export function copyOf(doc: Doc): Doc {
  const copy: Doc = {};
  for (const key of Object.keys(doc)) assign(copy, key, doc[key]);
  return copy;
}

/** The document with `_id` as its first field, made where it is missing. */
export function withId(doc: Doc, fallback: unknown = new ObjectId()): Doc {
  const result: Doc = { _id: doc['_id'] ?? fallback };
  for (const key of Object.keys(doc)) if (key !== '_id') assign(result, key, doc[key]);
  return result;
}

/** BSON of a document. */
export function toBson(doc: Doc): Buffer {
  try {
    const bytes = serialize(doc, { ignoreUndefined: true });
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (cause) {
    return fail(2, `not a BSON document: ${cause instanceof Error ? cause.message : 'unwritable'}`);
  }
}

/** Reads BSON; `rawDocuments` leaves the documents of an insert as they came. */
export function fromBson(bytes: Uint8Array, rawDocuments = false): Doc {
  try {
    return deserialize(bytes, rawDocuments ? { fieldsAsRaw: { documents: true } } : {});
  } catch (cause) {
    return fail(22, `invalid BSON: ${cause instanceof Error ? cause.message : 'unreadable'}`);
  }
}

/** An int64 for an answer. */
export function int64(value: number | bigint): Long {
  return typeof value === 'bigint' ? Long.fromBigInt(value) : Long.fromNumber(value);
}
