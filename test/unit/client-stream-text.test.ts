/** An assistant's text in the SDK: each unit once and in order. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamText } from '../../src/client/stream-text.ts';

function createText(): { stream: StreamText; heard: { offset: number; text: string }[] } {
  const heard: { offset: number; text: string }[] = [];
  return { stream: new StreamText((offset, text) => heard.push({ offset, text })), heard };
}

test('[SD-4] deltas below the offset are trimmed or dropped, one above waits', () => {
  const { stream, heard } = createText();
  stream.receive(0, 'abc');
  stream.receive(0, 'ab');
  stream.receive(2, 'cd');
  stream.receive(6, 'gh');
  expect(stream.hasHole).toBe(true);
  stream.receive(4, 'ef');
  expect(stream.hasHole).toBe(false);
  expect(heard).toEqual([
    { offset: 0, text: 'abc' },
    { offset: 3, text: 'd' },
    { offset: 4, text: 'ef' },
    { offset: 6, text: 'gh' },
  ]);
});

test('[SD-4] any pieces in any order give the text once, from contiguous offsets', () => {
  const whole = 'An assistant’s answer, with 🙂 in it, told to everyone in the room.';
  const piece = fc.tuple(fc.nat(whole.length), fc.nat(12));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const { stream, heard } = createText();
      for (const [offset, length] of pieces) stream.receive(offset, whole.slice(offset, offset + length));
      const at = stream.text.length;
      stream.receive(at, whole.slice(at));
      expect(stream.text).toBe(whole);
      expect(stream.hasHole).toBe(false);
      expect(heard.map(({ text }) => text).join('')).toBe(whole);
      let next = 0;
      for (const { offset, text } of heard) {
        expect(offset).toBe(next);
        next += text.length;
      }
    }),
  );
});
