/** The records of phones. A change is made from a version and written only onto that version. */
import { setTimeout as sleep } from 'node:timers/promises';
import { mongo } from 'mongoose';
import { Fault, KeyedQueue } from '../../protocol/index.ts';
import type { AuthModels, PhoneRecord } from './model.ts';
import { NEW_PHONE, RECORD_LIFE_MS, type PhoneState } from './otp-ledger.ts';

/** Changes of one phone wait for each other in a node, so only other nodes can get in between. */
const MOST_RETRIES = 20;
/** Whoever was slower waits up to this, at random, lest two nodes keep step and one always loses. */
const LONGEST_PAUSE_MS = 20;

export interface Phones {
  /** Applies a step of the ledger, again if somebody was faster. What the step throws leaves the record as it was. */
  change<T extends { state: PhoneState }>(phoneNumber: string, step: (state: PhoneState) => T): Promise<T>;
}

export function createPhones({ phones }: Pick<AuthModels, 'phones'>, now: () => number): Phones {
  const { collection } = phones;
  const queue = new KeyedQueue();

  /** Whether the version was still the newest. */
  async function write(phoneNumber: string, version: number, state: PhoneState): Promise<boolean> {
    const _id = phoneNumber as never;
    const fields = { ...state, version: version + 1, purgeAt: new Date(now() + RECORD_LIFE_MS) };
    if (version > 0) return (await collection.updateOne({ _id, version }, { $set: fields })).modifiedCount === 1;
    try {
      await collection.insertOne({ _id, ...fields });
      return true;
    } catch (error) {
      if (error instanceof mongo.MongoServerError && error.code === 11_000) return false;
      throw error;
    }
  }

  return {
    change: (phoneNumber, step) =>
      queue.run(phoneNumber, async () => {
        for (let i = 0; i < MOST_RETRIES; i++) {
          const record = await collection.findOne<PhoneRecord>({ _id: phoneNumber as never });
          const result = step(record ?? NEW_PHONE);
          if (await write(phoneNumber, record?.version ?? 0, result.state)) return result;
          await sleep(Math.random() * LONGEST_PAUSE_MS);
        }
        throw new Fault('unavailable', 'Too much is going on with this phone', { retryAfterMs: 1_000 });
      }),
  };
}
