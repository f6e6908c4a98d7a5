/** What a blob may be called: the same in every form, so that one can be moved into another. */
import { Fault } from '../../protocol/index.ts';

/** The first is an object store's bound with room for a deployment's prefix, the second a file system's with room for a suffix. */
export const KEY_BYTES = 512;
export const SEGMENT_BYTES = 200;
/** One page of a listing, as object stores have it. */
export const MOST_LISTED = 1_000;

/** Control characters; lone surrogates, which would all become one character; the backslash, which some systems take for a slash. */
const UNWANTED = /[\p{Cc}\p{Surrogate}\\]/u;

/**
 * The segments of a key, or `Fault('invalid')`: 1 to 512 bytes of well-formed Unicode, segments of 1 to 200 bytes
 * between slashes, none of them `.` or `..`.
 */
export function segmentsOf(key: string): string[] {
  if (!isKey(key)) throw new Fault('invalid', 'This name cannot be stored');
  return key.split('/');
}

export const isKey = (key: string): boolean =>
  mayBegin(key) &&
  key.split('/').every((segment) => !['', '.', '..'].includes(segment) && Buffer.byteLength(segment) <= SEGMENT_BYTES);

/** False of what no key begins with, and of what object stores would not understand. */
export const mayBegin = (prefix: string): boolean => Buffer.byteLength(prefix) <= KEY_BYTES && !UNWANTED.test(prefix);

/** By bytes of UTF-8, as object stores do; JavaScript compares UTF-16 units. */
export const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
