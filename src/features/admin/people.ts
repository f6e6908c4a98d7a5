/** Banning people and making them administrators. */
import { Fault } from '../../protocol/index.ts';
import type { Users } from '../users/index.ts';

export interface PeopleDeps {
  users: Pick<Users, 'standing' | 'profile'>;
  /** Ends all sessions of a user on every node; how many there were. */
  endSessions: (userId: string) => Promise<number>;
  /** Whoever has this address is an administrator, whatever is said here. */
  adminEmail: string | undefined;
  now: () => number;
}

export class People {
  readonly #deps: PeopleDeps;

  constructor(deps: PeopleDeps) {
    this.#deps = deps;
  }

  /** How many sessions it ended. */
  async ban(adminId: string, userId: string, ban: { reason: string; until?: string | undefined }): Promise<number> {
    const { users, endSessions, now } = this.#deps;
    const until = ban.until === undefined ? undefined : new Date(ban.until);
    if (adminId === userId) throw new Fault('conflict', 'Nobody can ban themselves');
    if (until && until.getTime() <= now()) {
      throw new Fault('invalid', 'The input is not valid', {
        detail: [{ path: 'until', message: 'must be in the future' }],
      });
    }
    // The ban first: a sign-in that comes between the two sees it.
    await users.standing.ban(userId, { reason: ban.reason, until, by: adminId });
    return endSessions(userId);
  }

  /** False when there was no ban. */
  unban(userId: string): Promise<boolean> {
    return this.#deps.users.standing.unban(userId);
  }

  /** False when the user had the role already. */
  async setRole(adminId: string, userId: string, role: 'user' | 'admin'): Promise<boolean> {
    const { users, adminEmail } = this.#deps;
    if (role === 'user') {
      // So there is always one left, unless two take it from each other in the same moment.
      if (adminId === userId) throw new Fault('conflict', 'Somebody else must take your role away');
      const { email } = await users.profile(userId);
      if (email !== undefined && email === adminEmail) throw new Fault('conflict', 'ADMIN_EMAIL names this account');
    }
    return users.standing.setAdmin(userId, role === 'admin');
  }
}
