import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Limits } from '../../src/cluster/limits.ts';
import { Fault, RATES } from '../../src/protocol/index.ts';
import { FakeClock } from './fake-clock.ts';

export interface LimitsWorld {
  limits: Limits;
  close(): Promise<void>;
}

/** What every form of the limits promises. */
export function describeLimits(
  name: string,
  open: (options: { scale: number; clock: FakeClock }) => Promise<LimitsWorld>,
): void {
  describe(`the limits (${name})`, () => {
    let clock: FakeClock;
    let world: LimitsWorld;
    beforeEach(async () => {
      clock = new FakeClock();
      world = await open({ scale: 1, clock });
    });
    afterEach(() => world.close());

    /** How many of `tries` were let through, and the refusal of the first that was not. */
    function take(key: string, tries: number, limits = world.limits): { taken: number; refusal: Fault | undefined } {
      for (let taken = 0; taken < tries; taken++) {
        try {
          limits.take('writes', key);
        } catch (error) {
          if (error instanceof Fault) return { taken, refusal: error };
          throw error;
        }
      }
      return { taken: tries, refusal: undefined };
    }
    const { points, windowSeconds } = RATES.writes;

    test('[CL-60] lets the points of a class through at once, and says how long the next one has to wait', () => {
      const { taken, refusal } = take('ann', points + 1);
      expect(taken).toBe(points);
      expect(refusal).toMatchObject({ code: 'rate_limited', retryAfterMs: (windowSeconds * 1_000) / points });
      clock.advance((refusal?.retryAfterMs ?? 0) - 1);
      expect(take('ann', 1).taken).toBe(0);
      clock.advance(1);
      expect(take('ann', 2).taken).toBe(1);
    });

    test('[CL-61] gives all points back within one window, and never more', () => {
      take('ann', points);
      clock.advance(windowSeconds * 1_000);
      expect(take('ann', points * 2).taken).toBe(points);
      clock.advance(windowSeconds * 10_000);
      expect(take('ann', points * 2).taken).toBe(points);
    });

    test('[CL-62] counts each key and each class for itself', () => {
      take('ann', points);
      expect(take('bob', 1).taken).toBe(1);
      expect(() => world.limits.take('reads', 'ann')).not.toThrow();
      expect(take('ann', 1).taken).toBe(0);
    });

    test('[CL-63] takes the addresses of one IPv6 network for one, and IPv4 addresses for many', () => {
      take('2001:db8:1:2::1', points);
      expect(take('2001:db8:1:2:ffff::9', 1).taken).toBe(0);
      expect(take('2001:db8:1:3::1', 1).taken).toBe(1);
      take('::ffff:203.0.113.1', points);
      expect(take('::ffff:203.0.113.2', 1).taken).toBe(1);
    });

    test('[CL-64] has a named limit of points in a window', async () => {
      const limit = { points: 3, windowSeconds: 60 };
      for (let count = 0; count < 3; count++) await world.limits.consume('otp', 'ann', limit);
      const refusal = await world.limits.consume('otp', 'ann', limit).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'rate_limited' });
      const { retryAfterMs = 0 } = refusal as Fault;
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(60_000);
      await world.limits.consume('otp', 'bob', limit);
      await world.limits.consume('login', 'ann', limit);
    });

    test('[CL-65] counts by cost, and lets nobody past a limit by coming at once', async () => {
      await world.limits.consume('mail', 'ann', { points: 10, windowSeconds: 60 }, 8);
      await expect(world.limits.consume('mail', 'ann', { points: 10, windowSeconds: 60 }, 3)).rejects.toMatchObject({
        code: 'rate_limited',
      });
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, () => world.limits.consume('mail', 'bob', { points: 7, windowSeconds: 60 })),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(7);
    });

    test('[CL-66] blocks for as long as the limit says', async () => {
      const limit = { points: 1, windowSeconds: 10, blockSeconds: 600 };
      await world.limits.consume('login', 'ann', limit);
      const refusal = await world.limits.consume('login', 'ann', limit).catch((error: unknown) => error);
      expect((refusal as Fault).retryAfterMs).toBeGreaterThan(590_000);
    });

    test('[CL-67] forgets what a key has used, of that name only', async () => {
      const limit = { points: 1, windowSeconds: 60 };
      await world.limits.consume('login', 'ann', limit);
      await world.limits.consume('otp', 'ann', limit);
      await world.limits.reset('login', 'ann', limit);
      await world.limits.reset('login', 'nobody', limit);
      await world.limits.consume('login', 'ann', limit);
      await expect(world.limits.consume('otp', 'ann', limit)).rejects.toMatchObject({ code: 'rate_limited' });
    });

    test('[CL-68] scales every limit, and is off at 0', async () => {
      const double = await open({ scale: 2, clock });
      expect(take('ann', points * 3, double.limits).taken).toBe(points * 2);
      const limit = { points: 1, windowSeconds: 60 };
      await double.limits.consume('login', 'ann', limit);
      await double.limits.consume('login', 'ann', limit);
      await expect(double.limits.consume('login', 'ann', limit)).rejects.toMatchObject({ code: 'rate_limited' });
      await double.close();
      const off = await open({ scale: 0, clock });
      expect(take('ann', points * 3, off.limits).taken).toBe(points * 3);
      for (let count = 0; count < 5; count++) await off.limits.consume('login', 'ann', limit);
      await off.close();
    });

    test('[CL-69] leaves no timer', async () => {
      await world.limits.close();
      expect(clock.timers).toBe(0);
    });
  });
}
