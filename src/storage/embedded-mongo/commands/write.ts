import { fromBson, hasOperators, isDoc, numeric, toBson, withId, type Doc } from '../bson/values.ts';
import { fail, MongoError } from '../errors.ts';
import { projector } from '../query/projection.ts';
import type { Collection } from '../store/catalog.ts';
import { docOf } from '../store/scan.ts';
import type { Store } from '../store/store.ts';
import { seed } from '../update/places.ts';
import { compileUpdate } from '../update/update.ts';
import { refuseOthers, type Call, type Commands, type Context, type Reply } from './command.ts';
import { find, readFilter } from './matching.ts';

const MOST_OPERATIONS = 100_000;

/** Writing documents. */
export const writeCommands: Commands = {
  insert: { fields: 'documents ordered', run: insert },
  update: { fields: 'updates ordered', run: update },
  delete: { fields: 'deletes ordered', run: remove },
  findandmodify: { fields: 'query sort remove update new upsert fields', run: findAndModify },
};

async function insert({ store }: Context, call: Call): Promise<Reply> {
  let n = 0;
  const errors = await inOrder(store, call, 'documents', (doc, _, bytes) => {
    insertOne(store, store.catalog.ensure(call.ns), doc, bytes);
    n++;
  });
  return { n, ...errors, ok: 1 };
}

async function update({ store }: Context, call: Call): Promise<Reply> {
  const result = { n: 0, nModified: 0 };
  const upserted: Doc[] = [];
  const errors = await inOrder(store, call, 'updates', (operation, index) => {
    refuseOthers('an update', operation, ['q', 'u', 'multi', 'upsert', 'sort']);
    const done = updateMatching(store, call.ns, operation);
    result.n += done.n;
    result.nModified += done.nModified;
    if (done.upserted) upserted.push({ index, _id: done.upserted['_id'] });
  });
  return { ...result, ...(upserted.length && { upserted }), ...errors, ok: 1 };
}

async function remove({ store }: Context, call: Call): Promise<Reply> {
  let n = 0;
  const errors = await inOrder(store, call, 'deletes', (operation) => {
    refuseOthers('a delete', operation, ['q', 'limit']);
    n += removeMatching(store, call.ns, operation).length;
  });
  return { n, ...errors, ok: 1 };
}

function findAndModify({ store }: Context, { command, ns }: Call): Promise<Reply> {
  const { query, sort, update, remove, upsert } = command;
  if (remove ? update || command['new'] : !update) fail(9, 'Either an update or remove=true must be given, not both');
  const project = projector(command['fields']);
  const shown = (doc: Doc | undefined) => (doc && project ? project(doc) : (doc ?? null));
  return store.write(() => {
    if (remove) {
      const [removed] = removeMatching(store, ns, { q: query, sort, limit: 1 });
      return { lastErrorObject: { n: removed ? 1 : 0 }, value: shown(removed), ok: 1 };
    }
    const done = updateMatching(store, ns, { q: query, u: update, upsert, sort });
    const { n, upserted, before, after } = done;
    const outcome = upserted ? { updatedExisting: false, upserted: upserted['_id'] } : { updatedExisting: n > 0 };
    return { lastErrorObject: { n, ...outcome }, value: shown(command['new'] ? after : before), ok: 1 };
  });
}

/** Runs a command's operations in one transaction. One that is refused is reported; an ordered command ends with it. */
async function inOrder(
  store: Store,
  { command, sequences }: Call,
  field: string,
  run: (operation: Doc, index: number, bytes?: Buffer) => void,
): Promise<{ writeErrors?: Doc[] }> {
  // Drivers send them beside the command or within it.
  const list = sequences.get(field) ?? command[field];
  if (!Array.isArray(list) || !list.length || list.length > MOST_OPERATIONS) {
    return fail(72, `Write batch sizes must be between 1 and ${MOST_OPERATIONS}`);
  }
  const writeErrors: Doc[] = [];
  await store.write(() => {
    for (const [index, operation] of (list as unknown[]).entries()) {
      try {
        if (Buffer.isBuffer(operation)) run(fromBson(operation), index, operation);
        else run(isDoc(operation) ? operation : fail(14, 'an operation must be an object'), index);
      } catch (error) {
        if (!(error instanceof MongoError)) throw error;
        writeErrors.push({ index, code: error.code, errmsg: error.message, ...error.extra });
        if (command['ordered'] !== false) return;
      }
    }
  });
  return writeErrors.length ? { writeErrors } : {};
}

/** Inserts a document; its BSON is stored as it came if `_id` is its first field already. */
function insertOne(store: Store, collection: Collection, doc: Doc, bytes?: Buffer): Doc {
  if (hasOperators(doc['_id'])) fail(52, "_id fields may not contain '$'-prefixed fields");
  const isComplete = Object.keys(doc)[0] === '_id';
  const complete = isComplete ? doc : withId(doc);
  store.insert(collection, complete, isComplete ? bytes : undefined);
  return complete;
}

interface Updated {
  n: number;
  nModified: number;
  upserted?: Doc;
  /** The first document that matched, before and after. */
  before?: Doc;
  after?: Doc;
}

/** All that matches is found before anything changes, here and in removals: a walk must not meet its own changes. */
function updateMatching(store: Store, ns: string, operation: Doc): Updated {
  const { q, u, upsert, sort } = operation;
  const multi = Boolean(operation['multi']);
  const filter = readFilter(q);
  if (multi && sort) fail(9, 'Cannot specify sort with multi=true');
  const update = compileUpdate(u, multi);
  const collection = upsert ? store.catalog.ensure(ns) : store.catalog.get(ns);
  const result: Updated = { n: 0, nModified: 0 };
  const rows = [...find(store, collection, { filter, sort, limit: multi ? 0 : 1 })];
  for (const row of rows) {
    const before = docOf(row);
    const after = update(before);
    result.n++;
    result.before ??= before;
    result.after ??= after;
    const bytes = toBson(after);
    // Reading and writing may change a number's type alone, which is no modification either.
    if (!collection || bytes.equals(row.bytes) || bytes.equals(toBson(before))) continue;
    store.put(collection, row.idKey, before, after, bytes);
    result.nModified++;
  }
  if (result.n || !upsert || !collection) return result;
  const start = seed(filter);
  const { _id } = start;
  const upserted = insertOne(store, collection, update(hasOperators(u) ? start : { _id }, true));
  return { n: 1, nModified: 0, upserted, after: upserted };
}

/** Removes what matches and gives it. */
function removeMatching(store: Store, ns: string, { q, limit, sort }: Doc): Doc[] {
  const collection = store.catalog.get(ns);
  const rows = [...find(store, collection, { filter: readFilter(q), limit: numeric(limit), sort })];
  return rows.map((row) => {
    if (collection) store.remove(collection, row.idKey, docOf(row));
    return docOf(row);
  });
}
