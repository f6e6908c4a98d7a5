import { EJSON } from 'bson';
import { open, type Database, type RootDatabase } from 'lmdb';
import { encode } from '../bson/keys.ts';
import { EMPTY_ARRAY, fromBson, toBson, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { Catalog, type Collection, type Index, type IndexSpec } from './catalog.ts';
import { entriesOf, without, type Entry } from './entries.ts';

/** Ends the range of a prefix: nothing that follows a complete value starts with these bytes. */
export const LAST = Buffer.from([0xff, 0xff, 0xff]);
/** LMDB's limit for keys with pages of 4 KiB. */
export const LONGEST_KEY = 1978;
/** Leaves room for other fields beside the `_id` in the entries of indexes. */
const LONGEST_ID = 512;
export const LARGEST_DOCUMENT = 16 * 1024 * 1024;
const CLEAR_BATCH = 1000;

/**
 * Documents and ordered indexes in LMDB, one environment of three databases:
 *   meta: the catalog and its version
 *   documents: collection id, key of _id -> BSON
 *   entries: index id, key of each field (, key of _id unless unique) -> key of _id
 * Several processes may open the same path: LMDB lets one of them write at a time.
 */
export class Store {
  readonly catalog: Catalog;
  readonly documents: Database<Buffer, Buffer>;
  readonly entries: Database<Buffer, Buffer>;
  readonly #environment: RootDatabase;

  constructor(path: string, sync: boolean) {
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    // Without overlapping sync a commit becomes visible only when fdatasync has returned: an ack is durable.
    this.#environment = open({ path, noSubdir: false, ...(sync ? { overlappingSync: false } : { noSync: true }) });
    this.catalog = new Catalog(this.#environment.openDB('meta', { encoding: 'msgpack' }));
    this.documents = this.#environment.openDB('documents', binary);
    this.entries = this.#environment.openDB('entries', binary);
  }

  close(): Promise<void> {
    return this.#environment.close();
  }

  /** What all databases together take on disk. */
  get sizeBytes(): number {
    const { pageSize, lastPageNumber } = this.#environment.getStats() as { pageSize: number; lastPageNumber: number };
    return pageSize * (lastPageNumber + 1);
  }

  /** Frees what readers of processes that were killed still hold, so that the file does not grow. */
  releaseDeadReaders(): void {
    this.#environment.readerCheck();
  }

  /** Lets the reads of this turn see what other processes have committed meanwhile. */
  refresh(): void {
    this.#environment.resetReadTxn();
  }

  /**
   * Runs work as one atomic write. LMDB commits what concurrent commands ask for together (group commit); each is a
   * child transaction, so that one's failure leaves the others alone. Resolves when the commit is on disk.
   */
  write<T>(work: () => T): Promise<T> {
    const undone = (error: unknown): never => {
      this.catalog.forget();
      throw error;
    };
    const attempt = () => {
      try {
        return work();
      } catch (error) {
        return undone(error);
      }
    };
    return this.#environment.childTransaction(attempt).catch(undone);
  }

  /** Where a document lies. */
  keyOf(collection: Collection, idKey: Buffer): Buffer {
    return Buffer.concat([collection.prefix, idKey]);
  }

  /** Adds a document; `bytes` is its BSON if there is some already. */
  insert(collection: Collection, doc: Doc, bytes: Buffer = toBson(doc)): void {
    const id = doc['_id'];
    if (Array.isArray(id) || id instanceof RegExp) fail(53, "The '_id' value cannot be an array or a regex");
    const idKey = encode(id);
    if (idKey.length > LONGEST_ID) fail(17280, `key too large to index: _id of ${idKey.length} bytes`);
    if (this.documents.doesExist(this.keyOf(collection, idKey))) duplicate(collection.ns, { _id: 1 }, '_id_', [id]);
    this.put(collection, idKey, undefined, doc, bytes);
  }

  /** Writes a document's new form; `before` is what it replaces. */
  put(collection: Collection, idKey: Buffer, before: Doc | undefined, after: Doc, bytes: Buffer): void {
    if (bytes.length > LARGEST_DOCUMENT) fail(10334, `BSONObj size: ${bytes.length} is more than ${LARGEST_DOCUMENT}`);
    this.#reindex(collection, idKey, before, after);
    this.documents.putSync(this.keyOf(collection, idKey), bytes);
  }

  /** Removes a document. */
  remove(collection: Collection, idKey: Buffer, doc: Doc): void {
    this.#reindex(collection, idKey, doc, undefined);
    this.documents.removeSync(this.keyOf(collection, idKey));
  }

  /** How many documents a collection has. */
  count({ prefix }: Collection): number {
    return this.documents.getKeysCount({ start: prefix, end: Buffer.concat([prefix, LAST]) });
  }

  /** Removes a collection and all that is in it. */
  drop(collection: Collection): void {
    for (const index of collection.indexes) clear(this.entries, index.prefix);
    clear(this.documents, collection.prefix);
    this.catalog.all().delete(collection.ns);
    this.catalog.save();
  }

  /** Builds an index. */
  addIndex(collection: Collection, spec: IndexSpec): void {
    const index = this.catalog.addIndex(collection, spec);
    const { prefix } = collection;
    for (const { key, value } of this.documents.getRange({ start: prefix, end: Buffer.concat([prefix, LAST]) })) {
      this.#reindex({ ...collection, indexes: [index] }, key.subarray(prefix.length), undefined, fromBson(value));
    }
  }

  /** Removes an index. */
  dropIndex(collection: Collection, index: Index): void {
    clear(this.entries, index.prefix);
    collection.indexes = collection.indexes.filter((other) => other !== index);
    this.catalog.save();
  }

  /** Changes a document's entries. All are checked before one is written: a refused document must leave no trace. */
  #reindex({ ns, indexes }: Collection, idKey: Buffer, before: Doc | undefined, after: Doc | undefined): void {
    const changes = indexes.map((index) => {
      const old = before ? entriesOf(index, before).entries : [];
      const { entries, multi } = after ? entriesOf(index, after) : { entries: [], multi: false };
      return { index, gone: without(old, entries), added: without(entries, old), multi };
    });
    for (const { index, added } of changes) for (const entry of added) this.#check(ns, index, entry, idKey);
    for (const { index, added, gone, multi } of changes) {
      for (const entry of gone) this.entries.removeSync(entryKey(index, entry, idKey));
      for (const entry of added) this.entries.putSync(entryKey(index, entry, idKey), idKey);
      if (!multi || index.multi) continue;
      index.multi = true;
      this.catalog.save();
    }
  }

  #check(ns: string, { spec }: Index, { key, values }: Entry, idKey: Buffer): void {
    if (key.length + idKey.length > LONGEST_KEY)
      fail(17280, `key too large to index ${spec.name}: ${key.length} bytes`);
    if (spec.unique && this.entries.doesExist(key)) duplicate(ns, spec.key, spec.name, values);
  }
}

function entryKey({ spec }: Index, { key }: Entry, idKey: Buffer): Buffer {
  return spec.unique ? key : Buffer.concat([key, idKey]);
}

/** Removes a range piece by piece, so that no cursor sees what it removes. */
function clear(database: Database<Buffer, Buffer>, prefix: Buffer): void {
  for (;;) {
    const keys = [...database.getKeys({ start: prefix, end: Buffer.concat([prefix, LAST]), limit: CLEAR_BATCH })];
    for (const key of keys) database.removeSync(key);
    if (keys.length < CLEAR_BATCH) return;
  }
}

function duplicate(ns: string, keyPattern: Doc, name: string, values: unknown[]): never {
  const shown = values.map((value) => (value === EMPTY_ARRAY ? null : (value ?? null)));
  const keyValue = Object.fromEntries(Object.keys(keyPattern).map((path, i) => [path, shown[i]]));
  const message = `E11000 duplicate key error collection: ${ns} index: ${name} dup key: ${EJSON.stringify(keyValue)}`;
  return fail(11000, message, { keyPattern, keyValue });
}
