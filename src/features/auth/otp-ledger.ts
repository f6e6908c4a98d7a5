/**
 * What one phone may do and has done: pure rules over its record, so that each step is one guarded write.
 * Times are milliseconds since 1970.
 */
import { DAY_MS, Fault, HOUR_MS, MINUTE_MS } from '../../protocol/index.ts';
import type { PhoneRecord } from './model.ts';
import { sameHash } from './secrets.ts';

export const CODE_LIFE_MS = 5 * MINUTE_MS;
export const RESEND_AFTER_MS = MINUTE_MS;
const TRIES_PER_CODE = 5;
const WRONG_PER_HOUR = { count: 10, windowMs: HOUR_MS };
const SENDS = [
  { count: 1, windowMs: RESEND_AFTER_MS },
  { count: 5, windowMs: 10 * MINUTE_MS },
  { count: 10, windowMs: DAY_MS },
];
/** The record says nothing any more after its longest window. */
export const RECORD_LIFE_MS = DAY_MS;

export type PhoneState = Pick<PhoneRecord, 'challenge' | 'sentAtMs' | 'wrongAtMs'>;
export type Challenge = NonNullable<PhoneState['challenge']>;

export const NEW_PHONE: PhoneState = { challenge: null, sentAtMs: [], wrongAtMs: [] };

/** Notes a send; the new code replaces the one before. Throws `rate_limited` when it is too soon or too often. */
export function withSend(state: PhoneState, challenge: Challenge, nowMs: number): PhoneState {
  const { sentAtMs, wrongAtMs } = recent(state, nowMs);
  const waitMs = Math.max(
    ...SENDS.map((limit) => waitOf(sentAtMs, limit, nowMs)),
    // A code that could not be tried would be paid for in vain.
    waitOf(wrongAtMs, WRONG_PER_HOUR, nowMs),
  );
  if (waitMs > 0) throw tooOften(waitMs);
  return { challenge, sentAtMs: [...sentAtMs, nowMs], wrongAtMs };
}

export interface Tried {
  state: PhoneState;
  /** The code that was right; it is used up. */
  verified: Challenge | undefined;
}

/**
 * Tries a code. `codeHashOf` gives what the right challenge would have stored for it. A wrong try is counted against
 * the code and the phone; throws `rate_limited` when the phone has had too many, right or wrong.
 */
export function withTry(
  state: PhoneState,
  given: { challengeId: string | undefined; codeHashOf: (challengeId: string) => string },
  nowMs: number,
): Tried {
  const { challenge, sentAtMs, wrongAtMs } = recent(state, nowMs);
  const waitMs = waitOf(wrongAtMs, WRONG_PER_HOUR, nowMs);
  if (waitMs > 0) throw tooOften(waitMs);
  const meant = given.challengeId === undefined || given.challengeId === challenge?.id;
  if (challenge && meant && sameHash(challenge.codeHash, given.codeHashOf(challenge.id))) {
    return { state: { challenge: null, sentAtMs, wrongAtMs }, verified: challenge };
  }
  const wrongTries = (challenge?.wrongTries ?? 0) + 1;
  return {
    state: {
      challenge: challenge && wrongTries < TRIES_PER_CODE ? { ...challenge, wrongTries } : null,
      sentAtMs,
      wrongAtMs: [...wrongAtMs, nowMs],
    },
    verified: undefined,
  };
}

/** The state without what has ended; at most ten times of each kind are left, since more are refused. */
function recent({ challenge, sentAtMs, wrongAtMs }: PhoneState, nowMs: number): PhoneState {
  return {
    challenge: challenge && challenge.expiresAtMs > nowMs ? challenge : null,
    sentAtMs: sentAtMs.filter((at) => at > nowMs - DAY_MS),
    wrongAtMs: wrongAtMs.filter((at) => at > nowMs - WRONG_PER_HOUR.windowMs),
  };
}

/** How long until one more fits into the window; 0 if it does now. `times` ascend. */
function waitOf(times: readonly number[], limit: { count: number; windowMs: number }, nowMs: number): number {
  const first = times.at(-limit.count);
  return first === undefined ? 0 : Math.max(0, first + limit.windowMs - nowMs);
}

const tooOften = (retryAfterMs: number): Fault =>
  new Fault('rate_limited', 'Too many codes for this phone; wait', { retryAfterMs });
