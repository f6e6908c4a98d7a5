import { createMemoryStreamLog } from '../../../src/cluster/memory-stream-log.ts';
import { describe, expect, test } from 'vitest';
import { DeltaWriter, pairSafe, windowFor, type DeltaWriterDeps } from '../../../src/features/ai/delta-writer.ts';
import { createTestClock, settled } from './test-clock.ts';

function setUp(deps: Partial<DeltaWriterDeps> = {}) {
  const clock = createTestClock();
  const deltas: { offset: number; text: string; at: number }[] = [];
  const logged: { offset: number; text: string }[] = [];
  const failures: unknown[] = [];
  const start = clock.now();
  const writer = new DeltaWriter({
    clock,
    limit: 1_000_000,
    windowMs: () => 33,
    append: async (offset, text) => {
      logged.push({ offset, text });
      return offset + text.length;
    },
    emit: (offset, text) => deltas.push({ offset, text, at: clock.now() - start }),
    onFailure: (error) => failures.push(error),
    ...deps,
  });
  return { clock, deltas, logged, failures, writer };
}

const joined = (deltas: readonly { offset: number; text: string }[]): string => {
  let text = '';
  for (const delta of deltas) {
    expect(delta.offset).toBe(text.length);
    text += delta.text;
  }
  return text;
};

describe('coalescing', () => {
  test('[AI-10] the first text goes at once, what follows is gathered for the window', async () => {
    const { writer, deltas, clock } = setUp();
    writer.push('a');
    await settled();
    expect(deltas).toEqual([{ offset: 0, text: 'a', at: 0 }]);
    writer.push('b');
    await clock.advance(10);
    writer.push('c');
    await clock.advance(22);
    expect(deltas).toHaveLength(1);
    await clock.advance(1);
    expect(deltas[1]).toEqual({ offset: 1, text: 'bc', at: 33 });
  });

  test('[AI-10] text after a pause goes at once again', async () => {
    const { writer, deltas, clock } = setUp();
    writer.push('a');
    await settled();
    await clock.advance(500);
    writer.push('b');
    await settled();
    expect(deltas[1]).toEqual({ offset: 1, text: 'b', at: 500 });
    expect(clock.waiting).toBe(0);
  });

  test('[AI-10] the window is asked for anew, so it follows the room', async () => {
    let window = 33;
    const { writer, deltas, clock } = setUp({ windowMs: () => window });
    writer.push('a');
    await settled();
    window = 250;
    writer.push('b');
    await clock.advance(249);
    expect(deltas).toHaveLength(1);
    await clock.advance(1);
    expect(deltas[1]?.at).toBe(250);
  });

  test('[AI-10] small rooms wait at most 33 ms, large ones at most 250', () => {
    expect([0, 2, 9, 10, 100, 1_000, 10_000, 1_000_000].map(windowFor)).toEqual([33, 33, 33, 34, 43, 133, 250, 250]);
  });

  test('[AI-10] the end does not wait for the window', async () => {
    const { writer, deltas, clock } = setUp();
    writer.push('a');
    await settled();
    writer.push('b');
    expect(await writer.end()).toBe('ab');
    expect(joined(deltas)).toBe('ab');
    expect(clock.waiting).toBe(0);
  });

  test('[AI-10] long text goes in pieces that fit a message between nodes', async () => {
    const { writer, deltas } = setUp();
    const text = 'x'.repeat(50_000);
    writer.push(text);
    expect(await writer.end()).toBe(text);
    expect(deltas.map((delta) => delta.text.length)).toEqual([16_384, 16_384, 16_384, 848]);
  });
});

describe('surrogate pairs', () => {
  test('[AI-11] a pair that comes in two pieces leaves in one', async () => {
    const { writer, deltas, clock } = setUp();
    writer.push('a\ud83d');
    await settled();
    expect(deltas).toMatchObject([{ text: 'a' }]);
    writer.push('\ude00b');
    await clock.advance(33);
    expect(deltas[1]?.text).toBe('😀b');
  });

  test('[AI-11] lone halves become U+FFFD, and every offset stays right', async () => {
    const { writer, deltas } = setUp();
    for (const piece of ['\ude00a', '\ud83d', 'b\ud83d']) writer.push(piece);
    expect(await writer.end()).toBe('\ufffda\ufffdb\ufffd');
    expect(joined(deltas)).toBe('\ufffda\ufffdb\ufffd');
  });

  test('[AI-11] neither the limit nor the size of a delta splits one', async () => {
    const { writer, deltas } = setUp({ limit: 3 });
    expect(writer.push('😀')).toBe(true);
    expect(writer.push('😀😀')).toBe(false);
    expect(await writer.end()).toBe('😀');
    expect(joined(deltas)).toBe('😀');

    const long = setUp();
    long.writer.push(`x${'😀'.repeat(20_000)}`);
    await long.writer.end();
    expect(long.deltas[0]?.text.length).toBe(16_383);
    expect(joined(long.deltas)).toBe(`x${'😀'.repeat(20_000)}`);
  });

  test('[AI-11] pairSafe steps back from the middle of a pair only', () => {
    expect([0, 1, 2, 3, 4].map((end) => pairSafe('a😀b', end))).toEqual([0, 1, 1, 3, 4]);
    expect(pairSafe('', 0)).toBe(0);
    expect(pairSafe('ab', -5)).toBe(0);
  });
});

describe('the stream log', () => {
  test('[AI-12] has a delta before the room does', async () => {
    const order: string[] = [];
    const { writer } = setUp({
      append: async (offset, text) => {
        await settled();
        order.push(`log ${offset}`);
        return offset + text.length;
      },
      emit: (offset) => order.push(`room ${offset}`),
    });
    writer.push('a');
    writer.push('b');
    await writer.end();
    writer.push('c');
    await writer.end();
    expect(order).toEqual(['log 0', 'room 0', 'log 1', 'room 1', 'log 2', 'room 2']);
  });

  test('[AI-12] that failed gets what it missed with the next delta', async () => {
    let fails = true;
    const logged: { offset: number; text: string }[] = [];
    const { writer, deltas, failures, clock } = setUp({
      append: async (offset, text) => {
        if (fails) throw new Error('away');
        logged.push({ offset, text });
        return offset + text.length;
      },
    });
    writer.push('a');
    await clock.advance(33);
    writer.push('b');
    await clock.advance(33);
    fails = false;
    writer.push('c');
    await writer.end();
    expect(failures).toHaveLength(2);
    expect(logged).toEqual([{ offset: 0, text: 'abc' }]);
    expect(joined(deltas)).toBe('abc');
  });

  test('[AI-12] that has lost the stream gets all of it again', async () => {
    const log = createMemoryStreamLog();
    const { writer, failures, clock } = setUp({ append: (offset, text) => log.append('s', offset, text) });
    writer.push('one ');
    await clock.advance(33);
    await log.remove('s');
    writer.push('two ');
    await clock.advance(33);
    expect(await log.read('s', 0)).toEqual({ text: 'one two ', offset: 0 });
    writer.push('three');
    await writer.end();
    expect(await log.read('s', 0)).toEqual({ text: 'one two three', offset: 0 });
    expect(failures).toEqual([]);
    await log.close();
  });

  test('[AI-12] that hangs delays a delta by a second and stops none', async () => {
    const { writer, deltas, failures, clock } = setUp({ append: () => new Promise(() => {}) });
    writer.push('a');
    await clock.advance(999);
    expect(deltas).toHaveLength(0);
    await clock.advance(1);
    expect(deltas).toMatchObject([{ text: 'a' }]);
    expect(failures).toHaveLength(1);
  });
});
