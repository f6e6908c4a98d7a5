import { deserialize, ObjectId, serialize } from 'bson';
import { fail, refuse } from '../errors.ts';

/** A document as `bson` reads it: a plain object whose values are JavaScript or BSON values. */
export type Doc = Record<string, unknown>;

/** Rank of each BSON type, by its alias, in MongoDB's comparison order; also the first byte of an encoded key. */
export const TAG = {
  minKey: 1,
  missing: 4,
  null: 5,
  number: 10,
  string: 20,
  object: 30,
  array: 40,
  binData: 50,
  objectId: 60,
  bool: 70,
  date: 80,
  timestamp: 85,
  regex: 90,
  maxKey: 240,
} as const;
export type Tag = (typeof TAG)[keyof typeof TAG];

const BSON_TAGS: Readonly<Record<string, Tag>> = {
  ObjectId: TAG.objectId,
  Binary: TAG.binData,
  Long: TAG.number,
  Decimal128: TAG.number,
  Timestamp: TAG.timestamp,
  MinKey: TAG.minKey,
  MaxKey: TAG.maxKey,
};

/** Stands for an empty array among the keys of an index or a sort, where it ranks below null. */
export const EMPTY_ARRAY = Symbol('empty array');

/** The name that bson gives to its own value classes, if the value is one. */
export function bsonType(value: object): string | undefined {
  // A document may have a field of its own that is called _bsontype; bson's classes inherit theirs.
  return '_bsontype' in value && !Object.hasOwn(value, '_bsontype') ? String(value._bsontype) : undefined;
}

/** The comparison rank of a value. A missing field (`undefined`) ranks as null, as in MongoDB. */
export function tagOf(value: unknown): Tag {
  if (typeof value === 'string') return TAG.string;
  if (typeof value === 'number') return TAG.number;
  if (typeof value === 'boolean') return TAG.bool;
  if (value === EMPTY_ARRAY) return TAG.missing;
  if (typeof value !== 'object' || value === null) return TAG.null;
  if (Array.isArray(value)) return TAG.array;
  if (value instanceof Date) return TAG.date;
  if (value instanceof RegExp) return TAG.regex;
  const name = bsonType(value);
  return name === undefined ? TAG.object : (BSON_TAGS[name] ?? refuse(`the BSON type ${name}`));
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
export function clone<T>(value: T): T;
export function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (!isDoc(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, clone(inner)]));
}

/** The document with `_id` as its first field, made where it is missing. */
export function withId(doc: Doc, fallback: unknown = new ObjectId()): Doc {
  const { _id = fallback, ...fields } = doc;
  return { _id, ...fields };
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
