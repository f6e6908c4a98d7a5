import { same } from '../bson/keys.ts';
import { clone, hasOperators, isDoc, withId, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { MAKES_NOTHING, OPERATORS } from './operators.ts';
import { change } from './places.ts';

/** Makes the updated copy of a document, which itself is left as it is. `inserting` applies `$setOnInsert` too. */
export type Update = (doc: Doc, inserting?: boolean) => Doc;

/** Reads an update before any document is. */
export function compileUpdate(update: unknown, multi: boolean): Update {
  if (Array.isArray(update)) refuse('an update by a pipeline');
  if (!isDoc(update)) return fail(9, 'Update argument must be an object');
  if (!hasOperators(update) && multi) fail(9, 'multi update is not supported for replacement-style update');
  const updated = hasOperators(update) ? operate(readSteps(update)) : replace(update);
  return (doc, inserting = false) => {
    const after = updated(doc, inserting);
    if (doc['_id'] !== undefined && !same(after['_id'], doc['_id'])) {
      fail(66, "Performing an update on the path '_id' would modify the immutable field '_id'");
    }
    return after;
  };
}

function replace(update: Doc): Update {
  const dollar = Object.keys(update).find((key) => key.startsWith('$'));
  if (dollar) fail(52, `The dollar ($) prefixed field '${dollar}' is not allowed in a replacement document`);
  return (doc) => withId(update, doc['_id']);
}

function operate(steps: ReturnType<typeof readSteps>): Update {
  checkConflicts(steps.map(({ path }) => path));
  return (doc, inserting) => {
    const after = clone(doc);
    for (const { operator, path, operand } of steps) {
      if (operator === '$setOnInsert' && !inserting) continue;
      const apply = OPERATORS.get(operator) ?? refuse(`the update operator ${operator}`);
      change(after, path, !MAKES_NOTHING.has(operator), (current) => apply(current, operand, path));
    }
    return after;
  };
}

function readSteps(update: Doc) {
  return Object.entries(update).flatMap(([operator, fields]) => {
    if (!OPERATORS.has(operator)) refuse(`the update operator ${operator}`);
    if (!isDoc(fields)) return fail(9, `Modifiers operate on fields: {${operator}: {<field>: ...}}`);
    return Object.entries(fields).map(([path, operand]) => {
      const parts = path.split('.');
      if (parts.includes('')) fail(56, `The update path '${path}' contains an empty field name`);
      if (parts.some((part) => part.startsWith('$'))) refuse(`the update path '${path}'`);
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
