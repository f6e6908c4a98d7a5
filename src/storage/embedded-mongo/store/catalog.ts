import type { Database } from 'lmdb';
import { uint32 } from '../bson/keys.ts';
import { fromBson, isDoc, toBson, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';
import { compile, type Test } from '../query/filter.ts';
import { sortFields, type SortField } from '../query/sort.ts';

/** An index as a client declared it. */
export interface IndexSpec extends Doc {
  v: number;
  key: Doc;
  name: string;
  unique?: boolean;
  sparse?: boolean;
  partialFilterExpression?: Doc;
  expireAfterSeconds?: unknown;
}

/** A secondary index as it is stored. */
interface StoredIndex {
  id: number;
  spec: IndexSpec;
  /** Whether a document ever had several entries: then an order or a double bound cannot be read off. */
  multi: boolean;
}

/** A secondary index. */
export interface Index extends StoredIndex {
  fields: SortField[];
  prefix: Buffer;
  /** Of a partial index: whether it covers a document. */
  covers?: Test;
}

/** A collection with its secondary indexes. */
export interface Collection {
  ns: string;
  id: number;
  prefix: Buffer;
  indexes: Index[];
}

/** The catalog as it is stored, in BSON. */
interface Stored extends Doc {
  next: number;
  collections: { ns: string; id: number; indexes: StoredIndex[] }[];
}

const NAMESPACE = /^[^.\0$ /\\"]+\.[^\0$]*[^\0$.]$/;

/**
 * What collections and indexes there are. Kept in memory and read again whenever its stored version has changed,
 * which another process may do at any time. It is changed and saved within write transactions.
 */
export class Catalog {
  readonly #meta: Database;
  #version = -1;
  #next = 1;
  #collections = new Map<string, Collection>();

  constructor(meta: Database) {
    this.#meta = meta;
  }

  /** Every collection, by namespace. */
  all(): Map<string, Collection> {
    const version = Number(this.#meta.get('version') ?? 0);
    if (version !== this.#version) this.#load(version);
    return this.#collections;
  }

  /** A collection, if there is one. */
  get(ns: string): Collection | undefined {
    return this.all().get(ns);
  }

  /** A collection, made where it is missing. */
  ensure(ns: string): Collection {
    const found = this.get(ns);
    if (found) return found;
    if (!NAMESPACE.test(ns)) fail(73, `Invalid namespace specified '${ns}'`);
    const id = this.#next++;
    const collection = { ns, id, prefix: uint32(id), indexes: [] };
    this.#collections.set(ns, collection);
    this.save();
    return collection;
  }

  /** Declares an index; its entries are the store's to write. */
  addIndex(collection: Collection, spec: IndexSpec): Index {
    const index = indexOf({ id: this.#next++, spec, multi: false });
    collection.indexes.push(index);
    this.save();
    return index;
  }

  /** Drops what is in memory, after a transaction that may have changed it has failed. */
  forget(): void {
    this.#version = -1;
  }

  #load(version: number): void {
    const bytes = this.#meta.get('catalog') as Uint8Array | undefined;
    const { next, collections } = bytes ? (fromBson(bytes) as Stored) : { next: 1, collections: [] };
    this.#next = next;
    this.#collections = new Map(
      collections.map(({ ns, id, indexes }) => [ns, { ns, id, prefix: uint32(id), indexes: indexes.map(indexOf) }]),
    );
    this.#version = version;
  }

  /** Stores what has been changed in it. */
  save(): void {
    const collections = [...this.#collections.values()].map(({ ns, id, indexes }) => {
      return { ns, id, indexes: indexes.map(({ id, spec, multi }) => ({ id, spec, multi })) };
    });
    const stored: Stored = { next: this.#next, collections };
    const version = Number(this.#meta.get('version') ?? 0) + 1;
    this.#meta.putSync('catalog', toBson(stored));
    this.#meta.putSync('version', version);
    this.#version = version;
  }
}

function indexOf({ id, spec, multi }: StoredIndex): Index {
  const partial = spec.partialFilterExpression;
  const covers = isDoc(partial) ? { covers: compile(partial) } : {};
  return { id, spec, fields: sortFields(spec.key), prefix: uint32(id), multi, ...covers };
}
