/**
 * From one text to another in few splices, so that what others type meanwhile stays and cursors keep their place. The
 * work is bounded: texts that have too little in common are taken as one replacement of what lies between their equal
 * ends. (A plain diff of a reversed file of 5,000 lines takes minutes.)
 */
import { diffArrays } from 'diff';
import { trimmed, type TextSplice } from './text-splice.ts';

export interface DiffBounds {
  /** Lines removed and added together, beyond which texts are too different: the work grows with their square. */
  mostLines: number;
  /** However slow the machine is. */
  mostMs: number;
}

/** In a thread of its own. */
export const FULL: DiffBounds = { mostLines: 2_000, mostMs: 60 };
/** On the main thread: what somebody changes by hand. */
export const QUICK: DiffBounds = { mostLines: 200, mostMs: 5 };

/** Ascending splices that make `before` into `after`. */
export const diffText = (before: string, after: string): TextSplice[] =>
  tryDiff(before, after, FULL) ?? trimmed(before, after);

/** As `diffText`; undefined where the bounds do not suffice. */
export function tryDiff(before: string, after: string, bounds: DiffBounds): TextSplice[] | undefined {
  const [middle] = trimmed(before, after);
  if (!middle) return [];
  const { index, deleteCount, insert } = middle;
  if (deleteCount === 0 || insert === '') return [middle];
  return diffLines(before.slice(index, index + deleteCount), insert, index, bounds);
}

function diffLines(before: string, after: string, index: number, bounds: DiffBounds): TextSplice[] | undefined {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const { mostLines: maxEditLength, mostMs: timeout } = bounds;
  if (Math.abs(old.length - fresh.length) > maxEditLength) return undefined;
  // Equal lines get the same number: the diff compares each many times.
  const numbers = new Map<string, number>();
  const numbered = (lines: readonly string[]): number[] =>
    lines.map((line) => {
      const known = numbers.get(line) ?? numbers.size;
      numbers.set(line, known);
      return known;
    });
  const changes = diffArrays(numbered(old), numbered(fresh), { maxEditLength, timeout });
  if (!changes) return undefined;

  const splices: TextSplice[] = [];
  let at = index;
  let [oldLine, freshLine] = [0, 0];
  let [removed, added]: [string[], string[]] = [[], []];
  const flush = (): void => {
    splices.push(...spliceBlock(removed, added, at));
    at += lengthOf(removed);
    [removed, added] = [[], []];
  };
  for (const { count, added: isAdded, removed: isRemoved } of changes) {
    if (isAdded) added.push(...fresh.slice(freshLine, freshLine + count));
    else if (isRemoved) removed.push(...old.slice(oldLine, oldLine + count));
    else {
      flush();
      at += lengthOf(old.slice(oldLine, oldLine + count));
    }
    if (!isAdded) oldLine += count;
    if (!isRemoved) freshLine += count;
  }
  flush();
  return splices;
}

/** As many lines as before: each is its own change. */
function spliceBlock(removed: readonly string[], added: readonly string[], index: number): TextSplice[] {
  if (removed.length !== added.length) return trimmed(removed.join(''), added.join(''), index);
  let at = index;
  return removed.flatMap((line, n) => {
    const own = trimmed(line, added[n] ?? '', at);
    at += line.length;
    return own;
  });
}

/** Each line with its end. */
const linesOf = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

const lengthOf = (lines: readonly string[]): number => lines.reduce((sum, { length }) => sum + length, 0);
