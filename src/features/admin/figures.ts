/** Figures of days: those of a day that is over are added up once and kept, those of today are counted when asked. */
import { DAY_MS } from '../../protocol/index.ts';
import type { ModelUsage } from '../ai/index.ts';
import type { Users } from '../users/index.ts';
import { dayOf, daysAfter, daysBetween, startOf } from './days.ts';
import type { AdminModels, DayRecord } from './model.ts';
import type { DayFigures } from './shapes.ts';

/** In US dollars per million tokens. */
export interface Price {
  input: number;
  output: number;
  cacheRead: number;
  cacheWrite: number;
}

export interface FiguresDeps {
  models: Pick<AdminModels, 'days' | 'actives'>;
  directory: Users['directory'];
  aiUsage: (from: Date, to: Date) => Promise<ModelUsage[]>;
  prices: ReadonlyMap<string, Price>;
  now: () => number;
}

/** What nodes have counted of a day is written by then. */
const SETTLED_MS = 10 * 60_000;
/** Closed days that had no messages have no row to be found by; so many days back they are looked at anyway. */
const LOOK_BACK_DAYS = 3;

export class Figures {
  readonly #deps: FiguresDeps;

  constructor(deps: FiguresDeps) {
    this.#deps = deps;
  }

  /** Of each day, both ends included. */
  async of(from: string, to: string): Promise<DayFigures[]> {
    const { days } = this.#deps.models;
    const rows = await days.collection.find<DayRecord>({ _id: { $gte: from, $lte: to } as never }).toArray();
    const byDay = new Map(rows.map((row) => [row._id, row]));
    const today = dayOf(this.#deps.now());
    const figures: DayFigures[] = [];
    for (const date of daysBetween(from, to)) {
      const row = byDay.get(date);
      const isOpen = date === today || (row !== undefined && !row.closed);
      const { activeUsers, newUsers, ai } = row?.closed ?? (isOpen ? await this.#count(date) : NOTHING);
      figures.push({
        date,
        activeUsers,
        newUsers,
        messages: row?.messages ?? 0,
        ai: ai.map((used) => this.#priced(used)),
      });
    }
    return figures;
  }

  /** Adds up the days that are over. Repeatable. */
  async closeDays(signal: AbortSignal): Promise<void> {
    const { days } = this.#deps.models;
    const settled = dayOf(this.#deps.now() - SETTLED_MS);
    const open = await days.collection
      .find<DayRecord>({ _id: { $lt: settled } as never, closed: { $exists: false } })
      .toArray();
    const recent = daysBetween(daysAfter(settled, -LOOK_BACK_DAYS), daysAfter(settled, -1));
    const known = await days.collection.find<DayRecord>({ _id: { $in: recent } as never }).toArray();
    const missing = recent.filter((day) => !known.some(({ _id }) => _id === day));
    for (const day of [...open.map(({ _id }) => _id), ...missing]) {
      signal.throwIfAborted();
      const closed = await this.#count(day);
      await days.collection.updateOne(
        { _id: day as never },
        { $set: { closed }, $inc: { messages: 0 } },
        { upsert: true },
      );
    }
  }

  async #count(day: string): Promise<NonNullable<DayRecord['closed']>> {
    const from = startOf(day);
    const to = new Date(from.getTime() + DAY_MS);
    const [activeUsers, newUsers, ai] = await Promise.all([
      this.#deps.models.actives.collection.countDocuments({ day }),
      this.#deps.directory.countNew(from, to),
      this.#deps.aiUsage(from, to),
    ]);
    return { activeUsers, newUsers, ai };
  }

  #priced(used: ModelUsage): DayFigures['ai'][number] {
    const price = this.#deps.prices.get(used.model);
    if (!price) return { ...used, costUsd: null };
    const perMillion =
      used.inputTokens * price.input +
      used.outputTokens * price.output +
      used.cacheReadTokens * price.cacheRead +
      used.cacheWriteTokens * price.cacheWrite;
    return { ...used, costUsd: perMillion / 1_000_000 };
  }
}

const NOTHING: NonNullable<DayRecord['closed']> = { activeUsers: 0, newUsers: 0, ai: [] };
