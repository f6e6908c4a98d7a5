import { isDoc, own, type Doc } from './values.ts';

/** Stands for "an array lies on this path: use `valuesAt`". */
export const MANY = Symbol('many');

const DIGITS = /^\d+$/;

/** Whether a path component is an array position. */
export function isPosition(part: string): boolean {
  return DIGITS.test(part);
}

/** The value at a path that meets no array, else `MANY`. This is the common case, and much cheaper. */
export function valueAt(doc: Doc, parts: readonly string[]): unknown {
  let value: unknown = doc;
  for (const part of parts) {
    if (Array.isArray(value)) return MANY;
    if (!isDoc(value)) return undefined;
    value = own(value, part);
  }
  return Array.isArray(value) ? MANY : value;
}

/** What `valuesAt` found. */
export interface Found {
  values: unknown[];
  /** Whether the path went through an array. */
  through: boolean;
}

/** The values that MongoDB's matcher sees at a path, or, with `forKeys`, its index and sort keys. */
export function valuesAt(doc: Doc, parts: readonly string[], forKeys = false): Found {
  const found: Found = { values: [], through: false };
  descend(doc, parts, 0, found, forKeys);
  return found;
}

function descend(value: unknown, parts: readonly string[], depth: number, found: Found, forKeys: boolean): void {
  const part = parts[depth];
  if (part === undefined) {
    found.values.push(value);
  } else if (Array.isArray(value)) {
    found.through = true;
    if (isPosition(part) && Number(part) < value.length) descend(value[Number(part)], parts, depth + 1, found, forKeys);
    for (const element of value) {
      if (isDoc(element)) descend(element, parts, depth, found, forKeys);
      else if (forKeys) found.values.push(undefined);
    }
  } else if (isDoc(value)) {
    descend(own(value, part), parts, depth + 1, found, forKeys);
  } else {
    found.values.push(undefined);
  }
}
