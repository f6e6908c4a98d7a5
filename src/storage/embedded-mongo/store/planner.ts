import { compare, encode, encodeShort, identity, invert, LONGEST_STRING, same } from '../bson/keys.ts';
import { hasOperators, isDoc, TAG, tagOf, type Doc } from '../bson/values.ts';
import { compile } from '../query/filter.ts';
import type { SortField } from '../query/sort.ts';
import type { Collection, Index } from './catalog.ts';
import { LAST } from './store.ts';

/** How to find a superset of a filter's matches; the filter itself is always applied again. */
export interface Plan {
  /** Keys of `_id`, to be read one by one. */
  ids?: Buffer[];
  index?: Index;
  /** Ranges of an index to walk, from the lower to the upper bound. */
  ranges: [low: Buffer, high: Buffer][];
  reverse: boolean;
  /** Whether the rows come in the order asked for. */
  sorted: boolean;
  score: number;
}

/** What every match must meet at a path. */
interface Constraint {
  values?: unknown[];
  low?: unknown;
  high?: unknown;
  exists?: boolean;
}
type Constraints = Map<string, Constraint>;

/** More points than this are not worth their seeks. */
const MOST_POINTS = 300;
const NO_BOUND = new Set<number>([TAG.min, TAG.max, TAG.null, TAG.regex, TAG.array]);
const RANGED_TYPES = new Set(['number', 'string', 'date', 'objectId', 'bool']);

/** Picks the cheapest way. A `hint` is the index to use, which may then not be able to serve. */
export function plan(collection: Collection, filter: Doc, sort: SortField[], hint?: Index): Plan {
  const constraints: Constraints = new Map();
  collect(filter, constraints);
  const ids = constraints.get('_id')?.values;
  if (ids && !hint) {
    const keys = [...new Map(ids.map((id) => [identity(id), encode(id)])).values()].sort((a, b) =>
      Buffer.compare(a, b),
    );
    return { ids: keys, ranges: [], reverse: false, sorted: !sort.length || keys.length === 1, score: 0 };
  }
  let best: Plan | undefined;
  for (const index of hint ? [hint] : collection.indexes) {
    const found = tryIndex(index, constraints, filter, sort, hint !== undefined);
    if (found && found.score > (best?.score ?? -1)) best = found;
  }
  const [first] = sort;
  const natural = !first || (sort.length === 1 && first.path === '_id' && !first.descending);
  return best ?? { ranges: [], reverse: false, sorted: natural, score: 0 };
}

function tryIndex(
  index: Index,
  constraints: Constraints,
  filter: Doc,
  sort: SortField[],
  hinted: boolean,
): Plan | null {
  const { spec, fields } = index;
  if (spec.partialFilterExpression && !implies(filter, constraints, spec.partialFilterExpression)) return null;
  if (spec.sparse && !fields.some(({ path }) => demandsPresence(constraints.get(path)))) return null;
  let points: Buffer[] = [index.prefix];
  let used = 0;
  for (const { path, descending } of fields) {
    const values = constraints.get(path)?.values;
    if (!values || points.length * values.length > MOST_POINTS) break;
    const keys = values.map((value) => encodeShort(value, descending));
    points = points.flatMap((point) => keys.map((key) => Buffer.concat([point, key])));
    used++;
  }
  let score = used * 10;
  let bounds: [Buffer, Buffer] = [Buffer.alloc(0), LAST];
  const next = fields[used];
  const range = next && constraints.get(next.path);
  if (next && range && (range.low !== undefined || range.high !== undefined)) {
    bounds = boundsOf(range, next.descending, index.multi);
    score += 5;
  }
  const direction = points.length === 1 ? walkOrder(index, constraints, sort, used) : undefined;
  if (sort.length && direction !== undefined) score += 4;
  if (score === 0 && !hinted) return null;
  if (spec.unique && used === fields.length) score += 3;
  const ranges = points.map((point): [Buffer, Buffer] => [
    Buffer.concat([point, bounds[0]]),
    Buffer.concat([point, bounds[1]]),
  ]);
  return { index, ranges, reverse: direction === 'backward', sorted: !sort.length || direction !== undefined, score };
}

/** In which direction walking the index gives the sort's order, if it does. */
function walkOrder(index: Index, constraints: Constraints, sort: SortField[], used: number) {
  if (!sort.length || index.multi || index.cut) return undefined;
  // A field that equals one value does not matter to the order.
  const rest = sort.filter(({ path }) => constraints.get(path)?.values?.length !== 1);
  const tail = index.fields.slice(used);
  if (!rest.every(({ path }, i) => tail[i]?.path === path)) return undefined;
  const flips = new Set(rest.map(({ descending }, i) => descending !== tail[i]?.descending));
  if (flips.size > 1) return undefined;
  return flips.has(true) ? 'backward' : 'forward';
}

/** Key bounds of a range. Of several entries of a document, one may meet the one bound and one the other. */
function boundsOf({ low, high }: Constraint, descending: boolean, multi: boolean): [Buffer, Buffer] {
  const tag = tagOf(low ?? high);
  const first = descending ? 0xff - tag : tag;
  const [from, to] = descending ? [high, low] : [low, high];
  const both = low !== undefined && high !== undefined;
  const start = from === undefined ? Buffer.from([first]) : bound(from, descending);
  const end =
    to === undefined || (multi && both) ? Buffer.from([first + 1]) : Buffer.concat([bound(to, descending), LAST]);
  return [start, end];
}

/** Long strings are cut in an index, so a bound may only use what the cut leaves in order. */
function bound(value: unknown, descending: boolean): Buffer {
  const key = encode(value);
  const kept = tagOf(value) === TAG.object ? 1 : typeof value === 'string' ? LONGEST_STRING : key.length;
  const start = key.subarray(0, kept);
  return descending ? invert(start) : start;
}

function demandsPresence(constraint?: Constraint): boolean {
  if (!constraint) return false;
  if (constraint.values) return !constraint.values.some((value) => tagOf(value) === TAG.null);
  return constraint.low !== undefined || constraint.high !== undefined || constraint.exists === true;
}

function collect(filter: Doc, into: Constraints): void {
  for (const [path, condition] of Object.entries(filter)) {
    if (path === '$and' && Array.isArray(condition)) {
      for (const item of condition) if (isDoc(item)) collect(item, into);
    }
    if (path.startsWith('$')) continue;
    const constraint = into.get(path) ?? {};
    if (hasOperators(condition)) operators(condition, constraint);
    else if (isPoint(condition)) constraint.values = [condition];
    into.set(path, constraint);
  }
}

function isPoint(value: unknown): boolean {
  return !(value instanceof RegExp) && !Array.isArray(value);
}

function operators(condition: Doc, into: Constraint): void {
  for (const [operator, operand] of Object.entries(condition)) {
    const ranged = !NO_BOUND.has(tagOf(operand));
    if (operator === '$eq' && isPoint(operand)) into.values = [operand];
    else if (operator === '$in' && Array.isArray(operand) && operand.every(isPoint)) into.values ??= operand;
    else if ((operator === '$gt' || operator === '$gte') && ranged) into.low ??= operand;
    else if ((operator === '$lt' || operator === '$lte') && ranged) into.high ??= operand;
    else if (operator === '$exists' && operand) into.exists = true;
  }
  if (into.low !== undefined && into.high !== undefined && tagOf(into.low) !== tagOf(into.high)) delete into.high;
}

/** Whether every match of the filter is surely covered by a partial index. */
function implies(filter: Doc, constraints: Constraints, partial: Doc): boolean {
  return Object.entries(partial).every(([path, wanted]) => {
    if (path === '$and') return (wanted as Doc[]).every((item) => implies(filter, constraints, item));
    const constraint = constraints.get(path);
    if (!constraint) return false;
    if (Object.hasOwn(filter, path) && same(filter[path], wanted)) return true;
    if (constraint.values) {
      const covers = compile({ v: wanted });
      return constraint.values.every((value) => tagOf(value) !== TAG.null && covers({ v: value }));
    }
    return (
      hasOperators(wanted) && Object.entries(wanted).every(([name, operand]) => follows(constraint, name, operand))
    );
  });
}

/** Whether a range alone makes a condition of a partial index true. */
function follows({ low, high, exists }: Constraint, operator: string, operand: unknown): boolean {
  const limit = low ?? high;
  if (operator === '$exists') return operand === true && (exists === true || limit !== undefined);
  if (operator === '$type')
    return limit !== undefined && RANGED_TYPES.has(String(operand)) && compile({ v: { $type: operand } })({ v: limit });
  if (operator !== '$gt' && operator !== '$gte') return false;
  return low !== undefined && tagOf(low) === tagOf(operand) && compare(low, operand) > 0;
}
