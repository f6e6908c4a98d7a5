import { Fault } from './fault.ts';

/**
 * Walks a decoded input without recursion and refuses what is deeper than `maxDepth` (`invalid`) or larger than
 * `maxBytes` (`too_large`). Runs before anything that recurses: a validator, an encoder or a log line.
 * The size is what the value holds (UTF-8 text, binary, 8 per number, key names), a little under its JSON text.
 */
export function checkShape(value: unknown, maxDepth: number, maxBytes: number): void {
  let bytes = 0;
  const add = (n: number): void => {
    bytes += n;
    if (bytes > maxBytes) throw new Fault('too_large', `The input is larger than ${maxBytes} bytes`);
  };
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) throw new Fault('invalid', `The input is nested deeper than ${maxDepth}`);
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item === 'string') add(utf8Length(item, maxBytes - bytes));
      else if (typeof item !== 'object' || item === null) add(8);
      else if (isBinary(item)) add(item.byteLength);
      else if (Array.isArray(item)) {
        add(2 * item.length);
        for (const child of item) next.push(child);
      } else {
        for (const [key, child] of Object.entries(item)) {
          add(key.length + 4);
          next.push(child);
        }
      }
    }
    level = next;
  }
}

/** Whether a value of our own making has at most so many bytes, measured as above and no further than needed. */
export function isSmallerThan(value: unknown, maxBytes: number): boolean {
  try {
    checkShape(value, Infinity, maxBytes);
    return true;
  } catch {
    return false;
  }
}

/** UTF-8 length of `text`; exact only where it decides whether `budget` is kept, because most texts are far below it. */
export function utf8Length(text: string, budget = 0): number {
  if (text.length * 3 <= budget) return text.length;
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}

function isBinary(value: object): value is ArrayBufferView | ArrayBuffer {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}
