/** How operations go out and answers come back. */
import type { ErrorBody } from '../protocol/fault.ts';
import { AtelierError } from './atelier-error.ts';

/** Sends on the live connection; `ack` is never called when the connection ends first. */
export type Send = (name: string, input: object, ack: (answer: unknown) => void) => void;

export type Outcome = { ok: true; data: unknown } | { ok: false; error: AtelierError };

/** Reads an ack: `{ ok: true, data }` or `{ ok: false, error }`. */
export function outcomeOf(answer: unknown): Outcome {
  if (typeof answer === 'object' && answer !== null && 'ok' in answer) {
    if (answer.ok === true && 'data' in answer) return { ok: true, data: answer.data };
    if ('error' in answer) return { ok: false, error: AtelierError.of(answer.error as ErrorBody) };
  }
  return { ok: false, error: new AtelierError('internal', 'The answer is not one of this protocol') };
}
