import { same } from '../bson/keys.ts';
import { numeric, toBson, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { checkPipeline, runPipeline } from '../query/stages.ts';
import { docOf } from '../store/scan.ts';
import type { Call, Commands, Context } from './context.ts';
import { find, readFilter, type Query } from './matching.ts';
import { size } from './read.ts';

const COUNT_DOCUMENTS = { $group: { _id: 1, n: { $sum: 1 } } };

/** The aggregation command. */
export const aggregateCommands: Commands = {
  aggregate: {
    fields: 'pipeline cursor let hint allowDiskUse bypassDocumentValidation',
    run(context, call) {
      const { command, db, ns } = call;
      const stages = checkPipeline(command['pipeline']);
      const cursor = command['cursor'] as Doc | undefined;
      if (!cursor) fail(9, "The 'cursor' option is required, except for aggregate with the explain argument");
      const named = typeof command['aggregate'] === 'string';
      const docs = aggregate(context, call, named ? ns : undefined, stages);
      const label = named ? ns : `${db}.$cmd.aggregate`;
      return context.cursors.reply(label, docs.map(toBson), { batchSize: numeric(cursor['batchSize']) });
    },
  },
};

function aggregate({ store }: Context, { command, db, vars }: Call, ns: string | undefined, stages: Doc[]): Doc[] {
  const source = (name: string) => [...find(store, store.catalog.get(`${db}.${name}`), { filter: {} })].map(docOf);
  if (ns === undefined) return runPipeline([], stages, vars, source);
  const { query, rest } = pushDown(stages, command['hint'], vars);
  const rows = find(store, store.catalog.get(ns), query);
  const [only, ...more] = rest;
  if (only && !more.length && same(only, COUNT_DOCUMENTS)) {
    const n = size(rows);
    return n ? [{ _id: 1, n }] : [];
  }
  const docs = [...rows].map(docOf);
  return rest.length ? runPipeline(docs, rest, vars, source) : docs;
}

/** Lets indexes serve what a pipeline begins with: `$match`, `$sort`, `$skip` and `$limit`, in this order. */
function pushDown(stages: Doc[], hint: unknown, vars: Doc | undefined): { query: Query; rest: Doc[] } {
  const query: Query = { filter: {}, hint, vars };
  const rest = [...stages];
  const next = (name: string): unknown => (rest[0] && name in rest[0] ? rest.shift()?.[name] : undefined);
  query.filter = readFilter(next('$match'));
  query.sort = next('$sort');
  query.skip = numeric(next('$skip'));
  const limit = next('$limit');
  if (limit !== undefined && !(Number(limit) > 0)) fail(15958, 'the limit must be positive');
  query.limit = numeric(limit);
  return { query, rest };
}
