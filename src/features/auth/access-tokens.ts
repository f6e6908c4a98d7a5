/** Access tokens: JWT HS256. The first secret signs, all of them verify, told apart by `kid`, so that secrets can be changed without signing anybody out. */
import { createHash, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { Fault, Id, type Session } from '../../protocol/index.ts';

const ISSUER = 'atelier';
const AUDIENCE = 'atelier';
const ALGORITHM = 'HS256';
/** Tokens of which it is remembered that they are genuine, about half a KiB each. */
const VERIFIED = 20_000;

/** jsonwebtoken accepts a token without `exp` and a `sub` that is an object, so every claim is checked here. */
const Claims = z.strictObject({
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  sub: Id,
  sid: Id,
  jti: z.string().min(16).max(64),
  typ: z.literal('access'),
  iat: z.int().min(0),
  exp: z.int().min(0),
});

export interface AccessTokens {
  /** A token that ends after the configured time, or at `latestMs` if that is sooner. */
  sign(userId: string, sessionId: string, latestMs: number): { accessToken: string; expiresInSeconds: number };
  /** The session that a token speaks for. Throws `unauthenticated`. Whether the session lives is not its business. */
  verify(accessToken: string): Session;
}

/** `secrets`: newest first, at least one. */
export function createAccessTokens(secrets: readonly string[], lifeSeconds: number, now: () => number): AccessTokens {
  // As a string or buffer a key would be tried as a public key first, at 750 µs for every token.
  const keys = new Map<string, KeyObject>(
    secrets.map((secret) => [kidOf(secret), createSecretKey(Buffer.from(secret, 'utf8'))]),
  );
  const [current] = keys;
  if (!current) throw new Error('createAccessTokens needs a secret');
  const [keyid, signingKey] = current;
  /** A storm of reconnects brings tokens that were seen a moment ago. */
  const verified = new LRUCache<string, Session>({ max: VERIFIED });

  return {
    sign(userId, sessionId, latestMs) {
      const iat = Math.floor(now() / 1000);
      const exp = Math.min(iat + lifeSeconds, Math.floor(latestMs / 1000));
      const claims: z.input<typeof Claims> = {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: userId,
        sid: sessionId,
        jti: randomBytes(12).toString('base64url'),
        typ: 'access',
        iat,
        exp,
      };
      return {
        accessToken: jwt.sign(claims, signingKey, { algorithm: ALGORITHM, keyid }),
        expiresInSeconds: exp - iat,
      };
    },

    verify(accessToken) {
      const known = verified.get(accessToken);
      if (known && known.expiresAtMs > now()) return known;
      const kid = kidIn(accessToken);
      const key = kid === undefined ? undefined : keys.get(kid);
      if (!key) throw refused();
      const { sub, sid, exp } = claimsOf(accessToken, key, now());
      const session: Session = { userId: sub, sessionId: sid, expiresAtMs: exp * 1000 };
      verified.set(accessToken, session);
      return session;
    },
  };
}

function claimsOf(token: string, key: KeyObject, nowMs: number): z.output<typeof Claims> {
  let payload: unknown;
  try {
    payload = jwt.verify(token, key, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: AUDIENCE,
      clockTimestamp: nowMs / 1000,
    });
  } catch (error) {
    if (error instanceof jwt.TokenExpiredError) throw new Fault('unauthenticated', 'The access token has expired');
    throw refused();
  }
  const claims = Claims.safeParse(payload);
  if (!claims.success) throw refused();
  return claims.data;
}

/** The name of the key that a token says it is signed with. */
function kidIn(token: string): string | undefined {
  try {
    return jwt.decode(token, { complete: true })?.header.kid;
  } catch {
    // Its payload is no JSON.
    return undefined;
  }
}

const refused = (): Fault => new Fault('unauthenticated', 'The access token is not valid');

/** Names a secret without telling anything that a token's signature does not. */
const kidOf = (secret: string): string =>
  createHash('sha256').update(`atelier/kid|${secret}`).digest('base64url').slice(0, 11);
