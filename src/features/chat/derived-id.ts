/** Ids that guard an outcome: a second insert of the same thing finds the first. */
import { createHash } from 'node:crypto';
import { Types } from 'mongoose';

/** An id that follows from its parts: the first 12 bytes of their SHA-256. */
export function derivedId(...parts: readonly string[]): Types.ObjectId {
  return new Types.ObjectId(createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 12));
}
