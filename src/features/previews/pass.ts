/** What lets a browser into a preview: a one-time address, exchanged for a cookie. Both are signed, and good on every node. */
import { createHash, randomBytes } from 'node:crypto';
import type { Model } from 'mongoose';
import { deriveKey, keyedHash, sameHash } from '../auth/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { UsedAddressRecord } from './model.ts';

/** Whom a pass lets in, and where. */
export interface Pass {
  projectId: string;
  userId: string;
  sessionId: string;
}

export interface Passes {
  /** For an address that serves once. */
  ticket(pass: Pass, port: number): string;
  /** Undefined for what is wrong, over or used. */
  use(ticket: string, port: number): Promise<Pass | undefined>;
  cookie(pass: Pass): string;
  fromCookie(value: string): Pass | undefined;
}

export const TICKET_SECONDS = 60;
export const COOKIE_SECONDS = 12 * 3_600;

const ID_BYTES = 12;
const NONCE_BYTES = 12;
const TIME_BYTES = 6;
const SHAPE = /^([\w-]{64,100})\.([\w-]{43})$/;

export function createPasses(deps: { used: Model<UsedAddressRecord>; secret: string; now: () => number }): Passes {
  const { used, secret, now } = deps;
  const keys = { ticket: deriveKey(secret, 'preview-tickets'), cookie: deriveKey(secret, 'preview-cookies') };

  function sign(
    purpose: keyof typeof keys,
    { projectId, userId, sessionId }: Pass,
    seconds: number,
    to: string,
  ): string {
    const ends = Buffer.alloc(TIME_BYTES);
    ends.writeUIntBE(now() + seconds * 1_000, 0, TIME_BYTES);
    const ids = [projectId, userId, sessionId].map((id) => Buffer.from(id, 'hex'));
    const payload = Buffer.concat([...ids, ends, randomBytes(NONCE_BYTES)]).toString('base64url');
    return `${payload}.${keyedHash(keys[purpose], to, payload)}`;
  }

  function open(purpose: keyof typeof keys, text: string, to: string): { pass: Pass; endsAtMs: number } | undefined {
    const [, payload = '', signature = ''] = SHAPE.exec(text) ?? [];
    if (payload === '' || !sameHash(signature, keyedHash(keys[purpose], to, payload))) return undefined;
    const bytes = Buffer.from(payload, 'base64url');
    const idAt = (n: number): string => bytes.toString('hex', n * ID_BYTES, (n + 1) * ID_BYTES);
    const endsAtMs = bytes.readUIntBE(3 * ID_BYTES, TIME_BYTES);
    if (endsAtMs <= now()) return undefined;
    return { pass: { projectId: idAt(0), userId: idAt(1), sessionId: idAt(2) }, endsAtMs };
  }

  return {
    ticket: (pass, port) => sign('ticket', pass, TICKET_SECONDS, String(port)),

    async use(ticket, port) {
      const opened = open('ticket', ticket, String(port));
      if (!opened) return undefined;
      try {
        const _id = createHash('sha256').update(ticket).digest('base64url');
        await used.collection.insertOne({
          _id: _id as never,
          purgeAt: new Date(opened.endsAtMs + TICKET_SECONDS * 1_000),
        });
        return opened.pass;
      } catch (error) {
        if (duplicateIndexOf(error) === undefined) throw error;
        return undefined;
      }
    },

    cookie: (pass) => sign('cookie', pass, COOKIE_SECONDS, ''),
    fromCookie: (value) => open('cookie', value, '')?.pass,
  };
}
