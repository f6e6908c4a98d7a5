/** Where a text is found in texts. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesIn, patternOf, type TextMatch } from '../../src/features/files/text-matches.ts';

function found(text: string, query: string, caseSensitive = true): TextMatch[] {
  const options = { queryLength: query.length, previewLength: 200 };
  return [...matchesIn(text, patternOf(query, caseSensitive), options)].filter((match) => match !== undefined);
}

/** The same, plainly. */
function expected(text: string, query: string): { line: number; column: number }[] {
  const places: { line: number; column: number }[] = [];
  for (let at = text.indexOf(query); at >= 0; at = text.indexOf(query, at + query.length)) {
    const before = text.slice(0, at).split('\n');
    places.push({ line: before.length, column: (before.at(-1)?.length ?? 0) + 1 });
  }
  return places;
}

describe('[FL-30] search', () => {
  test('a line, a column and the line around it', () => {
    expect(found('one\n  two three\nfour', 'three')).toEqual([{ line: 2, column: 7, preview: 'two three' }]);
  });

  test('finds what a plain search finds', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '.', '(', '😀'), maxLength: 60 });
    const query = fc.string({ unit: fc.constantFrom('a', 'b', '.', '(', '😀'), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(text, query, (text, query) => {
        const places = found(text, query).map(({ line, column }) => ({ line, column }));
        expect(places).toEqual(expected(text, query));
      }),
    );
  });

  test('across pieces of a long text', () => {
    const text = `${'x'.repeat(131_070)}needle\n${'y'.repeat(300_000)}needle`;
    expect(found(text, 'needle').map(({ line, column }) => [line, column])).toEqual([
      [1, 131_071],
      [2, 300_001],
    ]);
  });

  test('case counts only if asked for, also beyond ASCII', () => {
    expect(found('Straße ÉCOLE', 'école', false)).toMatchObject([{ column: 8 }]);
    expect(found('Straße ÉCOLE', 'école')).toEqual([]);
  });

  test('nothing of it is a pattern', () => {
    expect(found(String.raw`a.b a*b \d [x]`, '.')).toHaveLength(1);
    for (const query of ['\\', '[', '(', '-', '/', '^', '$', '{1}']) {
      expect(found(`x${query}x`, query, false)).toHaveLength(1);
    }
  });

  test('a preview is short and splits no character', () => {
    const [match] = found(`${'😀'.repeat(500)}needle${'😀'.repeat(500)}`, 'needle');
    expect(match?.preview.length).toBeLessThanOrEqual(200);
    expect(match?.preview).toContain('needle');
    expect(match?.preview).not.toMatch(/\p{Surrogate}/u);
  });
});
