/**
 * One durable append queue for one collection. Concurrent appends share an ordered `insertMany`, at most one is in
 * flight, so rows become durable in the order in which they were queued, and one disk sync serves many of them.
 *
 * What the rows mean is the `plan`'s business: it gives them their places just before each write and says what a
 * collision with a unique index means. A row whose fate is unknown (the connection broke) is looked up by its `_id`
 * before anything is written again, so no row is written twice.
 */
import { performance } from 'node:perf_hooks';
import { mongo } from 'mongoose';
import { Fault, LIMITS, withResolvers } from '../protocol/index.ts';
import { unreachable } from './database-fault.ts';

type Document = mongo.Document;

export interface Row {
  readonly _id: mongo.ObjectId;
  /** About its BSON size; what the queue's limits count. */
  readonly sizeBytes: number;
}

/** What a collision means for a row: it takes a new place and goes again, or its outcome is known, and that of others. */
export type Collision<R, T> = { kind: 'again' } | { kind: 'done'; outcomes: ReadonlyMap<R, T> };

export interface CommitPlan<R extends Row, T> {
  /** Gives each row its place. May reject single rows by returning their errors. */
  place(rows: readonly R[]): Promise<Map<R, unknown>>;
  toDocument(row: R): Document;
  /** The row is durable. Called in order; `committed` follows for the whole write. */
  outcome(row: R): T;
  /**
   * A unique index refused the row; `index` is its name. Rows before it are durable. `others` follow it in the queue: where
   * their outcomes are there already, too, they are worth finding now, as each would cost a write of its own.
   */
  collided(row: R, index: string, others: readonly R[]): Promise<Collision<R, T>>;
  /** The row was found in the database after a break. */
  recovered(row: R, stored: Document): T;
  /** Rows that became durable by one write, in order, before their appenders continue. */
  committed(rows: readonly R[]): void;
  /** After a break nothing that was remembered of places holds. */
  forget(): void;
}

interface Waiting<R, T> {
  row: R;
  queuedAtMs: number;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

const DUPLICATE_KEY = 11_000;

export class GroupCommit<R extends Row, T> {
  readonly #collection: mongo.Collection;
  readonly #plan: CommitPlan<R, T>;
  #queue: Waiting<R, T>[] = [];
  #queueBytes = 0;
  #running: Promise<void> | undefined;

  constructor(collection: mongo.Collection, plan: CommitPlan<R, T>) {
    this.#collection = collection;
    this.#plan = plan;
  }

  /** Rows that wait for their write. */
  get length(): number {
    return this.#queue.length;
  }

  /**
   * Queues a row at once and resolves when it is durable. Rejects with `unavailable` when the queue is full or the
   * database stays out of reach; then the outcome is unknown.
   */
  async append(row: R): Promise<T> {
    if (this.#queue.length >= LIMITS.commitQueueRows || this.#queueBytes + row.sizeBytes > LIMITS.commitQueueBytes) {
      throw new Fault('unavailable', 'Too many writes are waiting', { retryAfterMs: 1_000 });
    }
    const { promise, resolve, reject } = withResolvers<T>();
    this.#queue.push({ row, queuedAtMs: performance.now(), resolve, reject });
    this.#queueBytes += row.sizeBytes;
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when everything queued so far has its outcome. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // What all sockets have brought in this turn of the event loop belongs into the first write.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#writeBatch(this.#take());
    this.#running = undefined;
  }

  #take(): Waiting<R, T>[] {
    let count = 0;
    let bytes = 0;
    for (const { row } of this.#queue) {
      if (count === LIMITS.commitRows || (count > 0 && bytes + row.sizeBytes > LIMITS.commitBytes)) break;
      count++;
      bytes += row.sizeBytes;
    }
    this.#queueBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  /** Back to the front, in order: they were first and stay first. */
  #again(batch: Waiting<R, T>[]): void {
    for (const { row } of batch) this.#queueBytes += row.sizeBytes;
    this.#queue = [...batch, ...this.#queue];
  }

  async #writeBatch(taken: Waiting<R, T>[]): Promise<void> {
    let batch = taken;
    try {
      const refused = await this.#plan.place(batch.map(({ row }) => row));
      if (refused.size > 0) {
        for (const { row, reject } of batch) if (refused.has(row)) reject(refused.get(row));
        batch = batch.filter(({ row }) => !refused.has(row));
        // The places were given with the refused rows among them.
        return this.#again(batch);
      }
      await this.#collection.insertMany(
        batch.map(({ row }) => this.#plan.toDocument(row)),
        { ordered: true },
      );
    } catch (error) {
      return this.#recover(batch, error);
    }
    this.#settle(batch);
  }

  #settle(batch: Waiting<R, T>[]): void {
    if (batch.length === 0) return;
    this.#plan.committed(batch.map(({ row }) => row));
    for (const { row, resolve } of batch) resolve(this.#plan.outcome(row));
  }

  async #recover(batch: Waiting<R, T>[], error: unknown): Promise<void> {
    try {
      const refusal = refusalOf(error);
      if (!refusal && isBreak(error)) return await this.#afterBreak(batch, error);
      if (!refusal) {
        for (const { reject } of batch) reject(error);
        return;
      }
      this.#settle(batch.slice(0, refusal.index));
      const failed = batch[refusal.index];
      const rest = batch.slice(refusal.index + 1);
      if (!failed) return this.#again(rest);
      if (refusal.duplicateIndex === undefined) {
        failed.reject(error);
        return this.#again(rest);
      }
      const others = rest.map(({ row }) => row);
      const collision = await this.#plan.collided(failed.row, refusal.duplicateIndex, others);
      const again: Waiting<R, T>[] = [];
      for (const waiting of [failed, ...rest]) {
        const outcome = collision.kind === 'done' ? collision.outcomes.get(waiting.row) : undefined;
        if (outcome === undefined) again.push(waiting);
        else waiting.resolve(outcome);
      }
      this.#again(again);
    } catch (cause) {
      // Finding out what happened failed as well: the outcomes are unknown.
      this.#plan.forget();
      for (const { reject } of batch) reject(unreachable(cause));
    }
  }

  /** The answer to a write was lost: rows that are stored are done, the others go again while their time lasts. */
  async #afterBreak(batch: Waiting<R, T>[], error: unknown): Promise<void> {
    this.#plan.forget();
    const ids = batch.map(({ row }) => row._id);
    const found = await this.#collection.find({ _id: { $in: ids } }).toArray();
    const stored = new Map(found.map((document) => [String(document._id), document]));
    const rest: Waiting<R, T>[] = [];
    for (const waiting of batch) {
      const document = stored.get(String(waiting.row._id));
      if (document) waiting.resolve(this.#plan.recovered(waiting.row, document));
      else if (performance.now() - waiting.queuedAtMs > LIMITS.operationTimeoutMs) waiting.reject(unreachable(error));
      else rest.push(waiting);
    }
    this.#again(rest);
  }
}

/** Whether the write's fate is unknown, as opposed to refused: no answer came, or not from a majority. */
const isBreak = (error: unknown): boolean =>
  error instanceof mongo.MongoBulkWriteError ||
  (error instanceof mongo.MongoError &&
    (!(error instanceof mongo.MongoServerError) || error.hasErrorLabel('RetryableWriteError')));

/** Which row of an ordered write was refused, and by which unique index if by one. Undefined: no answer came. */
function refusalOf(error: unknown): { index: number; duplicateIndex: string | undefined } | undefined {
  if (!(error instanceof mongo.MongoBulkWriteError)) return undefined;
  const [first] = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
  if (!first) return undefined;
  return { index: first.index, duplicateIndex: first.code === DUPLICATE_KEY ? indexNameOf(first.errmsg) : undefined };
}

/** MongoDB names the index only in the text: `… index: chat_rev dup key: …`. */
const indexNameOf = (message: string | undefined): string => /index: (\S+)/.exec(message ?? '')?.[1] ?? '';

/** Whether an error says that a unique index refused a write, and which. */
export function duplicateIndexOf(error: unknown): string | undefined {
  return error instanceof mongo.MongoServerError && error.code === DUPLICATE_KEY
    ? indexNameOf(error.message)
    : undefined;
}
