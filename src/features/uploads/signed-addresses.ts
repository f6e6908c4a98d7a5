/** Addresses that serve whoever has them, for a while: an `<img>` sends no token, nor does a plain PUT. */
import { deriveKey, keyedHash, sameHash } from '../auth/index.ts';

/** One address serves all who ask within this time, so that a picture shown again comes from the browser's cache. */
const STEP_SECONDS = 300;

export interface Signature {
  expires: string;
  signature: string;
}

export interface SignedAddresses {
  /** What the query of an address for this thing says, and when it ends. */
  sign(...thing: readonly string[]): { query: string; expiresAt: string };
  /** What the query of a request says, checked. */
  isGood(signed: Signature, ...thing: readonly string[]): boolean;
}

export interface SignedAddressesOptions {
  secret: string;
  /** Signatures of one purpose are good for no other. */
  purpose: string;
  lifetimeMs: number;
  now: () => number;
}

/** A thing is named by ids: its parts must not contain `|`, unless it is the last one. */
export function createSignedAddresses({ secret, purpose, lifetimeMs, now }: SignedAddressesOptions): SignedAddresses {
  const key = deriveKey(secret, purpose);
  const signatureOf = (expires: string, thing: readonly string[]): string => {
    const [first = '', ...rest] = thing;
    return keyedHash(key, first, expires, ...rest);
  };
  return {
    sign(...thing) {
      const nowSeconds = Math.floor(now() / 1_000);
      const expires = String(nowSeconds - (nowSeconds % STEP_SECONDS) + lifetimeMs / 1_000);
      return {
        query: `expires=${expires}&signature=${signatureOf(expires, thing)}`,
        expiresAt: new Date(Number(expires) * 1_000).toISOString(),
      };
    },
    isGood: ({ expires, signature }, ...thing) =>
      /^\d{1,12}$/.test(expires) && Number(expires) * 1_000 > now() && sameHash(signature, signatureOf(expires, thing)),
  };
}
