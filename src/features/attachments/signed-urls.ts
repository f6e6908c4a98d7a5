/** Addresses that serve one attachment to whoever has them, for a while. */
import { LIMITS } from '../../protocol/index.ts';
import { createSignedAddresses, type Signature } from '../uploads/index.ts';

export interface SignedUrls {
  sign(id: string): { url: string; urlExpiresAt: string };
  /** What the query says, checked. */
  isGood(id: string, query: Signature): boolean;
}

export function createSignedUrls(secret: string, now: () => number): SignedUrls {
  const addresses = createSignedAddresses({
    secret,
    purpose: 'attachment-urls',
    lifetimeMs: LIMITS.attachmentUrlMs,
    now,
  });
  return {
    sign(id) {
      const { query, expiresAt } = addresses.sign(id);
      return { url: `/api/attachments/${id}?${query}`, urlExpiresAt: expiresAt };
    },
    isGood: (id, signed) => addresses.isGood(signed, id),
  };
}
