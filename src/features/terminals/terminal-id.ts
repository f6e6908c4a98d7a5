/** A terminal's id says which project it belongs to and who opened it, so that both are known after any restart. */
import { createHash, randomBytes } from 'node:crypto';

/** What follows the ids of project and user: 56 bits. */
const OWN_DIGITS = 14;

/** With a `clientId` always the same one. */
export function newTerminalId(projectId: string, userId: string, clientId: string | undefined): string {
  const own =
    clientId === undefined
      ? randomBytes(OWN_DIGITS / 2).toString('hex')
      : createHash('sha256')
          .update(JSON.stringify([userId, 'terminal:open', projectId, clientId]))
          .digest('hex')
          .slice(0, OWN_DIGITS);
  return `${projectId}-${userId}-${own}`;
}

/** Of an id that was checked by the contract. */
export const projectOf = (terminalId: string): string => terminalId.slice(0, 24);
export const openerOf = (terminalId: string): string => terminalId.slice(25, 49);
