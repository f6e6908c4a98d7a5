import { encode, identity, same } from '../bson/keys.ts';
import { hasOperators, isDoc, TAG, tagOf, type Doc } from '../bson/values.ts';
import { compile } from '../query/filter.ts';
import type { SortField } from '../query/sort.ts';
import type { Collection, Index } from './catalog.ts';
import { LAST, LONGEST_KEY } from './store.ts';

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
const NO_BOUND = new Set<number>([TAG.minKey, TAG.maxKey, TAG.null, TAG.regex, TAG.array]);

/** Picks the cheapest way. */
export function plan(collection: Collection, filter: Doc, sort: SortField[]): Plan {
  const constraints: Constraints = new Map();
  collect(filter, constraints);
  const ids = constraints.get('_id')?.values;
  if (ids) {
    const unique = [...new Map(ids.map((id) => [identity(id), encode(id)])).values()];
    // No document has an _id whose key is longer than that.
    const keys = unique.filter((key) => key.length < LONGEST_KEY).sort((a, b) => Buffer.compare(a, b));
    return { ids: keys, ranges: [], reverse: false, sorted: !sort.length || keys.length === 1, score: 0 };
  }
  const [first] = sort;
  const natural = !first || (sort.length === 1 && first.path === '_id' && !first.descending);
  let best: Plan = { ranges: [], reverse: false, sorted: natural, score: 0 };
  for (const index of collection.indexes) {
    const found = tryIndex(index, constraints, filter, sort);
    if (found && found.score > best.score) best = found;
  }
  return best;
}

function tryIndex(index: Index, constraints: Constraints, filter: Doc, sort: SortField[]): Plan | undefined {
  const { spec, fields } = index;
  if (spec.partialFilterExpression && !implies(filter, constraints, spec.partialFilterExpression)) return undefined;
  if (spec.sparse && !fields.some(({ path }) => demandsPresence(constraints.get(path)))) return undefined;
  let points: Buffer[] = [index.prefix];
  let used = 0;
  for (const { path, descending } of fields) {
    const values = constraints.get(path)?.values;
    if (!values || points.length * values.length > MOST_POINTS) break;
    const keys = values.map((value) => encode(value, descending));
    points = points.flatMap((point) => keys.map((key) => Buffer.concat([point, key])));
    used++;
  }
  const next = fields[used];
  const range = next && constraints.get(next.path);
  const isRanged = range?.low !== undefined || range?.high !== undefined;
  const [low, high] = next && range && isRanged ? boundsOf(range, next.descending, index.multi) : [Buffer.of(), LAST];
  const ranges = points.map((point): [Buffer, Buffer] => [Buffer.concat([point, low]), Buffer.concat([point, high])]);
  if (ranges.flat().some((key) => key.length > LONGEST_KEY)) return undefined;
  const direction = points.length === 1 ? walkOrder(index, constraints, sort, used) : undefined;
  const serves = used * 10 + (isRanged ? 5 : 0) + (sort.length && direction ? 4 : 0);
  const score = spec.unique && used === fields.length ? serves + 3 : serves;
  return { index, ranges, reverse: direction === 'backward', sorted: !sort.length || direction !== undefined, score };
}

/** In which direction walking the index gives the sort's order, if it does. */
function walkOrder(index: Index, constraints: Constraints, sort: SortField[], used: number) {
  if (!sort.length || index.multi) return undefined;
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
  const openEnd = to === undefined || (multi && from !== undefined);
  const start = from === undefined ? Buffer.of(first) : encode(from, descending);
  return [start, openEnd ? Buffer.of(first + 1) : Buffer.concat([encode(to, descending), LAST])];
}

function demandsPresence(constraint: Constraint = {}): boolean {
  const { values, low, high, exists } = constraint;
  if (values) return !values.some((value) => tagOf(value) === TAG.null);
  return low !== undefined || high !== undefined || exists === true;
}

function collect(filter: Doc, into: Constraints): void {
  for (const [path, condition] of Object.entries(filter)) {
    if (path === '$and' && Array.isArray(condition)) {
      for (const item of condition) if (isDoc(item)) collect(item, into);
    }
    if (path.startsWith('$')) continue;
    const constraint = into.get(path) ?? {};
    if (hasOperators(condition)) narrow(condition, constraint);
    else if (isPoint(condition)) constraint.values = [condition];
    into.set(path, constraint);
  }
}

function isPoint(value: unknown): boolean {
  return !(value instanceof RegExp) && !Array.isArray(value);
}

function narrow(condition: Doc, into: Constraint): void {
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
    const constraint = constraints.get(path);
    if (!constraint) return false;
    if (Object.hasOwn(filter, path) && same(filter[path], wanted)) return true;
    if (!constraint.values) return same(wanted, { $exists: true }) && demandsPresence(constraint);
    const covers = compile({ v: wanted });
    return constraint.values.every((value) => tagOf(value) !== TAG.null && covers({ v: value }));
  });
}
