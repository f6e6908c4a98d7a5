/** Whether it is a time of day, where somebody lives, at which they want to hear nothing. */
import { LRUCache } from 'lru-cache';
import type { QuietHours } from './contract.ts';

/** There are about 600 names. */
const clocks = new LRUCache<string, Intl.DateTimeFormat>({ max: 1_000 });

export function isQuiet({ from, to, timeZone }: QuietHours, atMs: number): boolean {
  const now = clockOf(timeZone).format(atMs);
  return from < to ? from <= now && now < to : from <= now || now < to;
}

/** Tells the time of day as 07:05. */
function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known) return known;
  const clock = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  clocks.set(timeZone, clock);
  return clock;
}
