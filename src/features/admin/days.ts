/** Days of the calendar in UTC, as texts that sort. */
import { DAY_MS } from '../../protocol/index.ts';

export const dayOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);
export const startOf = (day: string): Date => new Date(`${day}T00:00:00.000Z`);
export const daysAfter = (day: string, days: number): string => dayOf(startOf(day).getTime() + days * DAY_MS);

/** From the first to the last one, both included. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let day = from; day <= to; day = daysAfter(day, 1)) days.push(day);
  return days;
}
