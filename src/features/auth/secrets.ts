/** Keyed hashes for what may not be stored as it is. Each purpose has a key of its own, derived from the pepper. */
import { createHmac, createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto';

/** A 256-bit key for one purpose. */
export function deriveKey(pepper: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', pepper, '', `atelier/${purpose}`, 32)));
}

/** HMAC-SHA-256 of the parts, base64url (43 characters). The parts must not contain `|` unless they are the last one. */
export function keyedHash(key: KeyObject, ...parts: string[]): string {
  return createHmac('sha256', key).update(parts.join('|')).digest('base64url');
}

/** Compares two hashes of one kind without telling by its time where they differ. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
