import { createSecretKey } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { describe, expect, test } from 'vitest';
import { createAccessTokens } from '../../../src/features/auth/access-tokens.ts';
import { Fault } from '../../../src/protocol/index.ts';
import { SECRET } from './harness.ts';

const { decode, sign } = jwt;

const userId = '0123456789abcdef01234567';
const sessionId = '89abcdef0123456789abcdef';
const OLD_SECRET = 'an-older-secret-for-access-tokens-here';
const startMs = 1_800_000_000_000;

const open = (secrets = [SECRET], nowMs = startMs) => createAccessTokens(secrets, 900, () => nowMs);
const NEVER = Number.MAX_SAFE_INTEGER;

const codeOf = (verify: () => unknown): string => {
  try {
    verify();
    return 'ok';
  } catch (error) {
    return error instanceof Fault ? error.code : `not a fault: ${String(error)}`;
  }
};

describe('an access token', () => {
  test('names its user and session and says when it ends', () => {
    const { accessToken, expiresInSeconds } = open().sign(userId, sessionId, NEVER);
    expect(expiresInSeconds).toBe(900);
    expect(open().verify(accessToken)).toEqual({ userId, sessionId, expiresAtMs: startMs + 900_000 });
    const { header, payload } = decode(accessToken, { complete: true }) as { header: object; payload: object };
    expect(header).toMatchObject({ alg: 'HS256', kid: expect.any(String) as string });
    expect(Object.keys(payload).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub', 'typ']);
  });

  test('ends with its session, if that is sooner', () => {
    const { accessToken, expiresInSeconds } = open().sign(userId, sessionId, startMs + 60_000);
    expect(expiresInSeconds).toBe(60);
    expect(codeOf(() => open([SECRET], startMs + 61_000).verify(accessToken))).toBe('unauthenticated');
  });

  test('is good until it expires and not after', () => {
    const { accessToken } = open().sign(userId, sessionId, NEVER);
    expect(codeOf(() => open([SECRET], startMs + 899_000).verify(accessToken))).toBe('ok');
    expect(codeOf(() => open([SECRET], startMs + 900_000).verify(accessToken))).toBe('unauthenticated');
  });

  test('of an older secret is good while that is still named', () => {
    const { accessToken } = open([OLD_SECRET]).sign(userId, sessionId, NEVER);
    expect(codeOf(() => open([SECRET, OLD_SECRET]).verify(accessToken))).toBe('ok');
    expect(codeOf(() => open([SECRET]).verify(accessToken))).toBe('unauthenticated');
    const newer = open([SECRET, OLD_SECRET]).sign(userId, sessionId, NEVER).accessToken;
    expect(codeOf(() => open([SECRET]).verify(newer))).toBe('ok');
  });

  const good = decode(open().sign(userId, sessionId, NEVER).accessToken, { complete: true });
  const claims = good?.payload as Record<string, unknown>;
  const kid = good?.header.kid ?? '';
  const forged = (payload: Record<string, unknown>, secret = SECRET, options: jwt.SignOptions = {}): string =>
    sign(payload, createSecretKey(Buffer.from(secret)), { algorithm: 'HS256', keyid: kid, ...options });
  const without = (name: string): Record<string, unknown> => {
    const { [name]: _, ...rest } = claims;
    return rest;
  };
  const unsigned = [{ alg: 'none', typ: 'JWT', kid }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');

  test('made as ours are passes', () => {
    expect(codeOf(() => open().verify(forged(claims)))).toBe('ok');
  });

  const bad: [string, string][] = [
    ['without an end', forged(without('exp'))],
    ['without a session', forged(without('sid'))],
    ['without an id', forged(without('jti'))],
    ['without a type', forged(without('typ'))],
    ['without a subject', forged(without('sub'))],
    ['without an issuer', forged(without('iss'))],
    ['of another type', forged({ ...claims, typ: 'refresh' })],
    ['of another issuer', forged({ ...claims, iss: 'somebody' })],
    ['for another audience', forged({ ...claims, aud: 'somebody' })],
    ['for several audiences', forged({ ...claims, aud: ['atelier', 'somebody'] })],
    ['whose subject is no id', forged({ ...claims, sub: '../admin' })],
    ['with a claim too many', forged({ ...claims, admin: true })],
    ['signed with another secret', forged(claims, OLD_SECRET)],
    ['of another algorithm', forged(claims, SECRET, { algorithm: 'HS512' })],
    ['without a key id', sign(claims, createSecretKey(Buffer.from(SECRET)), { algorithm: 'HS256' })],
    ['with an unknown key id', forged(claims, SECRET, { keyid: '__proto__' })],
    ['that is not signed', `${unsigned}.`],
    [
      'whose payload is no JSON',
      forged(claims).replace(/\.[^.]+\./, `.${Buffer.from('{oops').toString('base64url')}.`),
    ],
    ['that is no token', 'x'.repeat(4_000)],
    ['of empty parts', '..'],
    ['that is empty', ''],
  ];
  test.each(bad)('%s is refused', (_title, token) => {
    expect(codeOf(() => open().verify(token))).toBe('unauthenticated');
  });
});
