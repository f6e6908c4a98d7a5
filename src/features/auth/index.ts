/** Signing in and staying signed in: the parts of auth, put together. */
import type { Connection } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Limits } from '../../cluster/limits.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, type Handlers, type Origin, type Session } from '../../protocol/index.ts';
import { BatchLoader } from '../../storage/batch-loader.ts';
import type { Users } from '../users/index.ts';
import { AccountEnding } from './account-ending.ts';
import { createAccessTokens } from './access-tokens.ts';
import type { authContract } from './contract.ts';
import { createAuthHandlers } from './handlers.ts';
import { createLiveSessions } from './live-sessions.ts';
import { createLockout } from './lockout.ts';
import { createAuthModels } from './model.ts';
import { createOtpProvider, type OtpProviderOptions, type Outbox } from './otp-provider.ts';
import { createOtp, type OtpOptions } from './otp.ts';
import { createPasswords } from './passwords.ts';
import { createSessionStore } from './session-store.ts';

export { asSessionRevoked, SessionRevoked } from './revocation.ts';
export { deriveKey, keyedHash, sameHash } from './secrets.ts';
export type { Outbox, OutboxMessage, OtpProviderOptions } from './otp-provider.ts';

export interface AuthDeps {
  connection: Connection;
  users: Users;
  limits: Limits;
  bus: Bus;
  audit: Audit;
  log: Log;
  now?: () => number;
  /** Life of an access token. */
  accessTokenSeconds: number;
  /** A session ends after so many days in any case, and after 7 days without a refresh. */
  refreshTokenDays: number;
  /** The first signs access tokens, all verify them: put a new one in front to change it. */
  jwtSecrets: readonly string[];
  /** Goes into password hashes and every other keyed hash. Changing it makes them all void. */
  authPepper: string;
  otp: OtpOptions & { provider: OtpProviderOptions };
  /** bcrypt's cost; 12 if not given. */
  passwordCost?: number;
}

export interface Auth {
  handlers: Handlers<typeof authContract>;
  /** The session that an access token speaks for. Rejects with `unauthenticated` if the token or the session has ended. */
  authenticate(accessToken: string): Promise<Session>;
  /** Asks who is signed in to prove it once more; rejects with `forbidden`, `invalid` or `rate_limited`. */
  confirm(session: Session, password: string | undefined, origin: Origin): Promise<void>;
  /** Ends and removes all sessions of a user. */
  forgetUser(userId: string): Promise<void>;
  /** Which of the sessions have not ended. */
  liveSessions(sessionIds: readonly string[]): Promise<Set<string>>;
  /** Ends all sessions of somebody who is banned, on every node; how many there were. */
  endSessions(userId: string): Promise<number>;
  /** What the `console` provider has shown instead of sending; undefined with any other provider. */
  outbox: Outbox | undefined;
  /** Ends the password threads. */
  close(): Promise<void>;
}

export function createAuth(deps: AuthDeps): Auth {
  const { users, limits, bus, audit, log, authPepper: pepper, now = Date.now } = deps;
  const models = createAuthModels(deps.connection);
  const accessTokens = createAccessTokens(deps.jwtSecrets, deps.accessTokenSeconds, now);
  const passwords = createPasswords(pepper, deps.passwordCost);
  const sessions = createSessionStore({
    models,
    pepper,
    absoluteDays: deps.refreshTokenDays,
    now,
    publish: (notice) => bus.publish(ALL_NODES, notice),
  });
  const loader = new BatchLoader((sessionIds) => sessions.live(sessionIds));
  const live = createLiveSessions((sessionId) => loader.get(sessionId), bus, now);
  const { provider, outbox } = createOtpProvider(deps.otp.provider, log, now);

  const lockout = createLockout(models, pepper, now);
  const ending = new AccountEnding({ models, users, sessions, passwords, lockout, limits, now });

  async function authenticate(accessToken: string): Promise<Session> {
    const session = accessTokens.verify(accessToken);
    const found = await live.find(session.sessionId);
    if (found?.userId !== session.userId) throw new Fault('unauthenticated', 'The session has ended');
    return session;
  }

  return {
    handlers: createAuthHandlers({
      users,
      sessions,
      accessTokens,
      passwords,
      lockout,
      otp: createOtp({
        models,
        provider,
        limits,
        pepper,
        countries: deps.otp.countries,
        hourlyCap: deps.otp.hourlyCap,
        now,
      }),
      limits,
      audit,
      authenticate,
      now,
    }),
    authenticate,
    confirm: (session, password, origin) => ending.confirm(session, password, origin),
    forgetUser: (userId) => ending.forgetUser(userId),
    liveSessions: async (sessionIds) => new Set((await sessions.live(sessionIds)).keys()),
    endSessions: (userId) => sessions.endOfUser(userId, 'banned'),
    outbox,
    async close() {
      live.close();
      await passwords.close();
    },
  };
}
