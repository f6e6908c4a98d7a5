/** Proof that it is really the account's owner who ends it, and the removal of what signing in has stored of them. */
import { Types } from 'mongoose';
import type { Limits } from '../../cluster/limits.ts';
import { Fault, type Origin, type Session } from '../../protocol/index.ts';
import type { Users } from '../users/index.ts';
import type { Lockout } from './lockout.ts';
import type { AuthModels, SessionRecord } from './model.ts';
import type { Passwords } from './passwords.ts';
import type { SessionStore } from './session-store.ts';

export interface AccountEndingDeps {
  models: AuthModels;
  users: Pick<Users, 'passwordOf'>;
  sessions: Pick<SessionStore, 'endAllOf'>;
  passwords: Pick<Passwords, 'verify'>;
  lockout: Pick<Lockout, 'begin'>;
  limits: Pick<Limits, 'consume'>;
  now: () => number;
}

/** A session that began so recently is as good as a password for somebody who has none. */
const FRESH_MS = 10 * 60_000;
/** Of one address, as for signing in. */
const TRIES_PER_ADDRESS = { points: 30, windowSeconds: 300 };

export class AccountEnding {
  readonly #deps: AccountEndingDeps;

  constructor(deps: AccountEndingDeps) {
    this.#deps = deps;
  }

  /** Rejects with `forbidden` unless the password fits; of somebody without one, unless the session is fresh. */
  async confirm({ userId, sessionId }: Session, password: string | undefined, origin: Origin): Promise<void> {
    const { models, users, passwords, lockout, limits, now } = this.#deps;
    const stored = await users.passwordOf(userId);
    if (stored === undefined) {
      const session = await models.sessions.collection.findOne<SessionRecord>({ _id: new Types.ObjectId(sessionId) });
      if (session && now() - session.createdAt.getTime() < FRESH_MS) return;
      throw new Fault('forbidden', 'Sign in again first');
    }
    if (password === undefined) {
      const message = 'The password is needed';
      throw new Fault('invalid', message, { detail: [{ path: 'password', message }] });
    }
    await limits.consume('sign-in', origin.ip, TRIES_PER_ADDRESS);
    const attempt = await lockout.begin(userId, origin);
    const { fits } = await passwords.verify(password, stored).catch(async (error: unknown) => {
      await attempt.withdraw();
      throw error;
    });
    if (!fits) throw new Fault('forbidden', 'The password is wrong');
    await attempt.succeeded();
  }

  /** Ends all sessions of a user on every node, and removes them. */
  async forgetUser(userId: string): Promise<void> {
    const { models, sessions } = this.#deps;
    const ids = await sessions.endAllOf(userId);
    await models.retiredTokens.collection.deleteMany({ sessionId: { $in: ids } });
    await models.sessions.collection.deleteMany({ _id: { $in: ids } });
  }
}
