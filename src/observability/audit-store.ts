/**
 * Audit rows in the database. They are only ever added. Recording costs the caller nothing: rows are written in
 * batches in the background, kept while the database is away, and counted when even the queue is full.
 */
import { Schema, Types, type Connection, type Model, type mongo } from 'mongoose';
import type { Audit, AuditEntry } from './audit.ts';
import type { Log } from './log.ts';
import { truncateIp } from './truncate-ip.ts';

export interface AuditRecord {
  _id: Types.ObjectId;
  time: Date;
  action: string;
  ok: boolean;
  userId?: Types.ObjectId;
  projectId?: Types.ObjectId;
  target?: string;
  /** A network, not an address. */
  ip?: string;
  userAgent?: string;
  detail?: Record<string, string | number | boolean>;
}

export interface AuditDeps {
  connection: Connection;
  log: Log;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Rows that wait; more are lost, counted and logged as errors. */
  queueLimit?: number;
}

export interface AuditQuery {
  userId?: string | undefined;
  projectId?: string | undefined;
  action?: string | undefined;
  from?: Date | undefined;
  /** Exclusive. */
  to?: Date | undefined;
  /** The last row of the page before. */
  below?: { at: Date; id: Types.ObjectId } | undefined;
  limit: number;
}

export interface AuditStore extends Audit {
  /** Rows that wait for their write, and rows that found no place. */
  readonly waiting: number;
  readonly lost: number;
  /** The newest rows that meet the query, newest first; what was recorded here before is among them. */
  list(query: AuditQuery): Promise<AuditRecord[]>;
  /** Writes what waits, once; what cannot be written then is counted as lost. */
  close(): Promise<void>;
}

const QUEUE_LIMIT = 10_000;
const BATCH = 500;
/** Rows of so long share a write. */
const GATHER_MS = 100;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
const LONGEST_TEXT = 300;
const DUPLICATE_KEY = 11_000;

export function createAuditModel(connection: Connection): Model<AuditRecord> {
  const schema = new Schema<AuditRecord>(
    {
      time: { type: Date, required: true },
      action: { type: String, required: true },
      ok: { type: Boolean, required: true },
      userId: Schema.Types.ObjectId,
      projectId: Schema.Types.ObjectId,
      target: String,
      ip: String,
      userAgent: String,
      detail: Schema.Types.Mixed,
    },
    { collection: 'audit', versionKey: false },
  );
  schema.index({ time: -1, _id: -1 }, { name: 'newest' });
  schema.index({ action: 1, time: -1, _id: -1 }, { name: 'action_newest' });
  for (const field of ['userId', 'projectId']) {
    schema.index(
      { [field]: 1, time: -1, _id: -1 },
      { name: `${field}_newest`, partialFilterExpression: { [field]: { $exists: true } } },
    );
  }
  return connection.model<AuditRecord>('Audit', schema);
}

export function createAudit(deps: AuditDeps): AuditStore {
  return new BackgroundAudit(deps);
}

class BackgroundAudit implements AuditStore {
  readonly #collection: mongo.Collection<AuditRecord>;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #queueLimit: number;
  #queue: AuditRecord[] = [];
  #lost = 0;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #writing: Promise<boolean> | undefined;
  /** Who waits for a flush, with the count of settled rows at which it is done. */
  #flushes: { at: number; resolve: () => void }[] = [];
  #recorded = 0;
  #settled = 0;

  constructor({ connection, log, now = Date.now, queueLimit = QUEUE_LIMIT }: AuditDeps) {
    this.#collection = createAuditModel(connection).collection as unknown as mongo.Collection<AuditRecord>;
    this.#log = log;
    this.#now = now;
    this.#queueLimit = queueLimit;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get lost(): number {
    return this.#lost;
  }

  record(entry: AuditEntry): void {
    if (this.#closed || this.#queue.length >= this.#queueLimit) {
      this.#lose(1, entry.action);
      return;
    }
    this.#queue.push(toRecord(entry, this.#now()));
    this.#recorded++;
    this.#schedule(GATHER_MS);
  }

  flush(): Promise<void> {
    if (this.#settled === this.#recorded) return Promise.resolve();
    this.#schedule(0);
    return new Promise((resolve) => this.#flushes.push({ at: this.#recorded, resolve }));
  }

  async list({ userId, projectId, action, from, to, below, limit }: AuditQuery): Promise<AuditRecord[]> {
    await this.flush();
    const time = { ...(from ? { $gte: from } : {}), ...(to ? { $lt: to } : {}) };
    return this.#collection
      .find({
        ...(userId === undefined ? {} : { userId: new Types.ObjectId(userId) }),
        ...(projectId === undefined ? {} : { projectId: new Types.ObjectId(projectId) }),
        ...(action === undefined ? {} : { action }),
        ...(from || to ? { time } : {}),
        ...(below ? { $or: [{ time: { $lt: below.at } }, { time: below.at, _id: { $lt: below.id } }] } : {}),
      })
      .sort({ time: -1, _id: -1 })
      .limit(limit)
      .toArray();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#writing;
    while (this.#queue.length > 0 && (await this.#write()));
    if (this.#queue.length > 0) this.#lose(this.#queue.length, 'close');
    this.#settle(this.#queue.splice(0).length);
  }

  /** Writes after a while, or at once if that is asked for. One write at a time. */
  #schedule(inMs: number): void {
    if (this.#closed || this.#writing || (this.#timer && inMs > 0)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#queue.length > 0) this.#schedule(this.#retryMs);
      });
    }, inMs).unref();
  }

  /** Whether the oldest rows have left the queue. Never rejects. */
  async #write(): Promise<boolean> {
    const batch = this.#queue.slice(0, BATCH);
    try {
      await this.#collection.insertMany(batch, { ordered: false });
    } catch (error) {
      const refused = refusals(error);
      if (!refused) {
        this.#log.warn('Audit rows could not be written yet', { error, waiting: this.#queue.length });
        this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
        return false;
      }
      // Rows of an earlier try whose answer was lost are there already.
      const bad = refused.filter(({ code }) => code !== DUPLICATE_KEY).length;
      if (bad > 0) this.#lose(bad, 'insert', error);
    }
    this.#retryMs = FIRST_RETRY_MS;
    this.#queue.splice(0, batch.length);
    this.#settle(batch.length);
    return true;
  }

  #settle(rows: number): void {
    this.#settled += rows;
    const done = this.#flushes.filter(({ at }) => at <= this.#settled);
    this.#flushes = this.#flushes.filter(({ at }) => at > this.#settled);
    for (const { resolve } of done) resolve();
  }

  #lose(rows: number, action: string, error?: unknown): void {
    this.#lost += rows;
    this.#log.error('Audit rows are lost', { action, count: rows, lost: this.#lost, error });
  }
}

/** The refused rows of a write whose others are stored; undefined when nothing is known about the write. */
function refusals(error: unknown): { code: number }[] | undefined {
  if (!(error instanceof Error) || !('writeErrors' in error)) return undefined;
  const { writeErrors } = error;
  const list = (Array.isArray(writeErrors) ? writeErrors : [writeErrors]) as { code: number }[];
  return list.length > 0 ? list : undefined;
}

function toRecord(entry: AuditEntry, timeMs: number): AuditRecord {
  const { action, ok, userId, projectId, target, origin, detail } = entry;
  return {
    _id: new Types.ObjectId(),
    time: new Date(timeMs),
    action,
    ok,
    ...(userId === undefined ? {} : { userId: new Types.ObjectId(userId) }),
    ...(projectId === undefined ? {} : { projectId: new Types.ObjectId(projectId) }),
    ...(target === undefined ? {} : { target: target.slice(0, LONGEST_TEXT) }),
    ...(origin === undefined ? {} : { ip: truncateIp(origin.ip), userAgent: origin.userAgent.slice(0, LONGEST_TEXT) }),
    ...(detail === undefined ? {} : { detail }),
  };
}
