import { fromBson, hasOperators, isDoc, numeric, toBson, withId, type Doc } from '../bson/values.ts';
import { fail, MongoError, refuse } from '../errors.ts';
import { evaluateLet } from '../query/expressions.ts';
import { projector } from '../query/projection.ts';
import { docOf } from '../store/scan.ts';
import type { Collection } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import { applyUpdate } from '../update/apply.ts';
import { checkUpdate } from '../update/check.ts';
import { seed } from '../update/places.ts';
import { checkCollation } from './common.ts';
import type { Call, Commands, Context, Reply } from './context.ts';
import { find, readFilter } from './matching.ts';

const MOST_OPERATIONS = 100_000;

/** Writing documents. */
export const writeCommands: Commands = {
  insert: { fields: 'documents ordered bypassDocumentValidation', run: insert },
  update: { fields: 'updates ordered bypassDocumentValidation let', run: update },
  delete: { fields: 'deletes ordered let', run: remove },
  findandmodify: {
    fields: 'query sort remove update new upsert fields arrayFilters hint let bypassDocumentValidation',
    run: findAndModify,
  },
};

async function insert({ store }: Context, call: Call): Promise<Reply> {
  const documents = operations(call, 'documents') as Buffer[];
  let n = 0;
  const errors = await inOrder(store, call, documents, (bytes) => {
    insertOne(store, store.catalog.ensure(call.ns), fromBson(bytes), bytes);
    n++;
  });
  return { n, ...errors, ok: 1 };
}

async function update({ store }: Context, call: Call): Promise<Reply> {
  const result = { n: 0, nModified: 0 };
  const upserted: Doc[] = [];
  const errors = await inOrder(store, call, operations(call, 'updates').map(asDoc), (operation, index) => {
    known(operation, 'q u c multi upsert arrayFilters hint collation sort');
    const vars = operation['c'] ? { ...call.vars, ...evaluateLet(operation['c']) } : call.vars;
    const done = updateMatching(store, call.ns, operation, vars);
    result.n += done.n;
    result.nModified += done.nModified;
    if (done.upserted) upserted.push({ index, _id: done.upserted['_id'] });
  });
  return { ...result, ...(upserted.length && { upserted }), ...errors, ok: 1 };
}

async function remove({ store }: Context, call: Call): Promise<Reply> {
  let n = 0;
  const errors = await inOrder(store, call, operations(call, 'deletes').map(asDoc), (operation) => {
    known(operation, 'q limit hint collation');
    const collection = store.catalog.get(call.ns);
    const limit = numeric(operation['limit']);
    const query = { filter: readFilter(operation['q']), limit, hint: operation['hint'], vars: call.vars };
    // Collected before the first is removed: a walk must not meet its own changes.
    const rows = [...find(store, collection, query)];
    for (const row of rows) {
      if (collection) store.remove(collection, row.idKey, docOf(row));
      n++;
    }
  });
  return { n, ...errors, ok: 1 };
}

function findAndModify({ store }: Context, { command, ns, vars }: Call): Promise<Reply> {
  const { query, sort, hint, update, remove, upsert, arrayFilters } = command;
  const filter = readFilter(query);
  const project = projector(command['fields'], filter, vars);
  const shown = (doc: Doc | undefined) => (doc && project ? project(doc) : (doc ?? null));
  if (remove && (update || command['new'])) fail(9, "Cannot specify both an update and remove=true, or 'new' with it");
  if (!remove && !update) fail(9, 'Either an update or remove=true must be specified');
  return store.write(() => {
    if (remove) {
      const collection = store.catalog.get(ns);
      const [row] = find(store, collection, { filter, sort, hint, limit: 1, vars });
      if (row && collection) store.remove(collection, row.idKey, docOf(row));
      return { lastErrorObject: { n: row ? 1 : 0 }, value: shown(row && docOf(row)), ok: 1 };
    }
    const operation = { q: filter, u: update, upsert, arrayFilters, sort, hint };
    const { n, upserted, before, after } = updateMatching(store, ns, operation, vars);
    const updatedExisting = n > 0 && !upserted;
    const lastErrorObject = { n, updatedExisting, ...(upserted && { upserted: upserted['_id'] }) };
    return { lastErrorObject, value: shown(command['new'] ? after : before), ok: 1 };
  });
}

/** The operations of a write command, which drivers send beside it or within it. */
function operations({ command, sequences }: Call, field: string): unknown[] {
  const list = sequences.get(field) ?? command[field];
  if (Array.isArray(list) && list.length > 0 && list.length <= MOST_OPERATIONS) return list;
  return fail(
    72,
    `Write batch sizes must be between 1 and ${MOST_OPERATIONS}. Got ${Array.isArray(list) ? list.length : 0} operations.`,
  );
}

function asDoc(operation: unknown): Doc {
  if (operation instanceof Uint8Array) return fromBson(operation);
  return isDoc(operation) ? operation : fail(14, 'an operation of a write command must be an object');
}

function known(operation: Doc, fields: string): void {
  const unknown = Object.keys(operation).find((key) => !fields.split(' ').includes(key) && operation[key]);
  if (unknown) refuse(`the option '${unknown}' of a write operation`);
  checkCollation(operation['collation']);
}

/** Runs the operations in one transaction. One that is refused is reported; an ordered command ends with it. */
async function inOrder<T>(
  store: Store,
  { command }: Call,
  list: T[],
  run: (operation: T, index: number) => void,
): Promise<{ writeErrors?: Doc[] }> {
  const writeErrors: Doc[] = [];
  await store.write(() => {
    for (const [index, operation] of list.entries()) {
      try {
        run(operation, index);
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
  if (bytes && Object.keys(doc)[0] === '_id') {
    store.insert(collection, doc, bytes);
    return doc;
  }
  const complete = withId(doc);
  store.insert(collection, complete);
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

function updateMatching(store: Store, ns: string, operation: Doc, vars: Doc | undefined): Updated {
  const { u, upsert, multi, arrayFilters, sort, hint } = operation;
  const filter = readFilter(operation['q']);
  if (multi && sort) fail(9, 'Cannot specify sort with multi=true');
  const update = checkUpdate(u, Boolean(multi));
  const collection = upsert ? store.catalog.ensure(ns) : store.catalog.get(ns);
  const result: Updated = { n: 0, nModified: 0 };
  if (!collection) return result;
  const context = { filter, arrayFilters, vars };
  const rows = [...find(store, collection, { filter, sort, hint, limit: multi ? 0 : 1, vars })];
  for (const row of rows) {
    const before = docOf(row);
    const after = applyUpdate(before, update, context);
    result.n++;
    result.before ??= before;
    result.after ??= after;
    const bytes = toBson(after);
    // Reading and writing may change a number's type alone, which is no modification either.
    if (bytes.equals(row.bytes) || bytes.equals(toBson(before))) continue;
    store.replace(collection, row.idKey, before, after, bytes);
    result.nModified++;
  }
  if (result.n || !upsert) return result;
  const start = seed(filter);
  const bare: Doc = '_id' in start ? { _id: start['_id'] } : {};
  const made = applyUpdate(update.kind === 'replace' ? bare : start, update, { ...context, inserting: true });
  const upserted = insertOne(store, collection, made);
  return { n: 1, nModified: 0, upserted, after: upserted };
}
