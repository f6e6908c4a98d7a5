import { isPosition } from '../bson/paths.ts';
import { assign, hasOperators, isDoc, own, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';

/** An array or a document in which a field is written. */
type Container = Doc | unknown[];

/** A gap in an array is filled with nulls; this bounds how long a gap a client may ask for, as MongoDB does. */
const LONGEST_GAP = 1_500_000;

/**
 * Changes the value at a path to what `apply` makes of it; undefined removes it. With `create`, what is missing on the
 * way is made, and a value that cannot hold the path is an error.
 */
export function change(doc: Doc, path: string, create: boolean, apply: (current: unknown) => unknown): void {
  const parts = path.split('.');
  let node: unknown = doc;
  for (const [depth, part] of parts.entries()) {
    if (!canHold(node, part)) {
      return create ? fail(28, `Cannot create field '${part}' in element {${parts[depth - 1]}}`) : undefined;
    }
    if (depth === parts.length - 1) return write(node, part, apply(own(node, part)));
    if (create && own(node, part) === undefined) write(node, part, {});
    node = own(node, part);
  }
}

function canHold(node: unknown, part: string): node is Container {
  return Array.isArray(node) ? isPosition(part) : isDoc(node);
}

/** Writes a value; undefined removes the field, or leaves null in an array. */
function write(container: Container, key: string, value: unknown): void {
  if (!Array.isArray(container)) {
    if (value === undefined) delete container[key];
    else assign(container, key, value);
    return;
  }
  const gap = Number(key) - container.length;
  if (gap > LONGEST_GAP) fail(2, `can't backfill more than ${LONGEST_GAP} elements`);
  if (value === undefined && gap >= 0) return;
  while (container.length < Number(key)) container.push(null);
  container[Number(key)] = value ?? null;
}

/** The document an upsert starts from: what the filter says that fields equal. */
export function seed(filter: Doc, doc: Doc = {}): Doc {
  for (const [path, condition] of Object.entries(filter)) {
    if (path === '$and' && Array.isArray(condition)) for (const item of condition) seed(item as Doc, doc);
    if (path.startsWith('$') || condition instanceof RegExp) continue;
    const values = !hasOperators(condition) ? [condition] : '$eq' in condition ? [condition['$eq']] : condition['$in'];
    if (Array.isArray(values) && values.length === 1) change(doc, path, true, () => values[0] as unknown);
  }
  return doc;
}
