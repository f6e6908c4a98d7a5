/** Reading again what notices told of: when, from when on, and one at a time. */
import { expect, test } from 'vitest';
import { Rereading } from '../../src/cluster/rereading.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { FakeClock } from '../contract/fake-clock.ts';

function start(read: (since: Date) => Promise<void>) {
  const clock = new FakeClock();
  const failures: unknown[] = [];
  let back = (): void => {};
  const order: string[] = [];
  const rereading = new Rereading({
    bus: {
      onReady(listener) {
        back = listener;
        return () => {
          back = () => {};
        };
      },
    },
    read: (since) => {
      order.push('read');
      return read(since);
    },
    onReady: () => order.push('ready'),
    onFailed: (error) => failures.push(error),
    now: () => clock.now(),
    clock,
  });
  return { rereading, clock, failures, order, back: () => back() };
}

test('reads from time to time and when the bus is back, from a minute before the last reading that succeeded', async () => {
  const sinces: number[] = [];
  const { rereading, clock, failures, order, back } = start(async (since) => {
    sinces.push(since.getTime());
    if (sinces.length === 2) throw new Error('The database is away');
  });
  const startMs = clock.now();
  clock.advance(LIMITS.headCompareMs);
  await rereading.now();
  expect(sinces[0]).toBe(startMs - 60_000);
  expect(failures).toHaveLength(1);

  clock.advance(5_000);
  order.length = 0;
  back();
  expect(order).toEqual(['ready', 'read']);
  await rereading.close();
  // The failed one is made good: it reads from where the first one, which succeeded, had begun.
  expect(sinces.slice(1)).toEqual([startMs + LIMITS.headCompareMs - 60_000, startMs + LIMITS.headCompareMs - 60_000]);

  back();
  clock.advance(10 * LIMITS.headCompareMs);
  expect(sinces).toHaveLength(3);
  expect(clock.timers).toBe(0);
});

test('who asks during a reading gets one more after it, and several get the same', async () => {
  const ends: (() => void)[] = [];
  const { rereading, order } = start(() => new Promise<void>((resolve) => ends.push(resolve)));
  const first = rereading.now();
  let done = 0;
  const later = [rereading.now(), rereading.now()].map((reading) => reading.then(() => done++));
  ends[0]?.();
  await expect.poll(() => order).toEqual(['read', 'read']);
  expect(done).toBe(0);
  ends[1]?.();
  await Promise.all([first, ...later]);
  expect(order).toEqual(['read', 'read']);
});
