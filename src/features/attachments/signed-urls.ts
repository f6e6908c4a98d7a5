/** Addresses that serve one attachment to whoever has them, for a while: an `<img>` sends no token. */
import { LIMITS } from '../../protocol/index.ts';
import { deriveKey, keyedHash, sameHash } from '../auth/index.ts';

/** One address serves all who ask within this time, so that a picture shown again comes from the browser's cache. */
const STEP_SECONDS = 300;

export interface SignedUrls {
  sign(id: string): { url: string; urlExpiresAt: string };
  /** What the query says, checked. */
  isGood(id: string, query: { expires: string; signature: string }): boolean;
}

export function createSignedUrls(secret: string, now: () => number): SignedUrls {
  const key = deriveKey(secret, 'attachment-urls');
  return {
    sign(id) {
      const nowSeconds = Math.floor(now() / 1_000);
      const expires = nowSeconds - (nowSeconds % STEP_SECONDS) + LIMITS.attachmentUrlMs / 1_000;
      return {
        url: `/api/attachments/${id}?expires=${expires}&signature=${keyedHash(key, id, String(expires))}`,
        urlExpiresAt: new Date(expires * 1_000).toISOString(),
      };
    },
    isGood: (id, { expires, signature }) =>
      /^\d{1,12}$/.test(expires) && Number(expires) * 1_000 > now() && sameHash(signature, keyedHash(key, id, expires)),
  };
}
