/** A chat's log in the SDK: whatever comes, twice, early or late, is heard once and in order. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChatLog, EARLY_MAX } from '../../src/client/chat-log.ts';

function createLog(): {
  log: ChatLog;
  heard: number[];
  receive: (...revs: number[]) => void;
  page: (revs: number[], position: number) => void;
} {
  const log = new ChatLog();
  const heard: number[] = [];
  const eventOf = (rev: number) => ({ rev, deliver: () => void heard.push(rev) });
  return {
    log,
    heard,
    receive: (...revs) => {
      for (const rev of revs) log.receive(eventOf(rev));
    },
    page: (revs, position) => log.page(revs.map(eventOf), position),
  };
}

describe('the log of a chat', () => {
  test('[SD-1] events are heard in order, each once', () => {
    const { log, heard, receive } = createLog();
    log.place(4);
    receive(5, 7, 7, 6, 5, 4, 8);
    expect(heard).toEqual([5, 6, 7, 8]);
    expect(log.behind).toBe(false);
  });

  test('[SD-2] an event that came before the position was read is heard although the position covers it', () => {
    const { log, heard, receive } = createLog();
    receive(9, 10);
    log.place(10);
    receive(11);
    expect(heard).toEqual([9, 10, 11]);
  });

  test('[SD-2] what lies between an early event and the position read is still missing', () => {
    const { log, heard, receive, page } = createLog();
    receive(9);
    log.place(11);
    expect(log.behind).toBe(true);
    page([10, 11], 11);
    expect(heard).toEqual([9, 10, 11]);
    expect(log.behind).toBe(false);
  });

  test('[SD-1] a page closes a hole, with entries that have no event of their own', () => {
    const { log, heard, receive, page } = createLog();
    log.place(0);
    receive(1, 6, 7);
    expect(log.behind).toBe(true);
    page([3, 4], 5);
    expect(heard).toEqual([1, 3, 4, 6, 7]);
    expect(log.position).toBe(7);
  });

  test('[SD-1] an early event that a page passes over is heard in its place', () => {
    const { log, heard, page } = createLog();
    log.place(0);
    log.receive({ rev: 3, alone: true, deliver: () => void heard.push(3) });
    page([2, 4], 4);
    expect(heard).toEqual([2, 3, 4]);
  });

  test('[SD-3] a skip goes on from the new position', () => {
    const { log, heard, receive } = createLog();
    log.place(2);
    receive(5, 8);
    log.skip(7);
    expect(heard).toEqual([8]);
  });

  test('[SD-1] more early events than are kept are still known to be missing', () => {
    const { log, heard, receive, page } = createLog();
    log.place(0);
    const early = Array.from({ length: EARLY_MAX + 10 }, (_, i) => i + 2);
    receive(...early);
    page([1], 1);
    expect(heard).toEqual(Array.from({ length: EARLY_MAX + 1 }, (_, i) => i + 1));
    expect(log.behind).toBe(true);
    receive(EARLY_MAX + 2);
    expect(heard.at(-1)).toBe(EARLY_MAX + 2);
  });

  test('[SD-1] any mixture of live events and pages gives every event once and in order', () => {
    const step = fc.oneof(
      fc.record({ live: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ limit: fc.integer({ min: 1, max: 10 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { log, heard, receive, page } = createLog();
        log.place(0);
        for (const each of [...steps, ...Array.from({ length: 40 }, () => ({ limit: 10 }))]) {
          if ('live' in each) receive(each.live);
          else {
            const after = log.position ?? 0;
            const position = Math.min(40, after + each.limit);
            page(
              Array.from({ length: position - after }, (_, i) => after + 1 + i),
              position,
            );
          }
        }
        expect(heard).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      }),
    );
  });
});
