/**
 * Guards against somebody who makes us send codes to numbers that earn by them. A prefix (country code and three
 * digits) at which under 30 % of at least 50 codes of the last hour have been verified gets none, until enough of them
 * have been or lie back longer; and all phones together get no more than a cap in each hour.
 */
import { mongo } from 'mongoose';
import { Fault, HOUR_MS } from '../../protocol/index.ts';
import type { AuthModels, TallyRecord } from './model.ts';

const SLOT_MS = 5 * 60_000;
const SLOTS = HOUR_MS / SLOT_MS;
const ENOUGH_SENDS = 50;
const LEAST_VERIFIED = 0.3;

export interface Tallies {
  /** Rejects with `unavailable` when the prefix gets no codes at present. */
  requireHonest(prefix: string): Promise<void>;
  /** Takes one send from the hour's cap or rejects with `unavailable`. */
  takeFromCap(): Promise<void>;
  /** Where a send of now is counted. */
  idOf(prefix: string): string;
  countSent(tallyId: string): Promise<void>;
  countVerified(tallyId: string): Promise<void>;
}

/** `hourlyCap`: sends of all phones in one hour; undefined for none. */
export function createTallies(
  { tallies }: Pick<AuthModels, 'tallies'>,
  hourlyCap: number | undefined,
  now: () => number,
): Tallies {
  const { collection } = tallies;
  const byId = (id: string): { _id: never } => ({ _id: id as never });
  const slotOf = (prefix: string, slot: number): string => `${prefix}/${slot}`;
  const currentSlot = (): number => Math.floor(now() / SLOT_MS);

  const count = async (id: string, counted: { sent: number; verified: number }): Promise<void> => {
    await collection.updateOne(
      byId(id),
      { $inc: counted, $setOnInsert: { purgeAt: new Date(now() + 2 * HOUR_MS) } },
      { upsert: true },
    );
  };

  return {
    async requireHonest(prefix) {
      const newest = currentSlot();
      const ids = Array.from({ length: SLOTS }, (_, i) => slotOf(prefix, newest - i));
      const records = await collection.find<TallyRecord>({ _id: { $in: ids as never[] } }).toArray();
      const sent = records.reduce((sum, record) => sum + record.sent, 0);
      const verified = records.reduce((sum, record) => sum + record.verified, 0);
      if (sent >= ENOUGH_SENDS && verified < sent * LEAST_VERIFIED) {
        throw new Fault('unavailable', 'Codes are not sent to this range of numbers at present', {
          retryAfterMs: SLOT_MS,
        });
      }
    },

    async takeFromCap() {
      if (hourlyCap === undefined) return;
      const hour = Math.floor(now() / HOUR_MS);
      const full = (): Fault =>
        new Fault('unavailable', 'No more codes are sent in this hour', { retryAfterMs: (hour + 1) * HOUR_MS - now() });
      if (hourlyCap < 1) throw full();
      const id = `hour/${hour}`;
      for (;;) {
        try {
          // When the hour is used up the filter fails, and so does the insert.
          await collection.updateOne(
            { ...byId(id), sent: { $lt: hourlyCap } },
            { $inc: { sent: 1 }, $setOnInsert: { verified: 0, purgeAt: new Date(now() + 2 * HOUR_MS) } },
            { upsert: true },
          );
          return;
        } catch (error) {
          if (!(error instanceof mongo.MongoServerError) || error.code !== 11_000) throw error;
          const record = await collection.findOne<TallyRecord>(byId(id));
          if (record && record.sent >= hourlyCap) throw full();
        }
      }
    },

    idOf: (prefix) => slotOf(prefix, currentSlot()),
    countSent: (tallyId) => count(tallyId, { sent: 1, verified: 0 }),
    countVerified: (tallyId) => count(tallyId, { sent: 0, verified: 1 }),
  };
}
