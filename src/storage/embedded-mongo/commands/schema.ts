import { same } from '../bson/keys.ts';
import { isDoc, toBson, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile } from '../query/filter.ts';
import type { Collection, IndexSpec } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import { refuseOthers, type Call, type Commands, type Context, type Reply } from './command.ts';
import { readFilter } from './matching.ts';

const ID_INDEX = { v: 2, key: { _id: 1 }, name: '_id_' };
const INDEX_OPTIONS = 'v ns key name unique sparse background partialFilterExpression expireAfterSeconds'.split(' ');

/** Databases, collections and indexes. */
export const schemaCommands: Commands = {
  create: {
    fields: '',
    async run({ store }, { ns }) {
      await store.write(() => store.catalog.ensure(ns));
      return { ok: 1 };
    },
  },
  drop: { fields: '', run: ({ store }, { ns }) => dropAll(store, (collection) => collection.ns === ns) },
  dropdatabase: { fields: '', run: ({ store }, { db }) => dropAll(store, (collection) => isIn(db, collection)) },
  listcollections: {
    fields: 'filter nameOnly authorizedCollections cursor',
    run({ store, cursors }, { command, db }) {
      const all = [...store.catalog.all().values()].filter((collection) => isIn(db, collection));
      const rows = all.map(({ ns }): Doc => {
        return { name: ns.slice(db.length + 1), type: 'collection', options: {}, info: { readOnly: false } };
      });
      const listed = rows.filter(compile(readFilter(command['filter'])));
      return cursors.reply(`${db}.$cmd.listCollections`, listed.map(toBson), command);
    },
  },
  createindexes: { fields: 'indexes', run: createIndexes },
  listindexes: {
    fields: 'cursor',
    run({ store, cursors }, { command, ns }) {
      const collection = store.catalog.get(ns) ?? fail(26, `ns does not exist: ${ns}`);
      const specs: Doc[] = [ID_INDEX, ...collection.indexes.map(({ spec }) => spec)];
      return cursors.reply(ns, specs.map(toBson), command);
    },
  },
  dropindexes: { fields: 'index', run: dropIndexes },
};

function isIn(db: string, { ns }: Collection): boolean {
  return ns.startsWith(`${db}.`);
}

async function dropAll(store: Store, isMeant: (collection: Collection) => boolean): Promise<Reply> {
  await store.write(() => {
    for (const collection of [...store.catalog.all().values()].filter(isMeant)) store.drop(collection);
  });
  return { ok: 1 };
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
  if (!isDoc(raw) || !isDoc(raw['key'])) return fail(9, "The 'key' field is a required property of an index");
  const { key, name, unique, sparse, partialFilterExpression: partial, expireAfterSeconds: seconds } = raw;
  refuseOthers('an index', raw, INDEX_OPTIONS);
  const fields = Object.entries(key);
  for (const [path, direction] of fields) {
    const isPath = path.split('.').every((part) => part !== '' && !part.startsWith('$'));
    if (!isPath || Math.abs(Number(direction)) !== 1) {
      fail(67, `the embedded store has no index of ${path}: ${String(direction)}, only paths by 1 or -1`);
    }
  }
  if (!isDoc(partial ?? {})) fail(67, 'partialFilterExpression must be an object');
  if (partial !== undefined && sparse) fail(67, 'cannot mix "partialFilterExpression" and "sparse" options');
  compile(readFilter(partial));
  if (seconds !== undefined && (fields.length !== 1 || !(Number(seconds) >= 0))) {
    fail(67, 'a TTL index has one field, and an expireAfterSeconds that is not negative');
  }
  return {
    v: 2,
    key,
    name: typeof name === 'string' ? name : fields.flat().join('_'),
    ...(unique ? { unique: true } : {}),
    ...(sparse ? { sparse: true } : {}),
    ...(isDoc(partial) ? { partialFilterExpression: partial } : {}),
    ...(seconds === undefined ? {} : { expireAfterSeconds: seconds }),
  };
}

/** Whether the index is there already; throws if one is there that conflicts. */
function exists(collection: Collection, spec: IndexSpec): boolean {
  const partial = (of: IndexSpec) => of.partialFilterExpression ?? null;
  const twin = collection.indexes.find(({ spec: other }) => {
    return other.name === spec.name || (same(other.key, spec.key) && same(partial(other), partial(spec)));
  });
  if (!twin || same(twin.spec, spec)) return twin !== undefined;
  const code = twin.spec.name === spec.name ? 86 : 85;
  return fail(code, `Index already exists with another name, key or other options: ${twin.spec.name}`);
}

function dropIndexes({ store }: Context, { command, ns }: Call): Promise<Reply> {
  const wanted = command['index'];
  if (wanted === '_id_') fail(72, 'cannot drop _id index');
  return store.write(() => {
    const collection = store.catalog.get(ns) ?? fail(26, `ns not found ${ns}`);
    const nIndexesWas = collection.indexes.length + 1;
    const dropped = collection.indexes.filter(({ spec }) => {
      return wanted === '*' || spec.name === wanted || same(spec.key, wanted);
    });
    if (!dropped.length && wanted !== '*') fail(27, `index not found with name [${String(wanted)}]`);
    for (const index of dropped) store.dropIndex(collection, index);
    return { nIndexesWas, ok: 1 };
  });
}
