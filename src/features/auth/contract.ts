/** Signing in and staying signed in. HTTP only, but for `auth:refresh`. */
import { z } from 'zod';
import { Empty, event, Id, LIMITS, operation } from '../../protocol/index.ts';
import { Name, Profile, Username } from '../users/contract.ts';

const Email = z.string().trim().toLowerCase().max(254).pipe(z.email());
/** Length only; the commonest are refused by the handler. */
const NewPassword = z.string().min(8).max(128);
const PhoneNumber = z.string().trim().min(4).max(32).meta({ description: 'E.164, as +14155550100' });

export const Tokens = z.object({
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresInSeconds: z.int().meta({ description: "The access token's" }),
});
export const SignedIn = Tokens.extend({ user: Profile });

export const authContract = {
  'auth:register': operation({
    input: z.strictObject({
      email: Email,
      password: NewPassword,
      name: Name.optional(),
      username: Username.optional(),
    }),
    output: SignedIn,
    auth: 'public',
    rate: 'anonymous',
    http: { route: 'POST /api/auth/register', flat: true, only: true },
    doc: 'Makes an account and signs in. An e-mail address or username that is taken is a conflict; one of the commonest passwords is invalid. Without a name the username or the part before the @ is taken.',
  }),
  'auth:login': operation({
    input: z.strictObject({
      email: Email.optional(),
      username: Username.optional(),
      password: z.string().min(1).max(128),
    }),
    output: SignedIn,
    auth: 'public',
    rate: 'anonymous',
    http: { route: 'POST /api/auth/login', flat: true, only: true },
    doc: 'Signs in by e-mail address or username. A wrong pair is unauthenticated, in the same time whether the user exists or not; after five failures rate_limited with retryAfterMs. Who is banned is forbidden, with `detail: { reason, until? }`.',
  }),
  'auth:send-otp': operation({
    input: z.strictObject({ phoneNumber: PhoneNumber, channel: z.enum(['sms', 'whatsapp']).default('sms') }),
    output: z.object({ challengeId: Id, expiresInSeconds: z.int(), resendAfterSeconds: z.int() }),
    auth: 'public',
    rate: 'anonymous',
    timeoutMs: 20_000,
    http: { route: 'POST /api/auth/send-otp', flat: true, only: true },
    doc: 'Sends a six-digit code to a phone. Too soon or too often is rate_limited; a country that is not served is unsupported; without a provider unavailable.',
  }),
  'auth:verify-otp': operation({
    input: z.strictObject({
      phoneNumber: PhoneNumber,
      otp: z.string().regex(/^\d{6}$/, 'must be six digits'),
      challengeId: Id.optional(),
    }),
    output: SignedIn,
    auth: 'public',
    rate: 'anonymous',
    http: { route: 'POST /api/auth/verify-otp', flat: true, only: true },
    doc: 'Exchanges the code for tokens; the first success makes the user. A wrong or expired code is unauthenticated.',
  }),
  'auth:refresh-token': operation({
    input: z.strictObject({ refreshToken: z.string().min(1).max(512) }),
    output: Tokens,
    auth: 'public',
    rate: 'anonymous',
    http: { route: 'POST /api/auth/refresh-token', flat: true, only: true, bearer: 'refreshToken' },
    doc: 'A new pair for a refresh token, in the body or as `Authorization: Bearer`. The same token within 20 s gets the same successor; an older one revokes the session and closes its sockets. Who is banned is forbidden, with `detail: { reason, until? }`.',
  }),
  'auth:logout': operation({
    input: z.strictObject({ refreshToken: z.string().min(1).max(512).optional() }),
    output: Empty,
    auth: 'public',
    rate: 'anonymous',
    http: { route: 'POST /api/auth/logout', flat: true, only: true },
    doc: 'Ends the session of the access token (bearer) or refresh token and closes its sockets. Ending a session that has ended is no error.',
  }),
  'auth:me': operation({
    input: z.strictObject({}),
    output: z.object({ user: Profile }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/auth/me', flat: true },
    doc: 'Who the caller is.',
  }),
  'auth:refresh': operation({
    input: z.strictObject({ accessToken: z.string().min(1).max(4_096) }),
    output: z.object({ expiresInSeconds: z.int() }),
    auth: 'user',
    rate: 'writes',
    orderKey: () => 'auth',
    doc: 'Swaps the access token of the live connection for a newer one of the same user.',
  }),
};

export const authEvents = {
  'session:expiring': event({
    data: z.object({ expiresInSeconds: z.int() }),
    doc: `The token ends soon: send auth:refresh, or the connection closes ${LIMITS.expiryGraceMs / 1000} s after its end.`,
  }),
  'session:closed': event({
    data: z.object({ reason: z.enum(['expired', 'revoked', 'logout', 'reuse', 'banned']) }),
    doc: 'The session has ended; the connection closes.',
  }),
};
