/** What an error of the server means for an open document. */
import type { FaultCode } from '../protocol/fault.ts';
import { AtelierError } from './atelier-error.ts';

/** The server cannot open the document now. With any other code opening it again does not help. */
const PASSING: ReadonlySet<FaultCode> = new Set([
  'rate_limited',
  'timeout',
  'unavailable',
  'upstream',
  'internal',
  'conflict',
  // The token has just run out; the next connection has another.
  'unauthenticated',
]);

/** The server does not take this change, however often it is sent. */
const REFUSALS: ReadonlySet<FaultCode> = new Set([
  'forbidden',
  'invalid',
  'too_large',
  'unsupported',
  'quota_exceeded',
]);

export const isPassing = (code: FaultCode): boolean => PASSING.has(code);

export const isRefusal = (code: FaultCode): boolean => REFUSALS.has(code);

/** The codes with which `/yjs` closes, so that one listener serves both providers. */
const CLOSE_CODES: Partial<Record<FaultCode, number>> = {
  unauthenticated: 4401,
  forbidden: 4403,
  not_found: 4404,
  too_large: 4413,
};

export const closeCodeOf = (code: FaultCode): number => CLOSE_CODES[code] ?? 4400;

export const errorOf = (error: unknown): AtelierError =>
  error instanceof AtelierError ? error : new AtelierError('internal', String(error), { cause: error });
