/** Finds a literal text in texts, a piece at a time, so that whoever searches much can let others in between. */

export interface TextMatch {
  /** From 1. */
  line: number;
  /** From 1, in UTF-16 units. */
  column: number;
  /** The line around it, without the white space that it begins with. */
  preview: string;
}

/** Read at one go: below a millisecond or two. */
const PIECE_LENGTH = 128 * 1_024;
/** Shown of a line before what was found in it. */
const LEAD = 40;

/** A pattern for a literal text; without case, letters are the same that differ in it only. */
export function patternOf(query: string, caseSensitive: boolean): RegExp {
  const literal = query.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
  return new RegExp(literal, caseSensitive ? 'gu' : 'giu');
}

/** Yields each match, and undefined between pieces without one. No two matches overlap. */
export function* matchesIn(
  text: string,
  pattern: RegExp,
  { queryLength, previewLength }: { queryLength: number; previewLength: number },
): Generator<TextMatch | undefined> {
  let line = 1;
  let lineStart = 0;
  /** What has been looked through for line ends. */
  let counted = 0;
  for (let from = 0; from < text.length;) {
    const end = Math.min(from + PIECE_LENGTH, text.length);
    // What begins in this piece may end in the next one.
    const piece = text.slice(from, end + queryLength - 1);
    pattern.lastIndex = 0;
    let next = end;
    for (let found = pattern.exec(piece); found; found = pattern.exec(piece)) {
      const at = from + found.index;
      if (at >= end) break;
      for (let lf = text.indexOf('\n', counted); lf >= 0 && lf < at; lf = text.indexOf('\n', lf + 1)) {
        line++;
        lineStart = lf + 1;
      }
      counted = at;
      next = Math.max(next, at + found[0].length);
      yield { line, column: at - lineStart + 1, preview: previewOf(text, lineStart, at, previewLength) };
    }
    from = next;
    yield undefined;
  }
}

/** The line from `lineStart` around `at`, cut to a length between characters. */
function previewOf(text: string, lineStart: number, at: number, length: number): string {
  let start = Math.max(lineStart, at - LEAD);
  if (isLow(text, start)) start++;
  const window = text.slice(start, start + length + 1);
  const [whole = ''] = window.split(/\r?\n/, 1);
  let cut = whole.slice(0, length);
  if (/[\uD800-\uDBFF]$/.test(cut) && isLow(text, start + cut.length)) cut = cut.slice(0, -1);
  return cut.trimStart();
}

const isLow = (text: string, at: number): boolean => {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff;
};
