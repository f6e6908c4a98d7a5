import { hasOperators, isDoc, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { typeName } from '../query/types.ts';
import { checkPipeline } from '../query/stages.ts';
import { OPERATORS } from './operators.ts';

/** An update, checked: a replacement, operators on paths, or an aggregation pipeline. */
export type Update =
  | { kind: 'replace'; doc: Doc }
  | { kind: 'operators'; steps: { operator: string; path: string; operand: unknown }[] }
  | { kind: 'pipeline'; stages: Doc[] };

const UPDATE_STAGES = ['$set', '$addFields', '$unset', '$project', '$replaceRoot', '$replaceWith'];

/** Checks an update before any document is read. */
export function checkUpdate(update: unknown, multi: boolean): Update {
  if (Array.isArray(update)) {
    const stages = checkPipeline(update);
    const wrong = stages.flatMap((stage) => Object.keys(stage)).find((name) => !UPDATE_STAGES.includes(name));
    if (wrong) fail(72, `${wrong} is not allowed to be used within an update`);
    return { kind: 'pipeline', stages };
  }
  if (!isDoc(update)) return fail(9, 'Update argument must be either an object or an array');
  if (!hasOperators(update)) {
    if (multi) fail(9, 'multi update is not supported for replacement-style update');
    const dollar = Object.keys(update).find((key) => key.startsWith('$'));
    if (dollar) fail(52, `The dollar ($) prefixed field '${dollar}' is not allowed in a replacement document`);
    return { kind: 'replace', doc: update };
  }
  const steps = Object.entries(update).flatMap(([operator, fields]) => readOperator(operator, fields));
  checkConflicts(
    steps.flatMap(({ operator, path, operand }) => (operator === '$rename' ? [path, String(operand)] : [path])),
  );
  return { kind: 'operators', steps };
}

function readOperator(operator: string, fields: unknown) {
  if (!OPERATORS.has(operator) && operator !== '$setOnInsert' && operator !== '$rename') {
    if (!operator.startsWith('$')) fail(9, `The dollar ($) prefixed field and field '${operator}' cannot be mixed`);
    fail(
      9,
      `Unknown modifier: ${operator}. Expected a valid update modifier or pipeline-style update specified as an array`,
    );
  }
  if (!isDoc(fields)) {
    return fail(
      9,
      `Modifiers operate on fields but we found type ${typeName(fields)} instead. For example: {$mod: {<field>: ...}} not {${operator}: ...}`,
    );
  }
  return Object.entries(fields).map(([path, operand]) => {
    checkPath(path);
    if (operator === '$rename') checkRename(path, operand);
    return { operator, path, operand };
  });
}

function checkPath(path: string): void {
  if (path.split('.').includes(''))
    fail(56, `The update path '${path}' contains an empty field name, which is not allowed.`);
  if (path.startsWith('$')) fail(52, `The dollar ($) prefixed field '${path}' in '${path}' is not valid for storage.`);
}

function checkRename(from: string, to: unknown): void {
  if (typeof to !== 'string') return fail(2, `The 'to' field for $rename must be a string: ${from}`);
  checkPath(to);
  if ([...from.split('.'), ...to.split('.')].some((part) => part.startsWith('$')))
    fail(2, `The source and target field for $rename must not be dynamic: ${from}`);
}

/** Two operators may not write the same place, nor one above the other. */
function checkConflicts(paths: string[]): void {
  const taken = new Set(paths);
  for (const [i, path] of paths.entries()) {
    const parts = path.split('.');
    const above = parts
      .map((_, depth) => parts.slice(0, depth).join('.'))
      .find((prefix) => prefix && taken.has(prefix));
    const clash = above ?? (paths.indexOf(path) < i ? path : undefined);
    if (clash) fail(40, `Updating the path '${path}' would create a conflict at '${clash}'`);
  }
}
