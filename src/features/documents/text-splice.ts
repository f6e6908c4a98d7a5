/** Changes of a text as splices, in UTF-16 units. Nothing here ever divides a surrogate pair. */

/** At `index` of the text before: so many units go, and `insert` comes. */
export interface TextSplice {
  index: number;
  deleteCount: number;
  insert: string;
}

/** What splices are done to; a `Y.Text` is one. */
export interface SplicedText {
  insert(index: number, text: string): void;
  delete(index: number, length: number): void;
}

/** Does splices that are ascending, do not overlap and all count in the text before. */
export function splice(text: SplicedText, splices: readonly TextSplice[]): void {
  // From the end: what is before a splice keeps its place.
  for (const { index, deleteCount, insert } of splices.toReversed()) {
    if (deleteCount > 0) text.delete(index, deleteCount);
    if (insert !== '') text.insert(index, insert);
  }
}

/** The text after such splices. */
export function spliced(before: string, splices: readonly TextSplice[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const { index, deleteCount, insert } of splices) {
    parts.push(before.slice(at, index), insert);
    at = index + deleteCount;
  }
  return parts.join('') + before.slice(at);
}

const isHigh = (unit: number): boolean => (unit & 0xfc00) === 0xd800;
const isLow = (unit: number): boolean => (unit & 0xfc00) === 0xdc00;

/** Whether there is a surrogate pair with one half on each side of the index. */
export const dividesPair = (text: string, index: number): boolean =>
  index > 0 && index < text.length && isHigh(text.charCodeAt(index - 1)) && isLow(text.charCodeAt(index));

/** The two texts from `index` on without what they begin and end with alike; nothing where they are alike. */
export function trimmed(before: string, after: string, index = 0): TextSplice[] {
  if (before === after) return [];
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before.charCodeAt(head) === after.charCodeAt(head)) head++;
  if (dividesPair(before, head) || dividesPair(after, head)) head--;
  let tail = 0;
  const most = shorter - head;
  while (tail < most && before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)) {
    tail++;
  }
  if (dividesPair(before, before.length - tail) || dividesPair(after, after.length - tail)) tail--;
  return [
    {
      index: index + head,
      deleteCount: before.length - head - tail,
      insert: after.slice(head, after.length - tail),
    },
  ];
}

/** Without halves of surrogate pairs, which cannot be stored. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);
