/** Edits of clients without Yjs: what they mean, and where they are in a text that has changed since. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { composeEdits, placeEdits, unchanged, type JsonEdit } from '../../../src/features/documents/json-edits.ts';
import { seenText, stateOf } from '../../../src/features/documents/seen-text.ts';
import { splice, spliced } from '../../../src/features/documents/text-splice.ts';

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '日'), maxLength: 5 });
const base = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', 'e', '\n'), maxLength: 30 });
const places = fc.array(fc.tuple(fc.nat(), fc.nat(6), word), { maxLength: 6 });

/** Index edits that have a place, each in the text that the ones before it left, and that text. */
function editsOf(text: string, wanted: readonly (readonly [number, number, string])[]): [JsonEdit[], string] {
  let now = text;
  const edits = wanted.map(([at, count, insert]) => {
    const index = at % (now.length + 1);
    const deleteCount = Math.min(count, now.length - index);
    now = now.slice(0, index) + insert + now.slice(index + deleteCount);
    return { index, deleteCount, insert };
  });
  return [edits, now];
}

function docOf(text: string): Y.Doc {
  const doc = new Y.Doc();
  doc.getText('content').insert(0, text);
  return doc;
}

const contentOf = (doc: Y.Doc): string => doc.getText('content').toJSON();

function edit(doc: Y.Doc, edits: readonly JsonEdit[], state?: string): string {
  doc.transact(() => splice(doc.getText('content'), placeEdits(seenText(doc, state), edits)));
  return contentOf(doc);
}

/** A change by somebody else, as an update of another Y.Doc. */
function elsewhere(doc: Y.Doc, index: number, deleteCount: number, insert: string): void {
  const other = new Y.Doc();
  Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
  const text = other.getText('content');
  other.transact(() => {
    text.delete(index, deleteCount);
    text.insert(index, insert);
  });
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(other, Y.encodeStateVector(doc)));
}

const conflict = expect.objectContaining({ code: 'conflict' });

test('[DC-61] each edit is one of the text that the ones before it left', () => {
  fc.assert(
    fc.property(base, places, (text, wanted) => {
      const [edits, after] = editsOf(text, wanted);
      const splices = composeEdits(unchanged(text), edits);
      expect(spliced(text, splices)).toBe(after);
      const ends = splices.map((one) => one.index + one.deleteCount);
      expect(splices.slice(1).every(({ index }, n) => index > (ends[n] ?? 0))).toBe(true);
      expect(edit(docOf(text), edits)).toBe(after);
    }),
  );
});

test('[DC-63] what is to be found is there once, or it is a conflict and nothing is done', () => {
  const doc = docOf('one two one');
  expect(edit(doc, [{ find: 'two', replace: '2' }])).toBe('one 2 one');
  expect(() => edit(doc, [{ find: 'three', replace: '' }])).toThrow(conflict);
  expect(() =>
    edit(doc, [
      { find: '2', replace: 'two' },
      { find: 'one', replace: '' },
    ]),
  ).toThrow(conflict);
  expect(contentOf(doc)).toBe('one 2 one');
  // Twice where they overlap, too.
  expect(() => edit(docOf('aaa'), [{ find: 'aa', replace: 'b' }])).toThrow(conflict);
  expect(
    edit(doc, [
      { index: 0, deleteCount: 4, insert: '' },
      { find: 'one', replace: '1' },
    ]),
  ).toBe('2 1');
  expect(
    edit(doc, [
      { index: 1, deleteCount: 0, insert: '3' },
      { find: '23', replace: '4' },
    ]),
  ).toBe('4 1');
});

test('[DC-61] a place behind the end is a conflict, one in the middle of a surrogate pair is invalid', () => {
  const doc = docOf('a😀b');
  expect(() => edit(doc, [{ index: 4, deleteCount: 1, insert: '' }])).toThrow(conflict);
  for (const index of [1, 2]) {
    const deleteCount = index === 1 ? 1 : 0;
    expect(() => edit(doc, [{ index, deleteCount, insert: '' }])).toThrow(expect.objectContaining({ code: 'invalid' }));
  }
  expect(edit(doc, [{ index: 1, deleteCount: 2, insert: '😁' }])).toBe('a😁b');
});

test('[DC-62] edits of an earlier text are done to what has become of it', () => {
  const doc = docOf('the quick fox');
  const seen = stateOf(doc);
  elsewhere(doc, 0, 3, 'a very');
  expect(contentOf(doc)).toBe('a very quick fox');
  expect(edit(doc, [{ index: 10, deleteCount: 3, insert: 'dog' }], seen)).toBe('a very quick dog');
  // What others have deleted is deleted once, and what they have put in between stays.
  const again = stateOf(doc);
  elsewhere(doc, 7, 2, '');
  elsewhere(doc, 9, 0, '!');
  expect(contentOf(doc)).toBe('a very ic!k dog');
  expect(edit(doc, [{ index: 7, deleteCount: 6, insert: 'slow ' }], again)).toBe('a very slow !dog');
});

test('[DC-62] a deletion alone is seen, although no state vector of Yjs tells it', () => {
  const doc = docOf('hello world');
  const seen = stateOf(doc);
  elsewhere(doc, 0, 6, '');
  expect(stateOf(doc)).not.toBe(seen);
  expect(edit(doc, [{ index: 6, deleteCount: 5, insert: 'there' }], seen)).toBe('there');
});

test('[DC-63] what is to be found must stand together still', () => {
  const doc = docOf('let a = 1;');
  const seen = stateOf(doc);
  elsewhere(doc, 5, 0, 'b');
  expect(contentOf(doc)).toBe('let ab = 1;');
  expect(() => edit(doc, [{ find: 'a = 1', replace: 'c = 2' }], seen)).toThrow(conflict);
  expect(edit(doc, [{ find: '= 1', replace: '= 2' }], seen)).toBe('let ab = 2;');
  const later = stateOf(doc);
  elsewhere(doc, 0, 4, '');
  expect(() => edit(doc, [{ find: 'let', replace: 'const' }], later)).toThrow(conflict);
});

test('[DC-62] within one transaction edits see what has gone before them', () => {
  const doc = docOf('one two three');
  const seen = stateOf(doc);
  const text = doc.getText('content');
  doc.transact(() => {
    splice(text, placeEdits(seenText(doc, seen), [{ find: 'one ', replace: '' }]));
    splice(text, placeEdits(seenText(doc, seen), [{ index: 4, deleteCount: 3, insert: '2' }]));
    expect(() => placeEdits(seenText(doc, seen), [{ find: 'two', replace: '' }])).toThrow(conflict);
  });
  expect(contentOf(doc)).toBe('2 three');
});

test('[DC-62] of a document that was loaded anew an earlier state is known unless something of it is gone', () => {
  const doc = docOf('abc');
  elsewhere(doc, 1, 1, '');
  const seen = stateOf(doc);
  elsewhere(doc, 0, 0, 'x');
  const reloaded = (): Y.Doc => {
    const fresh = new Y.Doc();
    Y.applyUpdate(fresh, Y.encodeStateAsUpdate(doc));
    return fresh;
  };
  expect(stateOf(reloaded())).toBe(stateOf(doc));
  expect(edit(reloaded(), [{ index: 2, deleteCount: 0, insert: 'd' }], seen)).toBe('xacd');
  elsewhere(doc, 1, 1, '');
  expect(() => edit(reloaded(), [{ index: 2, deleteCount: 0, insert: 'd' }], seen)).toThrow(conflict);
  expect(edit(doc, [{ index: 2, deleteCount: 0, insert: 'd' }], seen)).toBe('xcd');
  expect(() => edit(docOf('other'), [], seen)).toThrow(conflict);
  expect(() => edit(doc, [], 'nonsense')).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('[DC-62] whatever others do, all that an edit did not touch stays, and what it deleted is gone', () => {
  const marked = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), minLength: 1, maxLength: 20 });
  const change = fc.tuple(fc.nat(), fc.nat(4), fc.constantFrom('', 'X', 'YY', 'ZZZ'));
  fc.assert(
    fc.property(marked, fc.array(change, { maxLength: 8 }), fc.nat(), fc.nat(6), (text, changes, at, count) => {
      // Every unit of the base is its own letter, so that its fate is seen.
      const letters = Array.from({ length: text.length }, (_, n) => String.fromCharCode(0x4e00 + n)).join('');
      const doc = docOf(letters);
      const seen = stateOf(doc);
      for (const [where, deleteCount, insert] of changes) {
        const index = where % (contentOf(doc).length + 1);
        elsewhere(doc, index, Math.min(deleteCount, contentOf(doc).length - index), insert);
      }
      const live = contentOf(doc);
      const index = at % (letters.length + 1);
      const deleteCount = Math.min(count, letters.length - index);
      const gone = new Set(letters.slice(index, index + deleteCount));
      const after = edit(doc, [{ index, deleteCount, insert: '#' }], seen);
      expect(after.replace('#', '')).toBe(
        Array.from(live)
          .filter((letter) => !gone.has(letter))
          .join(''),
      );
      // It stands behind everything that was before it, and before everything that was behind it.
      const place = after.indexOf('#');
      const kept = Array.from(letters, (letter, n) => ({ n, found: after.indexOf(letter) }));
      expect(kept.filter(({ n, found }) => found >= 0 && found < place !== n < index)).toEqual([]);
    }),
  );
});
