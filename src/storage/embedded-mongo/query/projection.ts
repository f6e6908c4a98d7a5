import { assign, isDoc, TAG, tagOf, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';

/** Paths to keep or to leave out: `true` ends a path. */
type Tree = Map<string, Tree | true>;

/** Whether a value in a projection says that a field is kept or left out, rather than how it is made. */
export function isFlag(value: unknown): boolean {
  return typeof value === 'boolean' || tagOf(value) === TAG.number;
}

/** Reads a projection, which either names what to keep or what to leave out; undefined if it changes nothing. */
export function projector(spec: unknown): ((doc: Doc) => Doc) | undefined {
  if (!isDoc(spec) || !Object.keys(spec).length) return undefined;
  const tree: Tree = new Map();
  let keepsId: boolean | undefined;
  let keeps: boolean | undefined;
  for (const [path, value] of Object.entries(spec)) {
    if (!isFlag(value) || path.includes('$')) refuse(`the projection of '${path}'`);
    const wanted = Boolean(Number(value));
    if (path === '_id') {
      keepsId = wanted;
      continue;
    }
    keeps ??= wanted;
    if (keeps !== wanted) fail(31254, `Cannot mix inclusion and exclusion: ${path}`);
    grow(tree, path);
  }
  const include = keeps ?? keepsId === true;
  if ((keepsId ?? true) === include) tree.set('_id', true);
  return (doc) => project(doc, tree, include);
}

function grow(tree: Tree, path: string): void {
  const parts = path.split('.');
  const last = parts.pop() ?? '';
  let branch = tree;
  for (const part of parts) {
    const next = branch.get(part) ?? new Map<string, Tree | true>();
    if (next === true) return fail(31249, `Path collision at ${path}`);
    branch.set(part, next);
    branch = next;
  }
  if (branch.has(last)) fail(31250, `Path collision at ${path}`);
  branch.set(last, true);
}

function project(doc: Doc, tree: Tree, include: boolean): Doc {
  const out: Doc = {};
  for (const [key, value] of Object.entries(doc)) {
    const branch = tree.get(key);
    const seen =
      branch instanceof Map ? within(value, branch, include) : (branch === true) === include ? value : undefined;
    if (seen !== undefined) assign(out, key, seen);
  }
  return out;
}

/** A path goes on in each element of an array; where it cannot go on there is nothing to keep or to leave out. */
function within(value: unknown, tree: Tree, include: boolean): unknown {
  if (isDoc(value)) return project(value, tree, include);
  if (!Array.isArray(value)) return include ? undefined : value;
  return value.map((element) => within(element, tree, include)).filter((element) => element !== undefined);
}
