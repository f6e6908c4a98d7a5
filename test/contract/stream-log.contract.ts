import { array, assert, asyncProperty, nat, tuple } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StreamLog } from '../../src/cluster/stream-log.ts';
import { LIMITS } from '../../src/protocol/index.ts';

/** Two nodes' ends of one stream log; the same object twice where there is only one node. */
export interface StreamWorld {
  here: StreamLog;
  there: StreamLog;
  close(): Promise<void>;
}

/** What every form of the stream log promises. */
export function describeStreamLog(name: string, open: () => Promise<StreamWorld>): void {
  describe(`the stream log (${name})`, () => {
    let world: StreamWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(() => world.close());

    test('[CL-40] gives the text from any offset on, on any node', async () => {
      await world.here.append('s', 0, 'Hello ');
      await world.here.append('s', 6, 'world');
      expect(await world.there.read('s', 0)).toEqual({ text: 'Hello world', offset: 0 });
      expect(await world.here.read('s', 6)).toEqual({ text: 'world', offset: 6 });
      expect(await world.here.read('s', 11)).toEqual({ text: '', offset: 11 });
      expect(await world.here.read('s', 99)).toEqual({ text: '', offset: 11 });
    });

    test('[CL-41] counts in UTF-16 units', async () => {
      await world.here.append('s', 0, 'a😀é\u0000');
      await world.here.append('s', 5, 'z');
      expect(await world.there.read('s', 3)).toEqual({ text: 'é\u0000z', offset: 3 });
    });

    test('[CL-42] knows nothing of a stream that was never begun, or was removed', async () => {
      expect(await world.here.read('s', 0)).toBeUndefined();
      await world.here.append('s', 0, 'text');
      await world.there.remove('s');
      await world.there.remove('s');
      expect(await world.here.read('s', 0)).toBeUndefined();
    });

    test('[CL-43] keeps streams apart', async () => {
      await world.here.append('a', 0, 'one');
      await world.here.append('b', 0, 'two');
      await world.here.remove('a');
      expect(await world.here.read('b', 0)).toEqual({ text: 'two', offset: 0 });
    });

    test('[CL-44] never has a text twice, however often and in what pieces it is appended again', async () => {
      let round = 0;
      await assert(
        asyncProperty(array(tuple(nat(60), nat(20)), { maxLength: 12 }), async (repeats) => {
          const stream = `fuzz-${round++}`;
          const whole = 'The quick brown fox jumps over the lazy dog, twice at least.';
          let end = 0;
          for (const [back, length] of repeats) {
            const from = Math.max(0, end - back);
            const to = Math.min(whole.length, from + length);
            await world.here.append(stream, from, whole.slice(from, to));
            end = Math.max(end, to);
            expect(await world.there.read(stream, 0)).toEqual({ text: whole.slice(0, end), offset: 0 });
          }
        }),
        { numRuns: 50, seed: 7 },
      );
    });

    test('[CL-45] forgets a stream whose beginning is missing rather than show a hole', async () => {
      await world.here.append('s', 5, 'later');
      expect(await world.here.read('s', 0)).toBeUndefined();
      await world.here.append('t', 0, 'abc');
      await world.here.append('t', 4, 'e');
      expect(await world.here.read('t', 0)).toBeUndefined();
    });

    test('[CL-49] says how much it keeps after each text', async () => {
      expect(await world.here.append('s', 0, 'abc')).toBe(3);
      expect(await world.there.append('s', 1, 'bcd')).toBe(4);
      expect(await world.here.append('s', 0, 'ab')).toBe(4);
      expect(await world.here.append('s', 5, 'f')).toBe(0);
      expect(await world.here.append('t', 0, '')).toBe(0);
      expect(await world.here.append('t', 0, 'x'.repeat(LIMITS.streamChars + 1))).toBe(LIMITS.streamChars);
      expect(await world.here.append('t', LIMITS.streamChars, 'x')).toBe(LIMITS.streamChars);
    });

    test('[CL-46] leaves out what goes over the limit, and keeps what was before', async () => {
      const almost = 'x'.repeat(LIMITS.streamChars - 2);
      await world.here.append('s', 0, almost);
      await world.here.append('s', almost.length, 'abcd');
      await world.here.append('s', almost.length + 4, 'efgh');
      expect(await world.there.read('s', almost.length)).toEqual({ text: 'ab', offset: almost.length });
    });
  });
}
