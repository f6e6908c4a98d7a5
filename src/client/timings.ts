/** Every wait of the SDK that is not a deadline of the application, in milliseconds. */
export interface Timings {
  /** An event that is missing in a chat's order is asked for after this: it is nearly always just late. */
  holeMs: number;
  /** How often the heads of chats are asked for whose events the server does not send by itself. */
  pollMs: number;
  /** A connection that has not said hello by then is given up. */
  helloMs: number;
  /** First pause before another try of something refused; doubles from there … */
  retryMs: number;
  /** … up to this. */
  retryMaxMs: number;
}

export const TIMINGS: Timings = { holeMs: 500, pollMs: 30_000, helloMs: 10_000, retryMs: 300, retryMaxMs: 2_000 };

/** The pause before try number `tries` (from 0), spread so that a crowd does not come back at once. */
export function pauseMs(timings: Timings, tries: number): number {
  const base = Math.min(timings.retryMaxMs, timings.retryMs * 2 ** Math.min(tries, 16));
  return base * (0.75 + Math.random() / 2);
}
