import { isDoc, numeric, type Doc } from '../bson/values.ts';
import { fail } from '../errors.ts';

/** Documents in the first answer unless the client says otherwise, as in MongoDB. */
const FIRST_BATCH = 101;
/** Bytes in one answer. */
const LARGEST_BATCH = 16 * 1024 * 1024;
/** A cursor that nobody asks for is closed, as in MongoDB. */
const IDLE_MS = 600_000;
/** Open cursors hold their query in memory; more than this is a client that forgets to close them. */
const MOST_CURSORS = 10_000;

interface Cursor {
  ns: string;
  rows: Iterator<Buffer>;
  /** The next row, read ahead to know whether there is one. */
  next: IteratorResult<Buffer>;
  usedAt: number;
}

/** An answer whose documents are BSON already. */
export interface CursorReply {
  ns: string;
  /** 0 if there are no more rows. */
  id: number;
  field: 'firstBatch' | 'nextBatch';
  batch: Buffer[];
}

/** The open cursors. */
export class Cursors {
  readonly #open = new Map<number, Cursor>();
  // Ids of an earlier process must not name a cursor of this one.
  #nextId = Date.now() * 1000;

  /** Answers a command with the first rows, and keeps a cursor if there are more and not a `single` batch is wanted. */
  reply(ns: string, rows: Iterable<Buffer>, { batchSize, cursor: options }: Doc, single = false): CursorReply {
    const size = numeric(batchSize ?? (isDoc(options) ? options['batchSize'] : undefined)) ?? FIRST_BATCH;
    const iterator = rows[Symbol.iterator]();
    const cursor: Cursor = { ns, rows: iterator, next: iterator.next(), usedAt: Date.now() };
    const batch = take(cursor, size);
    if (cursor.next.done || single) return { ns, id: 0, field: 'firstBatch', batch };
    if (this.#open.size >= MOST_CURSORS) fail(50, `there are ${MOST_CURSORS} open cursors already`);
    const id = this.#nextId++;
    this.#open.set(id, cursor);
    return { ns, id, field: 'firstBatch', batch };
  }

  /** Answers with the next rows. */
  more(id: number, { batchSize }: Doc): CursorReply {
    const cursor = this.#open.get(id) ?? fail(43, `cursor id ${id} not found`);
    cursor.usedAt = Date.now();
    const batch = take(cursor, numeric(batchSize) || Number.POSITIVE_INFINITY);
    if (cursor.next.done) this.#open.delete(id);
    return { ns: cursor.ns, id: cursor.next.done ? 0 : id, field: 'nextBatch', batch };
  }

  /** Closes a cursor; false if there is none. */
  kill(id: number): boolean {
    return this.#open.delete(id);
  }

  /** Closes the cursors that have been idle for long. */
  sweep(now: number): void {
    for (const [id, cursor] of this.#open) if (now - cursor.usedAt > IDLE_MS) this.#open.delete(id);
  }
}

function take(cursor: Cursor, count: number): Buffer[] {
  const batch: Buffer[] = [];
  let bytes = 0;
  while (batch.length < count && !cursor.next.done) {
    bytes += cursor.next.value.length;
    if (bytes > LARGEST_BATCH && batch.length) break;
    batch.push(cursor.next.value);
    cursor.next = cursor.rows.next();
  }
  return batch;
}
