import { EMPTY_ARRAY, isDoc, own, type Doc } from './values.ts';

/** Whether a path component is an array position. */
export function isPosition(part: string): boolean {
  return /^\d+$/.test(part);
}

/** The values that a filter sees at a path: several if an array lies on the way. */
export function valuesAt(doc: Doc, parts: readonly string[]): unknown[] {
  const values: unknown[] = [];
  descend(doc, parts, 0, false, values);
  return values;
}

/** The values by which a document is sorted and indexed at a path: those of arrays are their elements. */
export function keysAt(doc: Doc, parts: readonly string[]): { values: unknown[]; multi: boolean } {
  const [only = ''] = parts;
  const value = parts.length === 1 ? own(doc, only) : [];
  if (!Array.isArray(value)) return { values: [value], multi: false };
  const found: unknown[] = [];
  const multi = (descend(doc, parts, 0, true, found) && found.length > 0) || found.some(Array.isArray);
  if (!found.length) return { values: [undefined], multi };
  return { values: multi ? found.flatMap((value) => (isEmpty(value) ? [EMPTY_ARRAY] : value)) : found, multi };
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** Whether an array lay on the way. */
function descend(value: unknown, parts: readonly string[], depth: number, forKeys: boolean, into: unknown[]): boolean {
  const part = parts[depth];
  if (part === undefined || !(Array.isArray(value) || isDoc(value))) {
    into.push(part === undefined ? value : undefined);
    return false;
  }
  if (!Array.isArray(value)) return descend(own(value, part), parts, depth + 1, forKeys, into);
  if (isPosition(part) && Number(part) < value.length) {
    descend(value[Number(part)], parts, depth + 1, forKeys, into);
  }
  for (const element of value as unknown[]) {
    if (isDoc(element)) descend(element, parts, depth, forKeys, into);
    else if (forKeys) into.push(undefined);
  }
  return true;
}
