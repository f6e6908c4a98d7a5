/**
 * What clients without Yjs change: a list of edits of a text that they saw, each of the text that the ones before it
 * left. It becomes splices of the text that was seen, and these become splices of the live text.
 */
import { Fault } from '../../protocol/index.ts';
import { dividesPair, trimmed, type TextSplice } from './text-splice.ts';

/** At a place, in UTF-16 units; or in place of what stands there exactly once. */
export type JsonEdit = { index: number; deleteCount: number; insert: string } | { find: string; replace: string };

/** A text as somebody saw it, and what has become of it. */
export interface SeenText {
  /** What has been deleted since stands in it as `GONE`, unit by unit. */
  readonly text: string;
  /** What a splice of it is in the live text; ascending. */
  toLive(splice: TextSplice): TextSplice[];
  /** Whether nothing has come or gone between these places. */
  isWhole(start: number, end: number): boolean;
}

/** Half of a surrogate pair: no search that is well-formed finds it. */
export const GONE = '\uD800';

/** A text that nobody has changed since it was seen. */
export const unchanged = (text: string): SeenText => ({
  text,
  toLive: (splice) => [splice],
  isWhole: () => true,
});

/** Splices of the live text; ascending. Rejects with `conflict` where an edit has no place. */
export const placeEdits = (seen: SeenText, edits: readonly JsonEdit[]): TextSplice[] =>
  composeEdits(seen, edits).flatMap((splice) => seen.toLive(splice));

/** What the edits together do to the text that was seen; ascending, with something kept between any two. */
export function composeEdits(seen: Pick<SeenText, 'text' | 'isWhole'>, edits: readonly JsonEdit[]): TextSplice[] {
  const draft = new Draft(seen.text);
  for (const edit of edits) {
    if ('find' in edit) replaceOnce(draft, edit, seen);
    else draft.splice(edit);
  }
  return draft.splices();
}

function replaceOnce(
  draft: Draft,
  { find, replace }: { find: string; replace: string },
  seen: Pick<SeenText, 'isWhole'>,
): void {
  const text = draft.toString();
  const index = text.indexOf(find);
  if (index < 0) throw new Fault('conflict', 'The text to be replaced is not there');
  if (text.indexOf(find, index + 1) >= 0)
    throw new Fault('conflict', 'The text to be replaced is there more than once');
  if (!draft.seenBetween(index, index + find.length).every(({ start, end }) => seen.isWhole(start, end))) {
    throw new Fault('conflict', 'The text to be replaced has been changed meanwhile');
  }
  for (const splice of trimmed(find, replace, index)) draft.splice(splice);
}

/** Either a part of the text that was seen, or new. */
type Piece = { start: number; end: number } | { own: string };

/** A text that is being edited, as parts of the text that was seen and what is new between them. */
class Draft {
  readonly #seen: string;
  #pieces: Piece[];
  #length: number;

  constructor(seen: string) {
    this.#seen = seen;
    this.#pieces = seen === '' ? [] : [{ start: 0, end: seen.length }];
    this.#length = seen.length;
  }

  toString(): string {
    return this.#pieces.map((piece) => this.#textOf(piece)).join('');
  }

  splice({ index, deleteCount, insert }: TextSplice): void {
    if (index + deleteCount > this.#length) throw new Fault('conflict', 'The text is shorter than that');
    const first = this.#cut(index);
    const last = this.#cut(index + deleteCount);
    this.#pieces.splice(first, last - first, ...(insert === '' ? [] : [{ own: insert }]));
    this.#length += insert.length - deleteCount;
  }

  /** The parts of the text that was seen that stand there, those that were neighbours as one. */
  seenBetween(from: number, to: number): { start: number; end: number }[] {
    const parts: { start: number; end: number }[] = [];
    let at = 0;
    let follows = false;
    for (const piece of this.#pieces) {
      const [begin, end] = [Math.max(from - at, 0), Math.min(to - at, lengthOf(piece))];
      at += lengthOf(piece);
      if (begin >= end) continue;
      const last = parts.at(-1);
      if ('own' in piece) follows = false;
      else if (follows && last?.end === piece.start) last.end = piece.start + end;
      else parts.push({ start: piece.start + begin, end: piece.start + end });
      if (!('own' in piece)) follows = true;
    }
    return parts;
  }

  splices(): TextSplice[] {
    const splices: TextSplice[] = [];
    let at = 0;
    let insert = '';
    const upTo = (index: number): void => {
      if (index > at || insert !== '') splices.push({ index: at, deleteCount: index - at, insert });
      insert = '';
    };
    for (const piece of this.#pieces) {
      if ('own' in piece) {
        insert += piece.own;
        continue;
      }
      upTo(piece.start);
      at = piece.end;
    }
    upTo(this.#seen.length);
    return splices;
  }

  /** Makes a piece begin at the index, and says which. */
  #cut(index: number): number {
    let at = 0;
    for (const [n, piece] of this.#pieces.entries()) {
      if (at === index) return this.#checked(n);
      const length = lengthOf(piece);
      if (index < at + length) {
        const offset = index - at;
        this.#pieces.splice(n, 1, ...halves(piece, offset));
        return this.#checked(n + 1);
      }
      at += length;
    }
    return this.#pieces.length;
  }

  #checked(n: number): number {
    const [before, after] = [this.#pieces[n - 1], this.#pieces[n]];
    if (!before || !after) return n;
    const pair = this.#textOf(before, -1) + this.#textOf(after, 1);
    if (dividesPair(pair, 1)) throw new Fault('invalid', 'An edit may not divide a surrogate pair');
    return n;
  }

  /** All of a piece, or its first or last unit. */
  #textOf(piece: Piece, unit?: 1 | -1): string {
    if ('own' in piece) return unit === undefined ? piece.own : (piece.own.at(unit === 1 ? 0 : -1) ?? '');
    if (unit === undefined) return this.#seen.slice(piece.start, piece.end);
    return this.#seen.charAt(unit === 1 ? piece.start : piece.end - 1);
  }
}

const lengthOf = (piece: Piece): number => ('own' in piece ? piece.own.length : piece.end - piece.start);

const halves = (piece: Piece, offset: number): [Piece, Piece] =>
  'own' in piece
    ? [{ own: piece.own.slice(0, offset) }, { own: piece.own.slice(offset) }]
    : [
        { start: piece.start, end: piece.start + offset },
        { start: piece.start + offset, end: piece.end },
      ];
