import { same } from '../bson/keys.ts';
import { clone, own, withId, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { runPipeline } from '../query/stages.ts';
import type { Update } from './check.ts';
import { OPERATORS } from './operators.ts';
import { eachPlace, matchedElement, place, readArrayFilters, setPath, type Positions } from './places.ts';

/** What an update needs besides the document. */
export interface UpdateContext {
  filter: Doc;
  arrayFilters?: unknown;
  vars?: Doc | undefined;
  /** Whether the document is being inserted by an upsert. */
  inserting?: boolean;
}

/** The updated copy of a document, which itself is left as it is. */
export function applyUpdate(doc: Doc, update: Update, context: UpdateContext): Doc {
  const after = updated(doc, update, context);
  const id = doc['_id'];
  if (id === undefined) return after;
  if (after['_id'] === undefined && update.kind !== 'operators') return withId(after, id);
  if (!same(after['_id'], id)) {
    fail(66, "Performing an update on the path '_id' would modify the immutable field '_id'");
  }
  return after;
}

function updated(doc: Doc, update: Update, context: UpdateContext): Doc {
  if (update.kind === 'replace') return clone(update.doc) as Doc;
  const copy = clone(doc) as Doc;
  if (update.kind === 'operators') return operate(copy, doc, update.steps, context);
  const [after] = runPipeline([copy], update.stages, context.vars);
  return after ?? fail(2, 'an update pipeline must produce a document');
}

function operate(
  copy: Doc,
  before: Doc,
  steps: (Update & { kind: 'operators' })['steps'],
  { filter, arrayFilters, inserting }: UpdateContext,
): Doc {
  const positions: Positions = {
    filters: readArrayFilters(
      arrayFilters,
      steps.map(({ path }) => path),
    ),
    matched: (path) => matchedElement(before, path, filter),
  };
  for (const { operator, path, operand } of steps) {
    if (operator === '$rename') rename(copy, path, String(operand), positions);
    else if (operator === '$setOnInsert') {
      if (inserting) setPath(copy, path, clone(operand));
    } else {
      const { apply, creates } = OPERATORS.get(operator) ?? fail(9, `Unknown modifier: ${operator}`);
      eachPlace(copy, path, creates, positions, (container, key) => apply(container, key, operand));
    }
  }
  return copy;
}

function rename(doc: Doc, from: string, to: string, positions: Positions): void {
  let moved: { value: unknown } | undefined;
  eachPlace(doc, from, false, positions, (container, key) => {
    if (Array.isArray(container)) fail(2, 'The source field cannot be an array element');
    if (!Object.hasOwn(container, key)) return;
    moved = { value: own(container, key) };
    delete container[key];
  });
  if (moved === undefined) return;
  const { value } = moved;
  eachPlace(doc, to, true, positions, (container, key) => place(container, key, value));
}
