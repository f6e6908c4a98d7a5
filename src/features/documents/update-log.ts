/**
 * The durable log of every document: one order per document (`n`, dense), kept by a unique index, so that any number of
 * nodes may append. Where a snapshot stands for the older part, its rows are gone.
 */
import { LRUCache } from 'lru-cache';
import { mongo, Types } from 'mongoose';
import { GroupCommit, type Collision, type CommitPlan, type Row } from '../../storage/group-commit.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { Fault } from '../../protocol/index.ts';
import { ORDER_INDEX, type Claim, type DocumentModels, type SnapshotRecord, type UpdateRecord } from './model.ts';
import { StoredDocument, type StoredUpdate } from './stored-document.ts';

export interface NewUpdate extends Omit<StoredUpdate, 'n'> {
  docId: string;
  /** Runs when another node may have written before this one; rejects if the update may no longer be stored. */
  recheck?: (() => Promise<void>) | undefined;
  /** The update is durable. Runs at once, before anything else is written: what waits may join the next write. */
  stored: (update: StoredUpdate) => void;
}

interface UpdateRow extends Row {
  update: NewUpdate;
  docId: Types.ObjectId;
  n: number;
}

export interface UpdateLogDeps {
  models: DocumentModels;
  blobs: Blobs;
  now: () => number;
}

/** Of a row besides its bytes. */
const ROW_BYTES = 200;
/** Documents whose end is remembered between appends. */
const REMEMBERED_ENDS = 50_000;
/**
 * An end that nobody has confirmed for so long is read again. Much less than `ROW_KEPT_MS`: else a node that has missed
 * what others wrote could append below a snapshot, where the row that should refuse it is gone.
 */
const REMEMBERED_MS = 20_000;
/** Rows that a snapshot covers are kept for so long. */
export const ROW_KEPT_MS = 180_000;
/** Compactions that may come between reading a snapshot and the rows after it. */
const LOAD_TRIES = 8;
/** Rows that one read of what is missing gives at most. */
const AFTER_MAX = 200;

export class UpdateLog implements CommitPlan<UpdateRow, StoredUpdate> {
  readonly #deps: UpdateLogDeps;
  readonly #commit: GroupCommit<UpdateRow, StoredUpdate>;
  readonly #ends = new LRUCache<string, { n: number; stale?: true }>({ max: REMEMBERED_ENDS, ttl: REMEMBERED_MS });

  constructor(deps: UpdateLogDeps) {
    this.#deps = deps;
    this.#commit = new GroupCommit(deps.models.updates.collection, this);
  }

  /** Updates that wait for their write. */
  get queued(): number {
    return this.#commit.length;
  }

  /** Resolves when the update is durable; rejects with `unavailable` when its fate is unknown. */
  append(update: NewUpdate): Promise<StoredUpdate> {
    return this.#commit.append({
      _id: new Types.ObjectId(),
      sizeBytes: ROW_BYTES + update.bytes.byteLength,
      update,
      docId: new Types.ObjectId(update.docId),
      n: 0,
    });
  }

  /** The first update of a document; nothing happens when it has one. */
  async begin(docId: string, update: Omit<StoredUpdate, 'n'>): Promise<void> {
    const id = new Types.ObjectId(docId);
    if ((await this.head(docId)) > 0) return;
    const row = this.#document(new Types.ObjectId(), id, { ...update, n: 1 });
    await this.#deps.models.updates.collection.insertOne(row).catch((error: unknown) => {
      if (!(error instanceof mongo.MongoServerError && error.code === 11_000)) throw error;
    });
  }

  /** Another node has written up to `n`. */
  noteElsewhere(docId: string, n: number): void {
    const end = this.#ends.get(docId);
    if (end && end.n < n) end.stale = true;
  }

  /** The place of the last update; 0 where there is no document. */
  async head(docId: string): Promise<number> {
    const id = new Types.ObjectId(docId);
    const { updates, snapshots } = this.#deps.models;
    // Both: where compaction was interrupted, rows may be left that lie below the snapshot.
    const [[last], snapshot] = await Promise.all([
      updates.collection
        .find<Pick<UpdateRecord, 'n'>>({ docId: id }, { projection: { _id: 0, n: 1 } })
        .sort({ n: -1 })
        .limit(1)
        .toArray(),
      snapshots.collection.findOne<Pick<SnapshotRecord, 'n'>>({ _id: id }, { projection: { _id: 0, n: 1 } }),
    ]);
    return Math.max(last?.n ?? 0, snapshot?.n ?? 0);
  }

  /**
   * What stands after a place, ascending, at most 200. Where compaction has taken some of it, the snapshot comes first:
   * an update like any other, of everything up to its place.
   */
  async after(docId: string, n: number): Promise<StoredUpdate[]> {
    const rows = await this.#rows(docId, n, AFTER_MAX);
    const [first] = rows;
    if (first && first.n === n + 1) return rows;
    const snapshot = await this.#snapshot(docId);
    if (!snapshot || snapshot.n <= n) return rows;
    const bytes = await this.#bytesOf(snapshot);
    // One that compaction has replaced meanwhile: the next reading finds the new one.
    if (!bytes) return [];
    const missed: StoredUpdate = { n: snapshot.n, bytes, claims: toClaims(snapshot.claims) };
    return [missed, ...rows.filter((row) => row.n > snapshot.n)];
  }

  /** Everything that is stored; undefined where there is no document. */
  async load(docId: string): Promise<StoredDocument | undefined> {
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const snapshot = await this.#snapshot(docId);
      const rows = await this.#rows(docId, snapshot?.n ?? 0);
      if (!snapshot && rows.length === 0) return undefined;
      const isWhole = rows.every((row, index) => row.n === (snapshot?.n ?? 0) + index + 1);
      const bytes = snapshot && (await this.#bytesOf(snapshot));
      // A compaction came in between.
      if (!isWhole || (snapshot && !bytes)) continue;
      const stored = new StoredDocument(
        snapshot && bytes ? { n: snapshot.n, bytes, stateVector: snapshot.stateVector.buffer } : undefined,
        new Map(toClaims(snapshot?.claims ?? [])),
      );
      for (const row of rows) stored.push(row);
      return stored;
    }
    throw new Fault('unavailable', 'The document is being rewritten', { retryAfterMs: 1_000 });
  }

  /** Resolves when everything queued so far has its outcome. */
  drain(): Promise<void> {
    return this.#commit.drain();
  }

  // ---- the plan of the group commit

  async place(rows: readonly UpdateRow[]): Promise<Map<UpdateRow, unknown>> {
    const refused = new Map<UpdateRow, unknown>();
    const next = new Map<string, number>();
    await Promise.all(
      [...new Set(rows.map(({ update }) => update.docId))].map(async (docId) => {
        const known = this.#ends.get(docId);
        next.set(docId, known && !known.stale ? known.n : await this.head(docId));
        if (known && !known.stale) return;
        for (const row of rows.filter(({ update }) => update.docId === docId)) {
          await row.update.recheck?.().catch((error: unknown) => refused.set(row, error));
        }
        this.#ends.set(docId, { n: next.get(docId) ?? 0 });
      }),
    );
    if (refused.size > 0) return refused;
    for (const row of rows) {
      row.n = (next.get(row.update.docId) ?? 0) + 1;
      next.set(row.update.docId, row.n);
    }
    return refused;
  }

  toDocument(row: UpdateRow): UpdateRecord {
    return this.#document(row._id, row.docId, this.outcome(row));
  }

  outcome({ update, n }: UpdateRow): StoredUpdate {
    return { n, bytes: update.bytes, claims: update.claims, userId: update.userId };
  }

  async collided(row: UpdateRow, index: string): Promise<Collision<UpdateRow, StoredUpdate>> {
    const own = await this.#deps.models.updates.collection.findOne<UpdateRecord>({ _id: row._id });
    const end = this.#ends.get(row.update.docId);
    if (end) end.stale = true;
    // A write that was thought lost had arrived; nobody has told of it yet.
    if (own) return { kind: 'done', outcomes: new Map([[row, this.recovered(row, own)]]) };
    if (index !== ORDER_INDEX) throw new Error(`Unexpected unique index ${index}`);
    return { kind: 'again' };
  }

  recovered(row: UpdateRow, stored: unknown): StoredUpdate {
    row.n = (stored as UpdateRecord).n;
    const outcome = this.outcome(row);
    row.update.stored(outcome);
    return outcome;
  }

  committed(rows: readonly UpdateRow[]): void {
    for (const { update, n } of rows) this.#ends.set(update.docId, { n });
    for (const row of rows) row.update.stored(this.outcome(row));
  }

  forget(): void {
    this.#ends.clear();
  }

  #document(_id: Types.ObjectId, docId: Types.ObjectId, { n, bytes, claims, userId }: StoredUpdate): UpdateRecord {
    return {
      _id,
      docId,
      n,
      bytes: new mongo.Binary(bytes),
      ...(claims && claims.length > 0 ? { claims: fromClaims(claims) } : {}),
      ...(userId === undefined ? {} : { userId: new Types.ObjectId(userId) }),
      at: new Date(this.#deps.now()),
    };
  }

  async #rows(docId: string, after: number, limit = 0): Promise<StoredUpdate[]> {
    const rows = await this.#deps.models.updates.collection
      .find<UpdateRecord>({ docId: new Types.ObjectId(docId), n: { $gt: after } })
      .sort({ n: 1 })
      .limit(limit)
      .toArray();
    return rows.map(({ n, bytes, claims, userId }) => ({
      n,
      bytes: bytes.buffer,
      claims: claims && toClaims(claims),
      userId: userId?.toHexString(),
    }));
  }

  async #snapshot(docId: string): Promise<SnapshotRecord | undefined> {
    const record = await this.#deps.models.snapshots.collection.findOne<SnapshotRecord>({
      _id: new Types.ObjectId(docId),
    });
    return record ?? undefined;
  }

  async #bytesOf({ bytes, blobKey }: SnapshotRecord): Promise<Uint8Array | undefined> {
    if (bytes) return bytes.buffer;
    const blob = blobKey === undefined ? undefined : await this.#deps.blobs.get(blobKey);
    return blob && Buffer.concat(await blob.body.toArray());
  }
}

export const toClaims = (claims: readonly Claim[]): [client: number, userId: string][] =>
  claims.map(({ client, userId }) => [client, userId.toHexString()]);

export const fromClaims = (claims: Iterable<readonly [client: number, userId: string]>): Claim[] =>
  [...claims].map(([client, userId]) => ({ client, userId: new Types.ObjectId(userId) }));
