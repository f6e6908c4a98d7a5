/** One reader for many viewers: each packet is made once, and the slow do not hold up the fast. */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { TerminalFrame } from '../../../src/features/terminals/owner.ts';
import { Recorder } from '../../../src/features/terminals/recorder.ts';
import { TerminalFeed } from '../../../src/features/terminals/terminal-feed.ts';
import { Viewer } from '../../../src/features/terminals/viewer.ts';
import { LIMITS } from '../../../src/protocol/index.ts';

const FRAME_BYTES = 16 * 1024;

test('[TM-22] viewers at the same position share one packet, and nothing is read before one of them takes it', async () => {
  const made: string[] = [];
  const given = new Map<string, number>();
  let read = 0;
  const waiting = new Map<string, number>();
  const taken = new Map<string, () => void>();
  const lagging: Viewer[] = [];
  async function* follow(after: number, signal: AbortSignal): AsyncGenerator<TerminalFrame> {
    for (; read < 100; read++) {
      yield { type: 'output', offset: after + read * FRAME_BYTES, data: Buffer.alloc(FRAME_BYTES, read) };
    }
    await once(signal, 'abort');
  }
  const feed = new TerminalFeed(
    {
      terminalId: 't',
      rooms: {
        encode(event, data) {
          made.push(`${event} ${(data as { offset: number }).offset}`);
          return [JSON.stringify(event)];
        },
        deliverTo(ids) {
          for (const id of ids) given.set(id, (given.get(id) ?? 0) + 1);
        },
      },
      follow,
      onLagging(viewer) {
        lagging.push(viewer);
        feed.remove(viewer);
      },
      onPumped() {},
      onExited() {},
      onFailed(_feed, error) {
        throw error;
      },
    },
    0,
  );
  const rooms = {
    waitingBytes: (id: string) => waiting.get(id) ?? 0,
    onTaken: (id: string, listener: () => void) => void taken.set(id, listener),
  };
  const viewers = ['a', 'b', 'slow', 'credits'].map((connectionId) => {
    const credits = connectionId === 'credits' ? 20 * FRAME_BYTES : undefined;
    const viewer = new Viewer({ connectionId, userId: 'u', after: 0, credits, rooms });
    viewer.state = 'live';
    return viewer;
  });
  waiting.set('slow', LIMITS.terminalBacklogBytes);
  for (const viewer of viewers) feed.add(viewer);
  await expect.poll(() => read).toBe(100);
  // Once each, for the two who keep up and the one who has credits for a part.
  expect(made.length).toBe(100);
  expect(new Set(made).size).toBe(100);
  expect([...given]).toEqual([
    ['a', 100],
    ['b', 100],
    ['credits', 20],
  ]);
  // What the slow ones missed is not here any more: they have to read it again.
  waiting.set('slow', 0);
  taken.get('slow')?.();
  viewers[3]?.grant(1);
  feed.pump();
  await turn();
  expect(lagging.map(({ connectionId }) => connectionId)).toEqual(['slow', 'credits']);
  for (const viewer of feed.viewers) feed.remove(viewer);
});

test('[TM-6] with one viewer, no more is read than it takes', async () => {
  let read = 0;
  async function* follow(): AsyncGenerator<TerminalFrame> {
    for (; ; read++) yield { type: 'output', offset: read * FRAME_BYTES, data: Buffer.alloc(FRAME_BYTES) };
  }
  const feed = new TerminalFeed(
    {
      terminalId: 't',
      rooms: { encode: () => ['x'], deliverTo() {} },
      follow,
      onLagging() {},
      onPumped() {},
      onExited() {},
      onFailed() {},
    },
    0,
  );
  const rooms = { waitingBytes: () => 0, onTaken() {} };
  const viewer = new Viewer({ connectionId: 'c', userId: 'u', after: 0, credits: 10 * FRAME_BYTES, rooms });
  viewer.state = 'live';
  feed.add(viewer);
  for (let granted = 10; granted < 50; granted += 10) {
    await expect.poll(() => viewer.position).toBe(granted * FRAME_BYTES);
    await turn();
    expect(read).toBeLessThanOrEqual(granted);
    viewer.grant(10 * FRAME_BYTES);
    feed.pump();
  }
  feed.remove(viewer);
});

test('[TM-16] a recording is bounded, and no character is cut', () => {
  let nowMs = 1_000_000;
  const recorder = new Recorder({ cols: 80, rows: 24 }, () => nowMs);
  const letter = Buffer.from('ü');
  recorder.take({ type: 'output', offset: 0, data: letter.subarray(0, 1) });
  nowMs += 1_500;
  recorder.take({ type: 'output', offset: 1, data: letter.subarray(1) });
  recorder.resized({ cols: 10, rows: 5 });
  expect(recorder.content().toString().split('\n').slice(1)).toEqual(['[1.5,"o","ü"]', '[1.5,"r","10x5"]', '']);
  for (let offset = 2; !recorder.isFull; offset += 65_536) {
    recorder.take({ type: 'output', offset, data: Buffer.alloc(65_536, 'x') });
  }
  const { sizeBytes } = recorder;
  recorder.take({ type: 'output', offset: 0, data: Buffer.from('more') });
  expect(recorder.sizeBytes).toBe(sizeBytes);
  expect(sizeBytes).toBeLessThan(LIMITS.terminalRecordingBytes + 100_000);
  expect(recorder.content().length).toBe(sizeBytes);
});
