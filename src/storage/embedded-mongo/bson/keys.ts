import { createHash } from 'node:crypto';
import type { Binary, Timestamp } from 'bson';
import { bsonType, TAG, tagOf, type Doc } from './values.ts';

/** Longer strings are cut in index keys (LMDB keys are short): prefix and digest, exact for equality only. */
export const LONGEST_STRING = 512;
const DIGEST_BYTES = 20;
const TWO_32 = 2 ** 32;

/**
 * Writes values so that comparing the bytes compares the values in MongoDB's order. Every value is prefix-free,
 * so that concatenated values compare field by field.
 */
export class KeyWriter {
  /** Whether a string was cut since `start`. */
  cut = false;
  #bytes = Buffer.allocUnsafe(16_384);
  #at = 0;
  #longest = Number.POSITIVE_INFINITY;

  /** Begins a key. With `short`, long strings are cut to fit an LMDB key. */
  start(short: boolean, prefix?: Buffer): this {
    this.#at = 0;
    this.#longest = short ? LONGEST_STRING : Number.POSITIVE_INFINITY;
    this.cut = false;
    if (prefix) this.#raw(prefix);
    return this;
  }

  /** Appends one value; `descending` inverts its bytes and thereby its order. */
  value(value: unknown, descending = false): this {
    const from = this.#at;
    this.#put(value);
    if (descending) invert(this.#bytes, from, this.#at);
    return this;
  }

  /** A copy of the key. */
  take(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe((this.#at + size) * 2);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = byte;
  }

  #raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #put(value: unknown): void {
    const tag = tagOf(value);
    this.#byte(tag);
    switch (tag) {
      case TAG.number:
        return this.#number(value as number);
      case TAG.string:
        return this.#text(String(value));
      case TAG.boolean:
        return this.#byte(value ? 1 : 0);
      case TAG.date:
        return this.#date(Number(value));
      case TAG.objectId:
        return this.#raw((value as { id: Uint8Array }).id);
      case TAG.timestamp:
        this.#room(8);
        this.#at = this.#bytes.writeBigUInt64BE(BigInt.asUintN(64, (value as Timestamp).toBigInt()), this.#at);
        return;
      case TAG.binary:
        return this.#binary(value as Uint8Array | Binary);
      case TAG.array:
        for (const element of value as unknown[]) this.#put(element);
        return this.#byte(0);
      case TAG.object:
        for (const [key, field] of Object.entries(value as Doc)) {
          this.#byte(tagOf(field));
          this.#text(key);
          this.#put(field);
        }
        return this.#byte(0);
      case TAG.regex: {
        const regex = value as { source?: string; flags?: string; pattern?: string; options?: string };
        this.#text(regex.source ?? regex.pattern ?? '');
        return this.#text(regex.flags ?? regex.options ?? '');
      }
      case TAG.code:
        return this.#text(String((value as { code: unknown }).code));
      case TAG.min:
      case TAG.missing:
      case TAG.null:
      case TAG.max:
    }
  }

  /** The double nearest to the number, then what is left of an int64 beyond 2^53. */
  #number(value: number | bigint | { toString(): string }): void {
    let double: number;
    let rest = 0;
    if (typeof value === 'number') double = value;
    else if (typeof value === 'bigint' || bsonType(value) === 'Long') {
      const exact = BigInt(value.toString());
      double = Number(exact);
      rest = Number(exact - BigInt(double));
    } else double = Number.parseFloat(value.toString());
    this.#room(10);
    const bytes = this.#bytes;
    const at = this.#at;
    this.#at += 10;
    if (Number.isNaN(double)) {
      bytes.fill(0, at, at + 10);
      return;
    }
    bytes.writeDoubleBE(double === 0 ? 0 : double, at);
    const high = bytes[at] as number;
    if (high & 0x80) invert(bytes, at, at + 8);
    else bytes[at] = high ^ 0x80;
    bytes.writeUInt16BE(rest + 0x8000, at + 8);
  }

  #date(time: number): void {
    const milliseconds = Number.isNaN(time) ? 0 : time;
    const high = Math.floor(milliseconds / TWO_32);
    this.#room(8);
    this.#at = this.#bytes.writeUInt32BE(high + 2 ** 31, this.#at);
    this.#at = this.#bytes.writeUInt32BE(milliseconds - high * TWO_32, this.#at);
  }

  #binary(value: Uint8Array | Binary): void {
    const bytes = value instanceof Uint8Array ? value : value.buffer.subarray(0, value.position);
    this.#room(5);
    this.#at = this.#bytes.writeUInt32BE(bytes.length, this.#at);
    this.#byte(value instanceof Uint8Array ? 0 : value.sub_type);
    this.#raw(bytes);
  }

  /** UTF-8 with zero bytes escaped, ended by two zeros. */
  #text(text: string): void {
    this.#room(text.length * 3 + DIGEST_BYTES + 3);
    let size = this.#bytes.write(text, this.#at);
    if (size > this.#longest) {
      this.cut = true;
      const digest = createHash('sha1')
        .update(this.#bytes.subarray(this.#at, this.#at + size))
        .digest();
      size = this.#longest + 1 + DIGEST_BYTES;
      this.#bytes[this.#at + this.#longest] = 1;
      digest.copy(this.#bytes, this.#at + this.#longest + 1);
    }
    const written = this.#bytes.subarray(this.#at, this.#at + size);
    if (written.includes(0)) {
      const plain = Buffer.from(written);
      this.#room(size * 2 + 2);
      for (const byte of plain) {
        this.#byte(byte);
        if (byte === 0) this.#byte(0xff);
      }
    } else this.#at += size;
    this.#bytes[this.#at++] = 0;
    this.#bytes[this.#at++] = 0;
  }
}

const writer = new KeyWriter();

/** The exact key of one value, for comparing, sorting and grouping. */
export function encode(value: unknown): Buffer {
  return writer.start(false).value(value).take();
}

/** The key of one value as it stands in an index. */
export function encodeShort(value: unknown, descending = false): Buffer {
  return writer.start(true).value(value, descending).take();
}

/** What an index stores for an empty array: less than null. */
export function encodeMissing(descending = false): Buffer {
  return Buffer.from([descending ? TAG.missing ^ 0xff : TAG.missing]);
}

/** Flips bytes in place, which turns their order around. */
export function invert(bytes: Buffer, from = 0, to = bytes.length): Buffer {
  for (let at = from; at < to; at++) bytes[at] = (bytes[at] as number) ^ 0xff;
  return bytes;
}

/** Compares two values in BSON order. */
export function compare(a: unknown, b: unknown): number {
  return typeof a === 'number' && typeof b === 'number' && a === a && b === b
    ? a - b || 0
    : Buffer.compare(encode(a), encode(b));
}

/** Whether two values are equal to MongoDB (1 and Long 1 are; documents with fields in another order are not). */
export function same(a: unknown, b: unknown): boolean {
  return a === b || (tagOf(a) === tagOf(b) && encode(a).equals(encode(b)));
}

/** A value's key as a string, for sets and maps. */
export function identity(value: unknown): string {
  return encode(value).toString('latin1');
}

/** Four bytes, big-endian. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
