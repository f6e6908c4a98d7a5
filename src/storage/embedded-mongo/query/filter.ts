import { hasOperators, isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { evaluate, truthy } from './expressions.ts';
import { equals, LEAVES, matches, type Test } from './leaves.ts';

const REFUSED = new Set(['$where', '$text', '$jsonSchema', '$near', '$nearSphere', '$geoWithin', '$geoIntersects']);

/** Compiles a filter into a test. `vars` are the values of the command's `let`. */
export function compile(filter: Doc, vars?: Doc): Test {
  const tests = Object.entries(filter).flatMap(([key, value]) =>
    key.startsWith('$') ? logical(key, value, vars) : field(key, value, vars),
  );
  const [first] = tests;
  if (!first) return () => true;
  return tests.length === 1 ? first : (doc) => tests.every((test) => test(doc));
}

function logical(operator: string, operand: unknown, vars?: Doc): Test[] {
  switch (operator) {
    case '$and':
      return list(operator, operand, vars);
    case '$or': {
      const tests = list(operator, operand, vars);
      return [(doc) => tests.some((test) => test(doc))];
    }
    case '$nor': {
      const tests = list(operator, operand, vars);
      return [(doc) => !tests.some((test) => test(doc))];
    }
    case '$expr':
      return [(doc) => truthy(evaluate(doc, operand, vars))];
    case '$comment':
      return [];
    default:
      if (REFUSED.has(operator)) refuse(operator);
      return fail(2, `unknown top level operator: ${operator}`);
  }
}

function list(operator: string, operand: unknown, vars?: Doc): Test[] {
  if (!Array.isArray(operand) || operand.length === 0) return fail(2, `${operator} must be a nonempty array`);
  return operand.map((item: unknown) => compile(isDoc(item) ? item : fail(2, `${operator} needs objects`), vars));
}

function field(path: string, condition: unknown, vars?: Doc): Test[] {
  if (!hasOperators(condition)) return [equals(path, condition)];
  const tests: Test[] = [];
  for (const [operator, operand] of Object.entries(condition)) {
    const leaf = LEAVES.get(operator);
    if (leaf) tests.push(leaf(path, operand, (filter) => compile(filter, vars)));
    else if (operator === '$regex') tests.push(matches(path, operand, condition['$options']));
    else if (operator === '$not') tests.push(negated(path, operand, vars));
    else if (operator !== '$options' && operator !== '$comment') {
      if (REFUSED.has(operator)) refuse(operator);
      fail(2, `unknown operator: ${operator}`);
    }
  }
  return tests;
}

function negated(path: string, operand: unknown, vars?: Doc): Test {
  if (!(operand instanceof RegExp) && !hasOperators(operand)) fail(2, '$not needs a regex or a document');
  const tests = field(path, operand, vars);
  return (doc) => !tests.every((test) => test(doc));
}
