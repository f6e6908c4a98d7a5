/** Where a snapshot may end. */
import { expect, test } from 'vitest';
import { unfinishedBytes } from '../../sandbox/agent/unfinished.ts';

test('[AG-9] a snapshot stops before a character or an escape sequence that has not ended', () => {
  const unfinished: [string, number][] = [
    ['', 0],
    ['text', 0],
    ['text\x1b', 1],
    ['text\x1b[', 2],
    ['text\x1b[38;5;1', 8],
    ['text\x1b[38;5;1m', 0],
    ['text\x1b[31mred', 0],
    ['text\x1b(', 2],
    ['text\x1b(B', 0],
    ['text\x1bM', 0],
    ['text\x1b]0;title', 9],
    ['text\x1b]0;title\x07', 0],
    ['text\x1b]0;title\x1b\\', 0],
    ['text\x1bPq#1', 5],
    ['é', 0],
    ['€', 0],
    ['😀', 0],
  ];
  for (const [output, bytes] of unfinished)
    expect([output, unfinishedBytes(Buffer.from(output))]).toEqual([output, bytes]);
  for (const character of ['é', '€', '😀']) {
    const whole = Buffer.from(character);
    for (let length = 1; length < whole.length; length++) {
      expect(unfinishedBytes(Buffer.concat([Buffer.from('x'), whole.subarray(0, length)]))).toBe(length);
    }
  }
  // Longer than anybody waits for.
  expect(unfinishedBytes(Buffer.from(`\x1b]0;${'x'.repeat(10_000)}`))).toBe(0);
});
