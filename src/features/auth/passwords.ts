/**
 * Passwords at rest: bcrypt over base64(HMAC-SHA-384(pepper, NFC(password))), which is 64 bytes, since bcrypt ignores
 * what follows the 72nd. Stored with a mark; a hash without it comes from elsewhere and was made of the password itself.
 */
import { createHmac } from 'node:crypto';
import { PasswordPool } from './password-pool.ts';

/** Doubles with each step. At 12 a password takes about a third of a second. */
export const PASSWORD_COST = 12;

const MARK = 'hmac-sha384:';
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

export interface Passwords {
  /** What is to be stored for a new password. Rejects with `unavailable` when too many are under way. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password fits; `undefined` stands for a user who does not exist or has none: the same work, and never
   * fits. `renewed` is what should be stored from now on, if the stored form is not the present one.
   */
  verify(password: string, stored: string | undefined): Promise<{ fits: boolean; renewed?: string }>;
  close(): Promise<void>;
}

export function createPasswords(pepper: string, cost: number = PASSWORD_COST): Passwords {
  const pool = new PasswordPool();
  const peppered = (password: string): string =>
    createHmac('sha384', pepper).update(password.normalize('NFC'), 'utf8').digest('base64');
  // Well-formed, so that comparing does all the work, and the hash of nothing known.
  const nobody = `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(21)}u${'.'.repeat(30)}u`;

  const hash = async (password: string): Promise<string> =>
    MARK + String(await pool.run({ kind: 'hash', input: peppered(password), cost }));

  return {
    hash,

    async verify(password, stored) {
      const ours = stored?.startsWith(MARK) ?? true;
      const bcrypt = stored === undefined ? nobody : ours ? stored.slice(MARK.length) : stored;
      const storedCost = BCRYPT.exec(bcrypt)?.[1];
      const usable = stored !== undefined && storedCost !== undefined;
      const matches = await pool.run({
        kind: 'compare',
        input: ours ? peppered(password) : password,
        hash: usable ? bcrypt : nobody,
      });
      if (!usable || matches !== true) return { fits: false };
      return ours && Number(storedCost) === cost ? { fits: true } : { fits: true, renewed: await hash(password) };
    },

    close: () => pool.close(),
  };
}
