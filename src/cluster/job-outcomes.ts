/** What becomes of a job's row after a run, by how the run ended. */
import { Fault } from '../protocol/index.ts';
import type { JobRow, Release } from './job-store.ts';

/** The first pause after a failure; it doubles with each. */
export const FIRST_PAUSE_MS = 1_000;
export const LONGEST_PAUSE_MS = 15 * 60_000;
/** Long enough to ask what has become of it. */
export const KEEP_DONE_MS = 7 * 86_400_000;
/** Long enough for somebody to come back from a holiday and look. */
export const KEEP_FAILED_MS = 30 * 86_400_000;

export function done(row: JobRow, nowMs: number): Release {
  const endedAt = new Date(nowMs);
  if (row.everyMs !== undefined) {
    const set = { state: 'queued' as const, runAt: nextInterval(row.everyMs, nowMs, row.runAt), attempts: 0, endedAt };
    return { set, unset: ['progress', 'lastError'] };
  }
  return {
    set: { state: 'done', endedAt, expiresAt: new Date(nowMs + KEEP_DONE_MS) },
    unset: ['progress', 'lastError'],
  };
}

export function failed(row: JobRow, error: unknown, maxAttempts: number, nowMs: number, random: number): Release {
  const lastError = describe(error);
  if (row.attempts < maxAttempts) {
    const runAt = new Date(nowMs + pauseOf(row.attempts, error, random));
    return { set: { state: 'queued', runAt, lastError }, unset: [] };
  }
  const endedAt = new Date(nowMs);
  if (row.everyMs !== undefined) {
    // What it has done stays done: the next interval goes on from there.
    const runAt = nextInterval(row.everyMs, nowMs, row.runAt);
    return { set: { state: 'queued', runAt, attempts: 0, lastError, endedAt }, unset: [] };
  }
  const expiresAt = new Date(nowMs + KEEP_FAILED_MS);
  return { set: { state: 'failed', lastError, endedAt, expiresAt }, unset: [] };
}

/** Cut off by this server, through no fault of the job. */
export const givenBack = (nowMs: number): Release => ({
  set: { state: 'queued', runAt: new Date(nowMs) },
  unset: [],
  refund: true,
});

/** The start of the first interval after now, and after the one that was served. */
export function nextInterval(everyMs: number, nowMs: number, served?: Date): Date {
  const afterMs = Math.max(nowMs, served?.getTime() ?? 0);
  return new Date((Math.floor(afterMs / everyMs) + 1) * everyMs);
}

/** Between half and all of a doubling time, so that many that failed together do not come back together. */
function pauseOf(attempts: number, error: unknown, random: number): number {
  const doubledMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempts - 1), LONGEST_PAUSE_MS);
  const askedMs = error instanceof Fault ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(doubledMs * (0.5 + random / 2), Math.min(askedMs, LONGEST_PAUSE_MS));
}

/** Texts of errors that are not ours may hold what must not be stored (an address with its password, somebody's name). */
function describe(error: unknown): string {
  if (error instanceof Fault) return `${error.code}: ${error.message}`;
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error && /^\w{1,40}$/.test(String(error.code)) ? ` ${String(error.code)}` : '';
  return `${error.name.slice(0, 60)}${code}`;
}
