/**
 * Tickets for `/yjs`: a stock provider keeps the address that it was given for as long as it lives, so what stands in it
 * has to serve longer than an access token, and for less: one user, one session, one file. A ticket is signed, and good
 * on every node; the first use has to come soon and is remembered, so that an address that nobody used opens nothing later.
 */
import { createHash } from 'node:crypto';
import type { Model } from 'mongoose';
import { DAY_MS, Fault, LIMITS } from '../../protocol/index.ts';
import { deriveKey, keyedHash, sameHash } from '../auth/index.ts';
import type { UsedTicketRecord } from './ticket-model.ts';

/** Whose a ticket is. */
export interface TicketClaims {
  fileId: string;
  userId: string;
  sessionId: string;
}

export interface Tickets {
  sign(claims: TicketClaims): string;
  /** Rejects with `unauthenticated`. Whether the session lives is not its business. */
  use(ticket: string, fileId: string): Promise<TicketClaims>;
}

export interface TicketsDeps {
  model: Model<UsedTicketRecord>;
  secret: string;
  /** No session lasts longer. */
  sessionDays: number;
  now: () => number;
}

/** Access tokens begin with `eyJ`. */
const MARK = 't.';
const SHAPE = /^t\.([\w-]{56})\.([\w-]{43})$/;
const ID_BYTES = 12;
const TIME_BYTES = 6;

export const isTicket = (token: string): boolean => token.startsWith(MARK);

export function createTickets({ model, secret, sessionDays, now }: TicketsDeps): Tickets {
  const key = deriveKey(secret, 'yjs-tickets');
  const used = model.collection;

  return {
    sign({ fileId, userId, sessionId }) {
      const issued = Buffer.alloc(TIME_BYTES);
      issued.writeUIntBE(now(), 0, TIME_BYTES);
      const ids = [fileId, userId, sessionId].map((id) => Buffer.from(id, 'hex'));
      const payload = Buffer.concat([...ids, issued]).toString('base64url');
      return `${MARK}${payload}.${keyedHash(key, payload)}`;
    },

    async use(ticket, fileId) {
      const [, payload = '', signature = ''] = SHAPE.exec(ticket) ?? [];
      if (payload === '' || !sameHash(signature, keyedHash(key, payload))) throw refused();
      const bytes = Buffer.from(payload, 'base64url');
      const idAt = (n: number): string => bytes.toString('hex', n * ID_BYTES, (n + 1) * ID_BYTES);
      const claims: TicketClaims = { fileId: idAt(0), userId: idAt(1), sessionId: idAt(2) };
      if (claims.fileId !== fileId) throw refused();
      const isFresh = now() - bytes.readUIntBE(3 * ID_BYTES, TIME_BYTES) <= LIMITS.ticketFirstUseMs;
      const { matchedCount, upsertedCount } = await used.updateOne(
        { _id: hashOf(payload) as never },
        { $set: { purgeAt: new Date(now() + sessionDays * DAY_MS) } },
        { upsert: isFresh },
      );
      if (matchedCount + upsertedCount === 0) throw refused();
      return claims;
    },
  };
}

const refused = (): Fault => new Fault('unauthenticated', 'The ticket is not valid, or was not used in time');

const hashOf = (payload: string): string => createHash('sha256').update(payload).digest('base64url');
