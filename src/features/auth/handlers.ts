/** One function for each operation of the contract. */
import type { Audit } from '../../observability/audit.ts';
import type { Limits } from '../../cluster/limits.ts';
import { Fault, type Context, type Handlers, type Session } from '../../protocol/index.ts';
import type { Profile } from '../users/contract.ts';
import type { Users } from '../users/index.ts';
import type { AccessTokens } from './access-tokens.ts';
import { isCommonPassword } from './common-passwords.ts';
import type { authContract } from './contract.ts';
import type { Lockout } from './lockout.ts';
import type { SignInMethod } from './model.ts';
import type { Otp } from './otp.ts';
import type { Passwords } from './passwords.ts';
import type { IssuedSession, SessionStore } from './session-store.ts';

/** Of one address, over all accounts: passwords and codes together. */
const ATTEMPTS_PER_ADDRESS = { points: 30, windowSeconds: 300 };

export interface AuthParts {
  users: Users;
  sessions: SessionStore;
  accessTokens: AccessTokens;
  passwords: Passwords;
  lockout: Lockout;
  otp: Otp;
  limits: Limits;
  audit: Audit;
  authenticate: (accessToken: string) => Promise<Session>;
  now: () => number;
}

interface Tokens {
  accessToken: string;
  refreshToken: string;
  expiresInSeconds: number;
}

export function createAuthHandlers(parts: AuthParts): Handlers<typeof authContract> {
  const { users, sessions, accessTokens, passwords, lockout, otp, audit } = parts;

  const tokensOf = (session: IssuedSession): Tokens => ({
    ...accessTokens.sign(session.userId, session.sessionId, session.absoluteExpiresAtMs),
    refreshToken: session.refreshToken,
  });

  async function signIn(user: Profile, method: SignInMethod, context: Context): Promise<Tokens & { user: Profile }> {
    const session = await sessions.start(user.id, method, context.origin);
    // Asked after the session stands: a ban that comes at the same time either ends the session or is seen here.
    await users.standing.assertNotBanned(user.id).catch(async (error: unknown) => {
      await sessions.end(session.sessionId, 'banned');
      failed(method, context, user.id);
      throw error;
    });
    const action = method === 'register' ? 'auth.register' : 'auth.login';
    audit.record({ action, userId: user.id, ok: true, origin: context.origin, detail: { method } });
    return { user, ...tokensOf(session) };
  }

  const failed = (method: SignInMethod, context: Context, target?: string): void => {
    audit.record({
      action: 'auth.login',
      ...(target === undefined ? {} : { target }),
      ok: false,
      origin: context.origin,
      detail: { method },
    });
  };

  /** Also ends a session that a ban has left behind. */
  const refuseBanned = async ({ userId, sessionId }: { userId: string; sessionId: string }): Promise<void> => {
    try {
      await users.standing.assertNotBanned(userId);
    } catch (error) {
      await sessions.end(sessionId, 'banned');
      throw error;
    }
  };

  const countAttempt = (context: Context): Promise<void> =>
    parts.limits.consume('sign-in', context.origin.ip, ATTEMPTS_PER_ADDRESS);

  async function userOfPhone(phoneNumber: string): Promise<Profile> {
    const existing = await users.profileByPhone(phoneNumber);
    if (existing) return existing;
    try {
      return await users.create({ name: `User ${phoneNumber.slice(-4)}`, phoneNumber });
    } catch (error) {
      const faster = error instanceof Fault && error.code === 'conflict' && (await users.profileByPhone(phoneNumber));
      if (faster) return faster;
      throw error;
    }
  }

  return {
    'auth:register': async ({ email, password, name, username }, context) => {
      if (isCommonPassword(password)) {
        const message = 'is one of the commonest passwords; choose another';
        throw new Fault('invalid', 'The password is too common', { detail: [{ path: 'password', message }] });
      }
      const user = await users.create({
        email,
        username,
        name: name ?? username ?? email.slice(0, email.indexOf('@')),
        password: await passwords.hash(password),
      });
      await lockout.know(user.id, context.origin);
      return signIn(user, 'register', context);
    },

    'auth:login': async ({ email, username, password }, context) => {
      const by = identifierOf(email, username);
      await countAttempt(context);
      const account = await users.credentials(by);
      const subject = account?.userId ?? ('email' in by ? by.email : by.username);
      const attempt = await lockout.begin(subject, context.origin).catch((error: unknown) => {
        failed('password', context, account?.userId);
        throw error;
      });
      const checked = await passwords.verify(password, account?.password).catch(async (error: unknown) => {
        await attempt.withdraw();
        throw error;
      });
      if (!account || !checked.fits) {
        failed('password', context, account?.userId);
        throw new Fault('unauthenticated', 'The account or the password is wrong');
      }
      await attempt.succeeded();
      if (checked.renewed !== undefined)
        await users.setPassword(account.userId, checked.renewed, account.password ?? '');
      return signIn(await users.profile(account.userId), 'password', context);
    },

    'auth:send-otp': async ({ phoneNumber, channel }, context) => {
      const record = (ok: boolean, outcome: string): void =>
        audit.record({ action: 'auth.otp-send', ok, origin: context.origin, detail: { channel, outcome } });
      try {
        const sent = await otp.send(phoneNumber, channel, context.origin.ip);
        record(true, 'sent');
        return sent;
      } catch (error) {
        record(false, error instanceof Fault ? error.code : 'internal');
        throw error;
      }
    },

    'auth:verify-otp': async ({ phoneNumber, otp: code, challengeId }, context) => {
      await countAttempt(context);
      const verified = await otp.verify(phoneNumber, code, challengeId);
      if (verified === undefined) {
        failed('otp', context);
        throw new Fault('unauthenticated', 'The code is wrong or has expired');
      }
      const user = await userOfPhone(verified);
      await lockout.know(user.id, context.origin);
      return signIn(user, 'otp', context);
    },

    'auth:refresh-token': async ({ refreshToken }, context) => {
      const rotation = await sessions.rotate(refreshToken, context.origin);
      const owner = rotation.kind === 'issued' ? rotation.session : await sessions.ofToken(refreshToken);
      if (owner) await refuseBanned(owner);
      if (rotation.kind === 'issued') return tokensOf(rotation.session);
      if (rotation.kind === 'reused' && rotation.ended) {
        const { userId, sessionId } = rotation;
        audit.record({ action: 'auth.refresh-reuse', userId, target: sessionId, ok: false, origin: context.origin });
      }
      throw new Fault('unauthenticated', 'The refresh token is not valid');
    },

    'auth:logout': async ({ refreshToken }, context) => {
      const byToken = refreshToken === undefined ? undefined : await sessions.ofToken(refreshToken);
      for (const session of [context.session, byToken]) {
        if (!session || !(await sessions.end(session.sessionId, 'logout'))) continue;
        const { userId, sessionId } = session;
        audit.record({ action: 'auth.logout', userId, target: sessionId, ok: true, origin: context.origin });
      }
      return {};
    },

    'auth:me': async (_input, { session }) => ({ user: await users.profile(session.userId) }),

    'auth:refresh': async ({ accessToken }, { session, renewSession }) => {
      if (!renewSession) throw new Fault('unsupported', 'Only a live connection has a session to renew');
      const renewed = await parts.authenticate(accessToken);
      if (renewed.userId !== session.userId) throw new Fault('forbidden', "This is another user's access token");
      renewSession(renewed);
      return { expiresInSeconds: Math.max(0, Math.floor((renewed.expiresAtMs - parts.now()) / 1000)) };
    },
  };
}

function identifierOf(
  email: string | undefined,
  username: string | undefined,
): { email: string } | { username: string } {
  if (email !== undefined && username === undefined) return { email };
  if (username !== undefined && email === undefined) return { username };
  const message = 'give either email or username';
  throw new Fault('invalid', 'The input is not valid', { detail: [{ path: 'email', message }] });
}
