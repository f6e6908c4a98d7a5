import { same } from '../bson/keys.ts';
import { clone, hasOperators, isDoc, withId, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { OPERATORS } from './operators.ts';
import { arrayFilters, eachPlace, matchedElement, read, write, type Positions } from './places.ts';

/** What an update may refer to besides the document. */
export interface UpdateOptions {
  filter: Doc;
  multi: boolean;
  arrayFilters?: unknown;
}

/** A checked update. */
export interface Update {
  /** Whether it replaces the document. */
  replaces: boolean;
  /** The updated copy of a document, which itself is left as it is. `inserting` applies `$setOnInsert` too. */
  apply(doc: Doc, inserting?: boolean): Doc;
}

interface Step {
  operator: string;
  path: string;
  operand: unknown;
}

/** Reads an update before any document is. */
export function compileUpdate(update: unknown, options: UpdateOptions): Update {
  if (Array.isArray(update)) refuse('an update by a pipeline');
  if (!isDoc(update)) return fail(9, 'Update argument must be an object');
  const change = hasOperators(update) ? operate(readSteps(update), options) : replace(update, options.multi);
  const apply = (doc: Doc, inserting = false) => {
    const after = change(doc, inserting);
    if (doc['_id'] !== undefined && !same(after['_id'], doc['_id'])) {
      fail(66, "Performing an update on the path '_id' would modify the immutable field '_id'");
    }
    return after;
  };
  return { replaces: !hasOperators(update), apply };
}

function replace(update: Doc, multi: boolean): (doc: Doc) => Doc {
  if (multi) fail(9, 'multi update is not supported for replacement-style update');
  const dollar = Object.keys(update).find((key) => key.startsWith('$'));
  if (dollar) fail(52, `The dollar ($) prefixed field '${dollar}' is not allowed in a replacement document`);
  return (doc) => withId(update, doc['_id']);
}

function operate(steps: Step[], { filter, arrayFilters: given }: UpdateOptions): (doc: Doc, inserting: boolean) => Doc {
  const paths = steps.map(({ path }) => path);
  checkConflicts(paths);
  const filters = arrayFilters(given, paths);
  return (doc, inserting) => {
    const positions: Positions = { filters, matched: (path) => matchedElement(doc, path, filter) };
    const after = clone(doc);
    for (const { operator, path, operand } of steps) {
      if (operator === '$setOnInsert' && !inserting) continue;
      const { apply, creates } = OPERATORS.get(operator) ?? refuse(`the update operator ${operator}`);
      eachPlace(after, path, creates, positions, (container, key) => {
        write(container, key, apply(read(container, key), operand, path));
      });
    }
    return after;
  };
}

function readSteps(update: Doc): Step[] {
  return Object.entries(update).flatMap(([operator, fields]) => {
    if (!OPERATORS.has(operator)) refuse(`the update operator ${operator}`);
    if (!isDoc(fields)) return fail(9, `Modifiers operate on fields: {${operator}: {<field>: ...}}`);
    return Object.entries(fields).map(([path, operand]) => {
      if (path.split('.').includes('')) fail(56, `The update path '${path}' contains an empty field name`);
      if (path.startsWith('$')) fail(52, `The dollar ($) prefixed field '${path}' is not valid for storage.`);
      return { operator, path, operand };
    });
  });
}

/** Two operators may not write the same place, nor one above the other. */
function checkConflicts(paths: string[]): void {
  const sorted = paths.map((path) => `${path}.`).sort();
  const clash = sorted.findIndex((path, i) => sorted[i + 1]?.startsWith(path));
  if (clash >= 0) fail(40, `Updating the path '${sorted[clash + 1]}' would create a conflict at '${sorted[clash]}'`);
}
