import { Aggregator } from 'mingo/aggregator';
import { Context } from 'mingo/core';
import { Lazy, type Iterator as LazyIterator } from 'mingo/lazy';
import * as mingo from 'mingo/operators/pipeline';
import * as window from 'mingo/operators/window';
import type { Options } from 'mingo/types';
import { isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { evaluate, guarded, operators, settings } from './expressions.ts';
import { compile } from './filter.ts';
import { projector, setField } from './projection.ts';
import { sortBy, sortFields } from './sort.ts';

type ContextInit = NonNullable<Parameters<typeof Context.init>[0]>;
type DocStage = (operand: unknown, vars?: Doc) => (docs: Doc[]) => Doc[];

/** A stage of this engine in the shape that mingo calls. */
function own(stage: DocStage): unknown {
  return (source: LazyIterator, operand: unknown, options: Options) => {
    const run = stage(operand, { ...options.variables });
    return source.transform((docs: unknown) => Lazy(run(docs as Doc[])));
  };
}

const match: DocStage = (filter, vars) => {
  if (!isDoc(filter)) return fail(15959, 'the match filter must be an expression in an object');
  const test = compile(filter, vars);
  return (docs) => docs.filter((doc) => test(doc));
};

const sort: DocStage = (order) => {
  const fields = sortFields(order);
  return (docs) => sortBy(docs, fields, (doc) => doc);
};

const project: DocStage = (spec, vars) => {
  if (!isDoc(spec) || !Object.keys(spec).length) fail(51272, 'projection specification must have at least one field');
  const apply = projector(spec, {}, vars);
  return (docs) => (apply ? docs.map(apply) : docs);
};

const unset: DocStage = (paths) => project(Object.fromEntries([paths].flat().map((path) => [String(path), 0])));

// The stages that must follow BSON exactly are this engine's; mingo runs the others. $out and $merge are left out.
const STAGES: Readonly<Record<string, unknown>> = {
  $addFields: own(addFields),
  $bucket: mingo.$bucket,
  $bucketAuto: mingo.$bucketAuto,
  $count: mingo.$count,
  $documents: mingo.$documents,
  $facet: mingo.$facet,
  $graphLookup: mingo.$graphLookup,
  $group: mingo.$group,
  $limit: mingo.$limit,
  $lookup: mingo.$lookup,
  $match: own(match),
  $project: own(project),
  $redact: mingo.$redact,
  $replaceRoot: mingo.$replaceRoot,
  $replaceWith: mingo.$replaceWith,
  $sample: mingo.$sample,
  $set: own(addFields),
  $setWindowFields: mingo.$setWindowFields,
  $skip: mingo.$skip,
  $sort: own(sort),
  $sortByCount: mingo.$sortByCount,
  $unionWith: mingo.$unionWith,
  $unset: own(unset),
  $unwind: mingo.$unwind,
};
const REFUSED = new Set(
  '$out $merge $geoNear $search $vectorSearch $collStats $indexStats $currentOp $listSessions $listLocalSessions'.split(
    ' ',
  ),
);
const context = Context.init({
  ...operators,
  pipeline: STAGES as ContextInit['pipeline'] & object,
  window: window as unknown as ContextInit['window'] & object,
});

/** Runs pipeline stages over documents. `source` reads the collections that `$lookup` and its kind name. */
export function runPipeline(docs: Doc[], pipeline: Doc[], vars?: Doc, source?: (name: string) => Doc[]): Doc[] {
  const options = { ...settings(context, vars), ...(source && { collectionResolver: source }) };
  return guarded(() => new Aggregator(pipeline, options).run<Doc>(docs));
}

/** Checks that a value is a pipeline of stages that this engine runs. */
export function checkPipeline(pipeline: unknown): Doc[] {
  if (!Array.isArray(pipeline)) return fail(14, "'pipeline' must be an array");
  for (const stage of pipeline as unknown[]) {
    const [name, ...more] = isDoc(stage) ? Object.keys(stage) : [];
    if (!isDoc(stage) || name === undefined || more.length) {
      return fail(40323, 'A pipeline stage specification object must contain exactly one field.');
    }
    checkStage(name, stage[name]);
  }
  return pipeline as Doc[];
}

function checkStage(name: string, operand: unknown): void {
  if (name === '$changeStream') fail(40573, 'The $changeStream stage is only supported on replica sets');
  if (REFUSED.has(name)) refuse(name);
  if (!Object.hasOwn(STAGES, name)) fail(40324, `Unrecognized pipeline stage name: '${name}'`);
  if (!isDoc(operand)) return;
  if (name === '$facet') for (const inner of Object.values(operand)) checkPipeline(inner);
  else if (operand['pipeline'] !== undefined) checkPipeline(operand['pipeline']);
}

function addFields(spec: unknown, vars?: Doc): (docs: Doc[]) => Doc[] {
  if (!isDoc(spec)) return fail(40272, '$addFields specification stage must be an object');
  const fields = [...leaves(spec, '')];
  return (docs) =>
    docs.map((doc) => {
      let result = doc;
      for (const [path, expression] of fields) {
        const value = evaluate(doc, expression, vars);
        // $$REMOVE and missing fields leave the document without the field.
        result = setField(result, path.split('.'), value);
      }
      return result;
    });
}

/** Embedded documents in the specification name fields below, except where they hold an operator. */
function* leaves(spec: Doc, prefix: string): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(spec)) {
    const path = prefix + key;
    const inner = isDoc(value) ? Object.keys(value) : [];
    if (isDoc(value) && inner.length > 0 && !inner[0]?.startsWith('$')) yield* leaves(value, `${path}.`);
    else yield [path, value];
  }
}
