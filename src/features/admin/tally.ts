/**
 * Counts messages and who was there, in memory first: counting costs a message nothing. What was counted is added to
 * the day's rows every few seconds; a crash loses the last of it.
 */
import { mongo } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { DAY_MS } from '../../protocol/index.ts';
import { dayOf, startOf } from './days.ts';
import type { AdminModels } from './model.ts';

const FLUSH_MS = 5_000;
/** People that are known to be counted today; more are written again, which changes nothing. */
const REMEMBERED = 200_000;
/** Longer than any stop of all servers after which a day is still closed. */
const KEEP_ACTIVE_MS = 40 * DAY_MS;
const BATCH = 1_000;

export interface TallyDeps {
  models: Pick<AdminModels, 'days' | 'actives'>;
  log: Log;
  now: () => number;
}

export class Tally {
  readonly #deps: TallyDeps;
  /** Not written yet, by day. */
  #messages = new Map<string, number>();
  #actives = new Set<string>();
  /** Written or about to be, of the newest day. */
  readonly #known = new Set<string>();
  #knownDay = '';
  /** The day that is now, and when it began: every operation asks. */
  #today = '';
  #todayFromMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(deps: TallyDeps) {
    this.#deps = deps;
  }

  message(): void {
    const day = this.#day();
    this.#messages.set(day, (this.#messages.get(day) ?? 0) + 1);
    this.#schedule();
  }

  /** Somebody is there. */
  active(userId: string): void {
    const day = this.#day();
    if (day !== this.#knownDay || this.#known.size >= REMEMBERED) this.#known.clear();
    this.#knownDay = day;
    if (this.#known.has(userId)) return;
    this.#known.add(userId);
    this.#actives.add(`${day}:${userId}`);
    this.#schedule();
  }

  /** Writes what was counted up to now. Rejects when the database does not take it; then it is kept. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const work = this.#writing.catch(() => {}).then(() => this.#write());
    this.#writing = work;
    return work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush().catch((error: unknown) => this.#failed(error));
  }

  #day(): string {
    const sinceMs = this.#deps.now() - this.#todayFromMs;
    if (sinceMs < 0 || sinceMs >= DAY_MS) {
      this.#today = dayOf(this.#deps.now());
      this.#todayFromMs = startOf(this.#today).getTime();
    }
    return this.#today;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.flush().catch((error: unknown) => {
        this.#failed(error);
        this.#schedule();
      });
    }, FLUSH_MS).unref();
  }

  #failed(error: unknown): void {
    this.#deps.log.warn('Figures of the day could not be written yet', { error });
  }

  async #write(): Promise<void> {
    const { days, actives } = this.#deps.models;
    const found = this.#actives;
    const messages = this.#messages;
    this.#actives = new Set();
    this.#messages = new Map();
    // A day on which somebody was there has a row.
    for (const key of found) {
      const day = key.slice(0, 'yyyy-mm-dd'.length);
      if (!messages.has(day)) messages.set(day, 0);
    }
    try {
      const keys = [...found];
      for (let at = 0; at < keys.length; at += BATCH) await this.#insert(actives, keys.slice(at, at + BATCH));
      found.clear();
      for (const [day, count] of messages) {
        await days.collection.updateOne({ _id: day as never }, { $inc: { messages: count } }, { upsert: true });
        messages.delete(day);
      }
    } catch (error) {
      for (const key of found) this.#actives.add(key);
      for (const [day, count] of messages) this.#messages.set(day, (this.#messages.get(day) ?? 0) + count);
      throw error;
    }
  }

  /** Who is there already stays. */
  async #insert(actives: TallyDeps['models']['actives'], keys: readonly string[]): Promise<void> {
    const purgeAt = new Date(this.#deps.now() + KEEP_ACTIVE_MS);
    const rows = keys.map((key) => ({ _id: key, day: key.slice(0, 'yyyy-mm-dd'.length), purgeAt }));
    try {
      await actives.collection.insertMany(rows as never[], { ordered: false });
    } catch (error) {
      if (!(error instanceof mongo.MongoBulkWriteError) || error.code !== 11_000) throw error;
    }
  }
}
