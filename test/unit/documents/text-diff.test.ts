/** A written text as splices of the one that was there. */
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import * as Y from 'yjs';
import { diffText, tryDiff } from '../../../src/features/documents/text-diff.ts';
import { TextDiffer } from '../../../src/features/documents/text-differ.ts';
import {
  dividesPair,
  isWellFormed,
  splice,
  spliced,
  type TextSplice,
} from '../../../src/features/documents/text-splice.ts';
import { createTestLog } from '../ai/test-log.ts';

const log = createTestLog();
const differ = new TextDiffer(log);

afterAll(() => differ.close());

/** Lines that repeat, and characters that share a half of their surrogate pairs. */
const line = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀', '😁', '🀄', ' '), maxLength: 6 });
const lines = fc.array(line, { maxLength: 12 });
const text = fc
  .tuple(lines, fc.boolean())
  .map(([all, isEnded]) => all.join('\n') + (isEnded && all.length > 0 ? '\n' : ''));

/** A text and one that came of it by a few changes. */
const related = fc
  .tuple(lines, fc.array(fc.tuple(fc.nat(), fc.constantFrom('put', 'cut', 'swap'), line), { maxLength: 4 }))
  .map(([all, changes]) => {
    const after = [...all];
    for (const [n, how, fresh] of changes) {
      const at = after.length === 0 ? 0 : n % after.length;
      if (how === 'put') after.splice(at, 0, fresh);
      else if (how === 'cut') after.splice(at, 1);
      else after.splice(at, 1, fresh);
    }
    return [all.join('\n'), after.join('\n')] as const;
  });

function expectSplices(before: string, after: string, splices: readonly TextSplice[]): void {
  let at = 0;
  for (const { index, deleteCount, insert } of splices) {
    expect(index).toBeGreaterThanOrEqual(at);
    at = index + deleteCount;
    expect(deleteCount + insert.length).toBeGreaterThan(0);
    expect(dividesPair(before, index) || dividesPair(before, at)).toBe(false);
    expect(isWellFormed(insert)).toBe(true);
  }
  expect(spliced(before, splices)).toBe(after);
  const live = new Y.Doc().getText('content');
  live.insert(0, before);
  splice(live, splices);
  expect(live.toJSON()).toBe(after);
}

test('[DC-60] splices make the one text into the other, and divide no surrogate pair', () => {
  fc.assert(fc.property(text, text, (before, after) => expectSplices(before, after, diffText(before, after))));
  fc.assert(fc.property(related, ([before, after]) => expectSplices(before, after, diffText(before, after))));
  expect(spliced('before', diffText('before', 'after'))).toBe('after');
});

test('[DC-60] what is alike is left as it is', () => {
  expect(diffText('same', 'same')).toEqual([]);
  expect(diffText('one\ntwo\nthree\n', 'one\n2\nthree\n')).toEqual([{ index: 4, deleteCount: 3, insert: '2' }]);
  expect(diffText('a = 1\nkept\nb = 2\n', 'a = 10\nkept\nc = 2\n')).toEqual([
    { index: 5, deleteCount: 0, insert: '0' },
    { index: 11, deleteCount: 1, insert: 'c' },
  ]);
  expect(diffText('x😀y', 'x😁y')).toEqual([{ index: 1, deleteCount: 2, insert: '😁' }]);
});

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `line ${n}\n`);

test('[DC-60] texts that have too little in common are not compared without end, but replaced', async () => {
  const before = numbered(5_000);
  const after = before.toReversed();
  const bounds = { mostLines: 2_000, mostMs: 60_000 };
  expect(tryDiff(before.join(''), after.join(''), bounds)).toBeUndefined();
  expectSplices(before.join(''), after.join(''), diffText(before.join(''), after.join('')));
  expectSplices(before.join(''), after.join(''), await differ.diff(before.join(''), after.join('')));
});

test('[DC-60] large texts are compared by a thread, one after another, and all of them when it is ended', async () => {
  const before = numbered(40_000).join('');
  const changed = Array.from({ length: 8 }, (_, n) =>
    numbered(40_000)
      .map((one, at) => (at % 100 === n ? `changed ${at}\n` : one))
      .join(''),
  );
  const all = await Promise.all(changed.map((after) => differ.diff(before, after)));
  all.forEach((splices, n) => expectSplices(before, changed[n] ?? '', splices));
  // How fine they are depends on the time there was; without haste each changed line is a splice.
  expect(log.lines).toEqual([]);
  expect(tryDiff(before, changed[0] ?? '', { mostLines: 2_000, mostMs: 60_000 })).toHaveLength(400);
  const ending = new TextDiffer(log);
  const cut = changed.map((after) => ending.diff(before, after));
  await ending.close();
  (await Promise.all(cut)).forEach((splices, n) => expectSplices(before, changed[n] ?? '', splices));
});
