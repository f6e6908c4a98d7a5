import { identity, same } from '../bson/keys.ts';
import { valuesAt } from '../bson/paths.ts';
import { isDoc, numeric, toBson, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { compilePipeline } from '../query/pipeline.ts';
import { projector } from '../query/projection.ts';
import { docOf, type Row } from '../store/scan.ts';
import type { Store } from '../store/store.ts';
import type { Call, Commands, Context, Reply } from './command.ts';
import { find, readFilter, type Query } from './matching.ts';

/** Reading documents. */
export const readCommands: Commands = {
  find: {
    fields: 'filter sort projection skip limit batchSize singleBatch',
    run({ store, cursors }, { command, ns }) {
      const project = projector(command['projection']);
      const rows = find(store, store.catalog.get(ns), readQuery(command['filter'], command));
      const single = Boolean(command['singleBatch']) || Number(command['limit']) < 0;
      return cursors.reply(ns, encode(rows, project), command, single);
    },
  },
  getmore: {
    fields: 'collection batchSize',
    run: ({ cursors }, { command }) => cursors.more(Number(command['getMore']), command),
  },
  killcursors: {
    fields: 'cursors',
    run({ cursors }, { command }) {
      const ids = Array.isArray(command['cursors']) ? command['cursors'].map(Number) : [];
      const killed = new Set(ids.filter((id) => cursors.kill(id)));
      return { cursorsKilled: [...killed], cursorsNotFound: ids.filter((id) => !killed.has(id)), ok: 1 };
    },
  },
  count: {
    fields: 'query skip limit',
    run({ store }, { command, ns }) {
      return { n: count(store, ns, readQuery(command['query'], command)), ok: 1 };
    },
  },
  distinct: {
    fields: 'key query',
    run({ store }, { command, ns }) {
      const values = new Map<string, unknown>();
      const path = String(command['key']).split('.');
      for (const row of find(store, store.catalog.get(ns), readQuery(command['query'], command))) {
        for (const value of valuesAt(docOf(row), path).flat()) {
          if (value !== undefined) values.set(identity(value), value);
        }
      }
      return { values: [...values.keys()].sort((a, b) => (a < b ? -1 : 1)).map((key) => values.get(key)), ok: 1 };
    },
  },
  aggregate: { fields: 'pipeline cursor', run: aggregate },
};

function readQuery(filter: unknown, { sort, skip, limit }: Doc): Query {
  return { filter: readFilter(filter), sort, skip: numeric(skip), limit: Math.abs(numeric(limit) ?? 0) };
}

function* encode(rows: Iterable<Row>, project: ((doc: Doc) => Doc) | undefined): Generator<Buffer> {
  for (const row of rows) yield project ? toBson(project(docOf(row))) : row.bytes;
}

function count(store: Store, ns: string, query: Query): number {
  const collection = store.catalog.get(ns);
  if (collection && !Object.keys(query.filter).length && !query.skip && !query.limit) return store.count(collection);
  let n = 0;
  for (const _ of find(store, collection, query)) n++;
  return n;
}

/** How drivers count the documents that match a filter. */
const COUNT_DOCUMENTS = [{ $group: { _id: 1, n: { $sum: 1 } } }];

/** Runs a pipeline. Indexes serve what it begins with of `$match`, `$sort`, `$skip` and `$limit`, in this order. */
function aggregate({ store, cursors }: Context, { command, ns }: Call): Reply {
  const { pipeline, cursor } = command;
  if (!Array.isArray(pipeline)) return fail(14, "'pipeline' must be an array");
  if (!isDoc(cursor)) return fail(9, "The 'cursor' option is required");
  if (typeof command['aggregate'] !== 'string') refuse('a pipeline without a collection');
  // All stages are checked, those too that an index serves.
  const stages = compilePipeline(pipeline);
  const rest = [...(pipeline as Doc[])];
  const next = (name: string): unknown => (rest[0] && name in rest[0] ? rest.shift()?.[name] : undefined);
  const query = readQuery(next('$match'), { sort: next('$sort'), skip: next('$skip'), limit: next('$limit') });
  if (same(rest, COUNT_DOCUMENTS)) {
    const n = count(store, ns, query);
    return cursors.reply(ns, n ? [toBson({ _id: 1, n })] : [], command);
  }
  const rows = find(store, store.catalog.get(ns), query);
  if (!rest.length) return cursors.reply(ns, encode(rows, undefined), command);
  const docs = stages.slice(-rest.length).reduce((docs, stage) => stage(docs), [...rows].map(docOf));
  return cursors.reply(ns, docs.map(toBson), command);
}
