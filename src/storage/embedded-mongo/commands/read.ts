import { Long } from 'bson';
import { identity } from '../bson/keys.ts';
import { valuesAt } from '../bson/paths.ts';
import { int64, isDoc, numeric, toBson, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { projector } from '../query/projection.ts';
import { docOf } from '../store/scan.ts';
import type { Call, Commands, Context, Reply } from './context.ts';
import { find, planOf, readFilter, type Query } from './matching.ts';

/** Reading documents. */
export const readCommands: Commands = {
  find: {
    fields:
      'filter sort projection hint skip limit batchSize singleBatch let allowDiskUse noCursorTimeout allowPartialResults',
    run({ store, cursors }, { command, ns, vars }): Reply {
      const limit = numeric(command['limit']) ?? 0;
      const query = queryOf(command, 'filter', vars, Math.abs(limit));
      const project = projector(command['projection'], query.filter, vars);
      const rows = find(store, store.catalog.get(ns), query);
      return cursors.reply(ns, encoded(), {
        batchSize: numeric(command['batchSize']),
        single: Boolean(command['singleBatch']) || limit < 0,
      });
      function* encoded(): Generator<Buffer> {
        for (const row of rows) yield project ? toBson(project(docOf(row))) : row.bytes;
      }
    },
  },
  getmore: {
    fields: 'collection batchSize',
    run: ({ cursors }, { command }) => cursors.more(cursorId(command['getMore']), numeric(command['batchSize'])),
  },
  killcursors: {
    fields: 'cursors',
    run({ cursors }, { command }) {
      const ids = Array.isArray(command['cursors']) ? command['cursors'].map(cursorId) : [];
      const killed = new Set(ids.filter((id) => cursors.kill(id)));
      return {
        cursorsKilled: [...killed].map(int64),
        cursorsNotFound: ids.filter((id) => !killed.has(id)).map(int64),
        cursorsAlive: [],
        cursorsUnknown: [],
        ok: 1,
      };
    },
  },
  count: {
    fields: 'query skip limit hint',
    run({ store }, { command, ns, vars }) {
      const query = queryOf(command, 'query', vars, Math.abs(numeric(command['limit']) ?? 0));
      const collection = store.catalog.get(ns);
      const all = !Object.keys(query.filter).length && !query.skip && !query.limit;
      if (all) return { n: collection ? store.count(collection) : 0, ok: 1 };
      return { n: size(find(store, collection, query)), ok: 1 };
    },
  },
  distinct: {
    fields: 'key query hint',
    run({ store }, { command, ns, vars }) {
      const values = new Map<string, unknown>();
      const path = String(command['key']).split('.');
      for (const row of find(store, store.catalog.get(ns), queryOf(command, 'query', vars))) {
        for (const value of valuesAt(docOf(row), path).values.flat()) {
          if (value !== undefined) values.set(identity(value), value);
        }
      }
      return { values: [...values.keys()].sort((a, b) => (a < b ? -1 : 1)).map((key) => values.get(key)), ok: 1 };
    },
  },
  explain: { fields: 'verbosity', run: explain },
};

function queryOf(command: Doc, filterField: string, vars: Doc | undefined, limit = 0): Query {
  const { sort, skip, hint } = command;
  return { filter: readFilter(command[filterField]), sort, skip: numeric(skip), limit, hint, vars };
}

function cursorId(value: unknown): bigint {
  if (typeof value === 'number') return BigInt(value);
  return value instanceof Long ? value.toBigInt() : fail(14, 'a cursor id must be a long');
}

/** How many items there are. */
export function size(items: Iterable<unknown>): number {
  let count = 0;
  for (const _ of items) count++;
  return count;
}

/** Says which index would serve: enough for a test to require one. */
function explain({ store }: Context, { command, db }: Call): Reply {
  const inner = isDoc(command['explain']) ? command['explain'] : fail(14, 'explain needs a command');
  const name = inner['find'] ?? inner['count'] ?? inner['distinct'] ?? inner['aggregate'];
  const collection = store.catalog.get(`${db}.${String(name)}`);
  const [head] = Array.isArray(inner['pipeline']) ? (inner['pipeline'] as Doc[]) : [];
  const filter = readFilter(inner['filter'] ?? inner['query'] ?? head?.['$match']);
  const plan = collection && planOf(collection, { filter, sort: inner['sort'], hint: inner['hint'] });
  return { queryPlanner: { winningPlan: plan ? describe(plan) : { stage: 'EOF' } }, ok: 1 };
}

function describe({ ids, index, sorted, reverse }: ReturnType<typeof planOf>): Doc {
  if (ids) return { stage: 'IDHACK' };
  if (!index) return { stage: 'COLLSCAN' };
  const direction = reverse ? 'backward' : 'forward';
  return { stage: sorted ? 'FETCH' : 'SORT', inputStage: { stage: 'IXSCAN', indexName: index.spec.name, direction } };
}
