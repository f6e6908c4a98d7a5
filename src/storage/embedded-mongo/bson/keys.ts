import type { Binary, Timestamp } from 'bson';
import { bsonType, TAG, tagOf, type Doc } from './values.ts';

// The key that is being written. Only `encode` starts one, and it copies it before anyone else can.
let bytes = Buffer.allocUnsafe(16_384);
let at = 0;

/**
 * Writes a value so that comparing the bytes compares the values in MongoDB's order; `descending` turns the order
 * round. No key is the beginning of another, so that concatenated keys compare field by field.
 */
export function encode(value: unknown, descending = false): Buffer {
  at = 0;
  put(value);
  const key = Buffer.from(bytes.subarray(0, at));
  return descending ? invert(key) : key;
}

function room(size: number): void {
  if (at + size <= bytes.length) return;
  const larger = Buffer.allocUnsafe((at + size) * 2);
  bytes.copy(larger, 0, 0, at);
  bytes = larger;
}

function byte(value: number): void {
  room(1);
  bytes[at++] = value;
}

function raw(source: Uint8Array): void {
  room(source.length);
  bytes.set(source, at);
  at += source.length;
}

function put(value: unknown): void {
  const tag = tagOf(value);
  byte(tag);
  switch (tag) {
    case TAG.number:
      return number(value as number | object);
    case TAG.string:
      return text(value as string);
    case TAG.bool:
      return byte(value ? 1 : 0);
    case TAG.date:
      // A date outside of JavaScript's range is read as an invalid one.
      return uint64(BigInt(Number(value) || 0) + 2n ** 63n);
    case TAG.timestamp:
      return uint64(BigInt.asUintN(64, (value as Timestamp).toBigInt()));
    case TAG.objectId:
      return raw((value as { id: Uint8Array }).id);
    case TAG.binData:
      return binary(value as Binary);
    case TAG.array:
      for (const element of value as unknown[]) put(element);
      return byte(0);
    case TAG.object:
      for (const [key, field] of Object.entries(value as Doc)) {
        byte(tagOf(field));
        text(key);
        put(field);
      }
      return byte(0);
    case TAG.regex:
      text((value as RegExp).source);
      return text((value as RegExp).flags);
    default:
    // Of the other types there is one value each.
  }
}

/** The double nearest to the number, then what is left of an int64 beyond 2^53. */
function number(value: number | object): void {
  let double: number;
  let rest = 0;
  if (typeof value === 'object' && bsonType(value) === 'Long') {
    const exact = BigInt(String(value));
    double = Number(exact);
    rest = Number(exact - BigInt(double));
  } else double = Number(value);
  room(10);
  if (Number.isNaN(double)) bytes.fill(0, at, at + 8);
  else {
    bytes.writeDoubleBE(double === 0 ? 0 : double, at);
    if (double < 0) invert(bytes, at, at + 8);
    else bytes[at] = (bytes[at] as number) ^ 0x80;
  }
  at = bytes.writeUInt16BE(rest + 0x8000, at + 8);
}

function uint64(value: bigint): void {
  room(8);
  at = bytes.writeBigUInt64BE(value, at);
}

function binary(value: Binary): void {
  raw(uint32(value.position));
  byte(value.sub_type);
  raw(value.value());
}

/** UTF-8 with zeros escaped, ended by two zeros. */
function text(value: string): void {
  const escaped = value.includes('\0') ? value.replaceAll('\0', '\0\u0001') : value;
  room(escaped.length * 3 + 2);
  at += bytes.write(escaped, at);
  at = bytes.writeUInt16BE(0, at);
}

/** Flips bytes in place, which turns their order round. */
export function invert(bytes: Buffer, from = 0, to = bytes.length): Buffer {
  for (let at = from; at < to; at++) bytes[at] = (bytes[at] as number) ^ 0xff;
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

/** Four bytes, big-endian. */
export function uint32(value: number): Buffer {
  const result = Buffer.allocUnsafe(4);
  result.writeUInt32BE(value);
  return result;
}
