/**
 * The rows of jobs. Who runs one has written its node's id and the next fence into it; every later write of that run
 * names both, so a run that was given up can change nothing any more.
 */
import { createHash } from 'node:crypto';
import { mongo, Schema, Types, type Connection } from 'mongoose';
import { Fault } from '../protocol/index.ts';
import type { Job, JobList, JobState } from './job.ts';

export interface JobRow {
  _id: Types.ObjectId;
  kind: string;
  state: JobState;
  data?: unknown;
  runAt: Date;
  /** Of a repeating job. */
  everyMs?: number;
  attempts: number;
  fence: number;
  progress?: unknown;
  lastError?: string;
  nodeId?: string;
  createdAt: Date;
  startedAt?: Date;
  endedAt?: Date;
  /** When an ended job is removed. */
  expiresAt?: Date;
}

/** A row that somebody runs. */
export type Claimed = JobRow & { nodeId: string };

/** What becomes of a run: fields to set and to remove. `refund` takes the run out of the count. */
export interface Release {
  set: Partial<JobRow> & { state: JobState };
  unset: readonly ('progress' | 'lastError')[];
  refund?: boolean;
}

const PAGE = 50;
const LONGEST_PAGE = 100;
const DUPLICATE_KEY = 11_000;

export class JobStore {
  readonly #rows: mongo.Collection<JobRow>;

  constructor(connection: Connection) {
    const schema = new Schema<JobRow>(
      {
        kind: { type: String, required: true },
        state: { type: String, required: true },
        data: Schema.Types.Mixed,
        runAt: { type: Date, required: true },
        everyMs: Number,
        attempts: { type: Number, required: true },
        fence: { type: Number, required: true },
        progress: Schema.Types.Mixed,
        lastError: String,
        nodeId: String,
        createdAt: { type: Date, required: true },
        startedAt: Date,
        endedAt: Date,
        expiresAt: Date,
      },
      { collection: 'jobs', versionKey: false },
    );
    // Finds the next jobs of a kind without a look at those of others, and lists them.
    schema.index({ state: 1, kind: 1, runAt: 1, _id: 1 }, { name: 'state_kind_run' });
    schema.index({ expiresAt: 1 }, { name: 'expiry', expireAfterSeconds: 0 });
    this.#rows = connection.model<JobRow>('Job', schema).collection as unknown as mongo.Collection<JobRow>;
  }

  /** The insert is the guard: of several with one id, one adds the row. */
  async insert(row: JobRow): Promise<boolean> {
    try {
      await this.#rows.insertOne(row);
      return true;
    } catch (error) {
      if (error instanceof mongo.MongoServerError && error.code === DUPLICATE_KEY) return false;
      throw error;
    }
  }

  /** Gives a repeating job its row, or its row the interval of today. */
  async repeat(row: JobRow & { everyMs: number }): Promise<void> {
    if (await this.insert(row)) return;
    const { _id, everyMs, runAt } = row;
    await this.#rows.updateOne({ _id }, { $set: { everyMs } });
    // A shorter interval begins at once.
    await this.#rows.updateOne({ _id, state: 'queued', attempts: 0 }, { $min: { runAt } });
  }

  /** The next ones of a kind, whether it is their time or not. */
  queued(kind: string, limit: number): Promise<JobRow[]> {
    return this.#rows.find({ state: 'queued', kind }).sort({ runAt: 1, _id: 1 }).limit(limit).toArray();
  }

  /** What runs now, anywhere. Bounded by what all nodes together run at once. */
  running(): Promise<Claimed[]> {
    return this.#rows.find({ state: 'running' }).toArray() as Promise<Claimed[]>;
  }

  /** The row as this run owns it; undefined when somebody else was faster. */
  async claim(row: JobRow, nodeId: string, startedAt: Date): Promise<Claimed | undefined> {
    const fence = row.fence + 1;
    const attempts = row.attempts + 1;
    const { matchedCount } = await this.#rows.updateOne(
      { _id: row._id, state: 'queued', fence: row.fence },
      { $set: { state: 'running', nodeId, fence, attempts, startedAt }, $unset: { endedAt: 1 } },
    );
    return matchedCount === 1 ? { ...row, state: 'running', nodeId, fence, attempts, startedAt } : undefined;
  }

  /** False when the run does not own its row any more. */
  async progress(claimed: Claimed, progress: unknown): Promise<boolean> {
    const { matchedCount } = await this.#rows.updateOne(ownedBy(claimed), { $set: { progress } });
    return matchedCount === 1;
  }

  async release(claimed: Claimed, { set, unset, refund }: Release): Promise<boolean> {
    const { matchedCount } = await this.#rows.updateOne(ownedBy(claimed), {
      $set: set,
      $unset: Object.fromEntries(['nodeId', ...unset].map((name) => [name, 1])),
      ...(refund ? { $inc: { attempts: -1 } } : {}),
    });
    return matchedCount === 1;
  }

  async get(jobId: string): Promise<Job | undefined> {
    const row = await this.#rows.findOne({ _id: new Types.ObjectId(jobId) });
    return row ? toJob(row) : undefined;
  }

  async list({ state, kind, limit = PAGE, cursor }: JobList): Promise<{ items: Job[]; next: string | null }> {
    const count = Math.min(limit, LONGEST_PAGE);
    const rows = await this.#rows
      .find({
        state,
        ...(kind === undefined ? {} : { kind }),
        ...(cursor === undefined ? {} : { $or: after(parseCursor(cursor)) }),
      })
      .sort({ kind: 1, runAt: 1, _id: 1 })
      .limit(count + 1)
      .toArray();
    const page = rows.slice(0, count);
    const last = page.at(-1);
    return { items: page.map(toJob), next: rows.length > count && last ? toCursor(last) : null };
  }
}

/** The same kind and key give the same id. */
export const jobIdOf = (kind: string, key: string): Types.ObjectId =>
  new Types.ObjectId(
    createHash('sha256')
      .update(JSON.stringify(['job', kind, key]))
      .digest()
      .subarray(0, 12),
  );

const ownedBy = ({ _id, nodeId, fence }: Claimed) => ({ _id, state: 'running' as const, nodeId, fence });

function toJob(row: JobRow): Job {
  const { _id, kind, state, data, runAt, attempts, progress, lastError, nodeId, createdAt, startedAt, endedAt } = row;
  return {
    id: _id.toHexString(),
    kind,
    state,
    data,
    runAt,
    attempts,
    createdAt,
    ...(progress === undefined ? {} : { progress }),
    ...(lastError === undefined ? {} : { lastError }),
    ...(nodeId === undefined ? {} : { nodeId }),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
  };
}

interface Place {
  kind: string;
  runAt: Date;
  _id: Types.ObjectId;
}

const after = ({ kind, runAt, _id }: Place) => [
  { kind: { $gt: kind } },
  { kind, runAt: { $gt: runAt } },
  { kind, runAt, _id: { $gt: _id } },
];

const toCursor = ({ kind, runAt, _id }: Place): string => `${runAt.getTime()}.${_id.toHexString()}.${kind}`;

function parseCursor(cursor: string): Place {
  const [, runAt, id, kind] = /^(\d{1,15})\.([0-9a-f]{24})\.(.*)$/s.exec(cursor) ?? [];
  if (runAt === undefined || id === undefined || kind === undefined) throw new Fault('invalid', 'Not a cursor');
  return { kind, runAt: new Date(Number(runAt)), _id: new Types.ObjectId(id) };
}
