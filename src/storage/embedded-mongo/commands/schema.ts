import { same } from '../bson/keys.ts';
import { isDoc, numeric, toBson, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import { compile } from '../query/filter.ts';
import type { Collection, IndexSpec } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import { checkCollation } from './common.ts';
import type { Call, Commands, Context, Reply } from './context.ts';
import { readFilter } from './matching.ts';

const ID_INDEX = { v: 2, key: { _id: 1 }, name: '_id_' };
const INDEX_OPTIONS =
  'v ns key name unique sparse background partialFilterExpression expireAfterSeconds collation'.split(' ');

/** Databases, collections and indexes. */
export const schemaCommands: Commands = {
  create: {
    fields: '',
    async run({ store }, { ns }) {
      await store.write(() => store.catalog.ensure(ns));
      return { ok: 1 };
    },
  },
  drop: {
    fields: '',
    run: ({ store }, { ns }) =>
      store.write(() => {
        const collection = store.catalog.get(ns);
        if (!collection) return { ok: 1 };
        const nIndexesWas = collection.indexes.length + 1;
        store.drop(collection);
        return { ns, nIndexesWas, ok: 1 };
      }),
  },
  dropdatabase: {
    fields: '',
    run: ({ store }, { db }) =>
      store.write(() => {
        for (const collection of collectionsOf(store, db)) store.drop(collection);
        return { dropped: db, ok: 1 };
      }),
  },
  listdatabases: {
    fields: 'filter nameOnly authorizedDatabases',
    run({ store }, { command }) {
      const names = new Set([...store.catalog.all().keys()].map((ns) => ns.split('.', 1)[0]));
      const rows = [...names].map((name) => (command['nameOnly'] ? { name } : { name, sizeOnDisk: 0, empty: false }));
      return { databases: rows.filter(compile(readFilter(command['filter']))), totalSize: 0, ok: 1 };
    },
  },
  listcollections: {
    fields: 'filter nameOnly authorizedCollections cursor',
    run({ store, cursors }, { command, db }) {
      const rows = collectionsOf(store, db).map(({ ns }): Doc => {
        const row = { name: ns.slice(db.length + 1), type: 'collection' };
        return command['nameOnly'] ? row : { ...row, options: {}, info: { readOnly: false }, idIndex: ID_INDEX };
      });
      const listed = rows.filter(compile(readFilter(command['filter'])));
      return cursors.reply(`${db}.$cmd.listCollections`, listed.map(toBson), { batchSize: batchSize(command) });
    },
  },
  createindexes: { fields: 'indexes commitQuorum', run: createIndexes },
  listindexes: {
    fields: 'cursor',
    run({ store, cursors }, { command, ns }) {
      const collection = store.catalog.get(ns) ?? fail(26, `ns does not exist: ${ns}`);
      const specs: Doc[] = [ID_INDEX, ...collection.indexes.map(({ spec }) => spec)];
      return cursors.reply(ns, specs.map(toBson), { batchSize: batchSize(command) });
    },
  },
  dropindexes: { fields: 'index', run: dropIndexes },
};

function collectionsOf(store: Store, db: string): Collection[] {
  return [...store.catalog.all().values()].filter(({ ns }) => ns.startsWith(`${db}.`));
}

function batchSize({ cursor }: Doc): number | undefined {
  return isDoc(cursor) ? numeric(cursor['batchSize']) : undefined;
}

function createIndexes({ store }: Context, { command, ns }: Call): Promise<Reply> {
  const specs = Array.isArray(command['indexes']) ? command['indexes'].map(readSpec) : [];
  if (!specs.length) fail(2, 'Must specify at least one index to create');
  return store.write(() => {
    const createdCollectionAutomatically = !store.catalog.get(ns);
    const collection = store.catalog.ensure(ns);
    const numIndexesBefore = collection.indexes.length + 1;
    for (const spec of specs) {
      if (!same(spec.key, ID_INDEX.key) && !exists(collection, spec)) store.addIndex(collection, spec);
    }
    return { numIndexesBefore, numIndexesAfter: collection.indexes.length + 1, createdCollectionAutomatically, ok: 1 };
  });
}

function readSpec(raw: unknown): IndexSpec {
  if (!isDoc(raw) || !isDoc(raw['key']))
    return fail(9, "The 'key' field is a required property of an index specification");
  const { key, name, unique, sparse, partialFilterExpression: partial, expireAfterSeconds: seconds } = raw;
  const unknown = Object.keys(raw).find((option) => !INDEX_OPTIONS.includes(option) && raw[option]);
  if (unknown) refuse(`the index option '${unknown}'`);
  checkCollation(raw['collation']);
  checkKey(key);
  if (partial !== undefined) {
    if (!isDoc(partial)) return fail(67, 'partialFilterExpression must be an object');
    if (sparse) fail(67, 'cannot mix "partialFilterExpression" and "sparse" options');
    compile(partial);
  }
  if (seconds !== undefined) {
    if (Object.keys(key).length > 1)
      fail(67, 'TTL indexes are single-field indexes, compound indexes do not support TTL');
    if (!(Number(seconds) >= 0)) fail(67, 'TTL index expireAfterSeconds must be a number that is not negative');
  }
  return {
    v: 2,
    key,
    name: typeof name === 'string' ? name : Object.entries(key).flat().join('_'),
    ...(unique ? { unique: true } : {}),
    ...(sparse ? { sparse: true } : {}),
    ...(isDoc(partial) ? { partialFilterExpression: partial } : {}),
    ...(seconds === undefined ? {} : { expireAfterSeconds: seconds }),
  };
}

function checkKey(key: Doc): void {
  const fields = Object.entries(key);
  if (!fields.length) fail(67, 'Index keys cannot be empty.');
  for (const [path, direction] of fields) {
    if (typeof direction === 'string') fail(67, `${direction} indexes are not supported by the embedded store`);
    if (path.includes('$**')) fail(67, 'wildcard indexes are not supported by the embedded store');
    if (path.split('.').some((part) => part === '' || part.startsWith('$')))
      fail(67, `Index key contains an illegal field name: '${path}'`);
    if (Math.abs(Number(direction)) !== 1) fail(67, 'Values in the index key pattern must be 1 or -1');
  }
}

/** Whether the index is there already; throws if one is there that conflicts. */
function exists(collection: Collection, spec: IndexSpec): boolean {
  const named = collection.indexes.find((index) => index.spec.name === spec.name);
  if (named && same(named.spec, spec)) return true;
  if (named)
    fail(
      86,
      `An existing index has the same name as the requested index, but another key or other options: ${spec.name}`,
    );
  const partial = spec.partialFilterExpression ?? null;
  const twin = collection.indexes.find(
    (index) => same(index.spec.key, spec.key) && same(index.spec.partialFilterExpression ?? null, partial),
  );
  if (twin) fail(85, `Index already exists with a different name: ${twin.spec.name}`);
  return false;
}

function dropIndexes({ store }: Context, { command, ns }: Call): Promise<Reply> {
  const wanted = command['index'];
  if ([wanted].flat().includes('_id_')) fail(72, 'cannot drop _id index');
  return store.write(() => {
    const collection = store.catalog.get(ns) ?? fail(26, `ns not found ${ns}`);
    const nIndexesWas = collection.indexes.length + 1;
    const named = (name: unknown) =>
      collection.indexes.find(({ spec }) => spec.name === name || (isDoc(name) && same(spec.key, name))) ??
      fail(27, `index not found with name [${String(name)}]`);
    for (const index of wanted === '*' ? [...collection.indexes] : [wanted].flat().map(named)) {
      store.dropIndex(collection, index);
    }
    return { nIndexesWas, ok: 1 };
  });
}
