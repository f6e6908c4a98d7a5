import { Binary, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, invert, same } from '../../../src/storage/embedded-mongo/bson/keys.ts';

// An independent statement of MongoDB's order, by value rather than by bytes.
const rank = (v: unknown): number => {
  if (v instanceof MinKey) return 0;
  if (v === null) return 1;
  if (v instanceof Timestamp) return 10; // before Long, which it extends
  if (typeof v === 'number' || v instanceof Long) return 2;
  if (typeof v === 'string') return 3;
  if (Array.isArray(v)) return 5;
  if (v instanceof Binary) return 6;
  if (v instanceof ObjectId) return 7;
  if (typeof v === 'boolean') return 8;
  if (v instanceof Date) return 9;
  if (v instanceof MaxKey) return 12;
  return 4;
};
const ordered = <T>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
const numbers = (a: unknown, b: unknown): number => {
  if (Number.isNaN(a) || Number.isNaN(b)) return ordered(Number(!Number.isNaN(a)), Number(!Number.isNaN(b)));
  const exact = (v: unknown) => (v instanceof Long ? v.toBigInt() : (v as number));
  return ordered<number | bigint>(exact(a), exact(b));
};
const lists = (a: unknown[], b: unknown[]): number => {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = reference(a[i], b[i]);
    if (order) return order;
  }
  return ordered(a.length, b.length);
};
const documents = (a: object, b: object): number => {
  const [left, right] = [Object.entries(a), Object.entries(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [[k1, v1], [k2, v2]] = [left[i] as [string, unknown], right[i] as [string, unknown]];
    const order = ordered(rank(v1), rank(v2)) || Buffer.compare(Buffer.from(k1), Buffer.from(k2)) || reference(v1, v2);
    if (order) return order;
  }
  return ordered(left.length, right.length);
};
function reference(a: unknown, b: unknown): number {
  const type = rank(a);
  if (type !== rank(b)) return ordered(type, rank(b));
  if (type === 2) return numbers(a, b);
  if (type === 3) return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
  if (type === 4) return documents(a as object, b as object);
  if (type === 5) return lists(a as unknown[], b as unknown[]);
  if (type === 6) {
    const [x, y] = [a as Binary, b as Binary];
    return ordered(x.position, y.position) || ordered(x.sub_type, y.sub_type) || Buffer.compare(x.value(), y.value());
  }
  if (type === 7) return ordered((a as ObjectId).toHexString(), (b as ObjectId).toHexString());
  if (type === 8) return ordered(Number(a), Number(b));
  if (type === 9) return ordered(Number(a), Number(b));
  if (type === 10) return ordered((a as Timestamp).toBigInt(), (b as Timestamp).toBigInt());
  return 0;
}

const text = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.constantFrom('', '\0', 'a', 'a\0', 'a\0b', 'a\u0001', 'é', '\u{1f600}'),
);
const scalar = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.double(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
  fc.constantFrom(0, -0, 2 ** 53, Long.fromBigInt(2n ** 53n + 1n), Long.fromBigInt(2n ** 53n - 1n), NaN, Infinity),
  text,
  fc.boolean(),
  fc.constantFrom(null, new MinKey(), new MaxKey()),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 3 }).map((bytes) => new Binary(bytes)),
  fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
  fc.record({ t: fc.nat(3), i: fc.nat(3) }).map((at) => new Timestamp(at)),
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'ab', ''), tie('any'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).any;
const runs = { numRuns: 20_000, seed: 7 };

describe('key encoding', () => {
  it('orders bytes as BSON orders values', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(Math.sign(Buffer.compare(encode(a), encode(b)))).toBe(Math.sign(reference(a, b)));
      }),
      runs,
    );
  });

  it('orders descending keys the other way round, field by field', () => {
    const key = (a: unknown, b: unknown) => Buffer.concat([encode(a, true), encode(b)]);
    fc.assert(
      fc.property(value, value, value, value, (a1, b1, a2, b2) => {
        const expected = -reference(a1, a2) || reference(b1, b2);
        expect(Math.sign(Buffer.compare(key(a1, b1), key(a2, b2)))).toBe(Math.sign(expected));
      }),
      runs,
    );
  });

  it('is free of prefixes, so that fields can be joined', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [x, y] = [encode(a), encode(b)];
        expect(y.subarray(0, x.length).equals(x)).toBe(x.equals(y));
      }),
      runs,
    );
  });

  it('holds a number to be equal to the same number of another type', () => {
    expect(same(5, Long.fromNumber(5))).toBe(true);
    expect(same(2 ** 53, Long.fromBigInt(2n ** 53n + 1n))).toBe(false);
    expect(same({ a: 1, b: 2 }, { b: 2, a: 1 })).toBe(false);
    expect(same(0, -0)).toBe(true);
    expect(same('1', 1)).toBe(false);
  });

  it('inverts twice to the same bytes', () => {
    const bytes = encode(['a', 1]);
    expect(invert(invert(Buffer.from(bytes))).equals(bytes)).toBe(true);
  });
});
