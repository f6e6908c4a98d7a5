/** One size for all who type in a terminal: what the smallest of them shows. */
import type { Size } from './contract.ts';

/** Undefined where nobody has said anything. */
export function smallestOf(sizes: Iterable<Size>): Size | undefined {
  let smallest: Size | undefined;
  for (const { cols, rows } of sizes) {
    smallest = { cols: Math.min(cols, smallest?.cols ?? cols), rows: Math.min(rows, smallest?.rows ?? rows) };
  }
  return smallest;
}

export const isSameSize = (a: Size | undefined, b: Size | undefined): boolean =>
  a?.cols === b?.cols && a?.rows === b?.rows;
