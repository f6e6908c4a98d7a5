import type { Binary, Decimal128, Long, ObjectId, Timestamp } from 'bson';
import { bsonType, TAG, tagOf, type Doc, type Tag } from './values.ts';

/** Less than any tag, and so less than whatever a longer array or document goes on with. */
const END = Buffer.of(0);

/** What tells values of one type apart; a type that is not here has one value. */
const PAYLOADS: Readonly<Partial<Record<Tag, (value: never) => Uint8Array[]>>> = {
  [TAG.number]: (value: number | Long | Decimal128) => [number(value)],
  [TAG.string]: (value: string) => [text(value)],
  [TAG.bool]: (value: boolean) => [Buffer.of(Number(value))],
  // A date outside of JavaScript's range is read as an invalid one.
  [TAG.date]: (value: Date) => [uint64(BigInt(value.getTime() || 0) + 2n ** 63n)],
  [TAG.timestamp]: (value: Timestamp) => [uint64(BigInt.asUintN(64, value.toBigInt()))],
  [TAG.objectId]: (value: ObjectId) => [value.id],
  [TAG.binData]: (value: Binary) => [uint32(value.position), Buffer.of(value.sub_type), value.value()],
  [TAG.array]: (value: unknown[]) => [...value.flatMap(keyParts), END],
  [TAG.object]: (value: Doc) => [...Object.entries(value).flatMap(fieldParts), END],
  [TAG.regex]: (value: RegExp) => [text(value.source), text(value.flags)],
};

/** Each tag as the byte that a key begins with. */
const TAG_BYTES = Array.from({ length: 256 }, (_, tag) => Buffer.of(tag));

/**
 * Writes a value so that comparing the bytes compares the values in MongoDB's order; `descending` turns the order
 * round. No key is the beginning of another, so that concatenated keys compare field by field.
 */
export function encode(value: unknown, descending = false): Buffer {
  const key = Buffer.concat(keyParts(value));
  return descending ? invert(key) : key;
}

/** The pieces of a value's key, for a longer key to be made of. */
export function keyParts(value: unknown): Uint8Array[] {
  const tag = tagOf(value);
  const payload = PAYLOADS[tag] as ((value: unknown) => Uint8Array[]) | undefined;
  return [TAG_BYTES[tag] as Buffer, ...(payload?.(value) ?? [])];
}

function fieldParts([key, value]: [string, unknown]): Uint8Array[] {
  return [TAG_BYTES[tagOf(value)] as Buffer, text(key), ...keyParts(value)];
}

/** The double nearest to the number, then what is left of an int64 beyond 2^53. */
function number(value: number | Long | Decimal128): Buffer {
  let double = Number(value);
  let rest = 0;
  if (typeof value === 'object' && bsonType(value) === 'Long') {
    const exact = (value as Long).toBigInt();
    double = Number(exact);
    rest = Number(exact - BigInt(double));
  }
  const bytes = Buffer.allocUnsafe(10);
  if (Number.isNaN(double)) bytes.fill(0);
  else {
    bytes.writeDoubleBE(double === 0 ? 0 : double);
    if (double < 0) invert(bytes);
    else bytes[0] = (bytes[0] as number) ^ 0x80;
  }
  bytes.writeUInt16BE(rest + 0x8000, 8);
  return bytes;
}

/** UTF-8 with zeros escaped, ended by two zeros. */
function text(value: string): Buffer {
  return Buffer.from(`${value.includes('\0') ? value.replaceAll('\0', '\0\u0001') : value}\0\0`);
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** Four bytes, big-endian. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Flips bytes in place, which turns their order round. */
export function invert(bytes: Buffer): Buffer {
  for (const [at, byte] of bytes.entries()) bytes[at] = byte ^ 0xff;
  return bytes;
}

/** Compares two values in BSON order. */
export function compare(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (typeof a === 'number' && typeof b === 'number' && a === a && b === b) return a - b;
  return Buffer.compare(encode(a), encode(b));
}

/** Whether two values are equal to MongoDB (1 and Long 1 are; documents with fields in another order are not). */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  return tagOf(a) === tagOf(b) && typeof a !== 'string' && compare(a, b) === 0;
}

/** A value's key as a string, for sets and maps. */
export function identity(value: unknown): string {
  return encode(value).toString('latin1');
}
