/** Another attempt at a service, where one may help: capped, told to the log, and never once text has arrived. */
import type { UpstreamError } from './upstream-error.ts';

export interface RetryPolicy {
  /** All attempts, the first included. */
  attempts: number;
  /** The first pause without the service's advice, in milliseconds; it doubles. */
  baseMs: number;
  /** The longest pause of our own. */
  capMs: number;
  /** The longest pause that the service may ask for; a longer one ends the attempts. */
  adviceCapMs: number;
}

export const RETRY_POLICY: RetryPolicy = { attempts: 4, baseMs: 500, capMs: 8_000, adviceCapMs: 60_000 };

/**
 * The pause before the next attempt in milliseconds, or undefined when there should be none.
 * `attempt` counts from 1, `random` gives 0 to 1: clients that failed together do not come back together.
 */
export function retryDelay(
  error: UpstreamError,
  attempt: number,
  policy: RetryPolicy,
  random: () => number,
): number | undefined {
  if (!error.transient || attempt >= policy.attempts) return undefined;
  const advice = error.failure.retryAfterMs;
  if (advice !== undefined) return advice <= policy.adviceCapMs ? advice : undefined;
  const full = Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1));
  return Math.round(full * (0.5 + random() / 2));
}

/** Reads `retry-after-ms` and `retry-after` (seconds or a date), in milliseconds; undefined without a usable one. */
export function retryAfterOf(
  headers: { get(name: string): string | null } | undefined,
  now: number,
): number | undefined {
  const milliseconds = numberIn(headers?.get('retry-after-ms'));
  if (milliseconds !== undefined) return milliseconds;
  const header = headers?.get('retry-after');
  const seconds = numberIn(header);
  if (seconds !== undefined) return seconds * 1_000;
  const date = header ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function numberIn(text: string | null | undefined): number | undefined {
  return text && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}
