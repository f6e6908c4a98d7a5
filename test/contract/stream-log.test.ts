import { describe, expect, test } from 'vitest';
import { createMemoryStreamLog } from '../../src/cluster/memory-stream-log.ts';
import { STREAM_LOG_MS } from '../../src/cluster/stream-log.ts';
import { FakeClock } from './fake-clock.ts';
import { describeStreamLog } from './stream-log.contract.ts';

describeStreamLog('memory', async () => {
  const log = createMemoryStreamLog();
  return { here: log, there: log, close: () => log.close() };
});

describe('the stream log in memory', () => {
  test('[CL-47] forgets a stream an hour after its last text', async () => {
    const clock = new FakeClock();
    const log = createMemoryStreamLog({ clock });
    await log.append('a', 0, 'one');
    await log.append('b', 0, 'two');
    clock.advance(STREAM_LOG_MS / 2);
    await log.append('a', 3, ' more');
    clock.advance(STREAM_LOG_MS / 2 + 1);
    expect(await log.read('b', 0)).toBeUndefined();
    expect(await log.read('a', 0)).toEqual({ text: 'one more', offset: 0 });
    clock.advance(STREAM_LOG_MS / 2);
    expect(await log.read('a', 0)).toBeUndefined();
    await log.close();
    expect(clock.timers).toBe(0);
  });

  test('[CL-48] is bounded in all: the stream without new text for longest goes first', async () => {
    const log = createMemoryStreamLog({ clock: new FakeClock(), maxChars: 10 });
    await log.append('a', 0, 'aaaa');
    await log.append('b', 0, 'bbbb');
    await log.append('a', 4, 'A');
    await log.append('c', 0, 'cccc');
    expect(await log.read('b', 0)).toBeUndefined();
    expect(await log.read('a', 0)).toEqual({ text: 'aaaaA', offset: 0 });
    expect(await log.read('c', 0)).toEqual({ text: 'cccc', offset: 0 });
    await log.close();
  });
});
