/**
 * Five failures to sign in to an account lock it for five minutes, each further lock for twice as long up to an hour.
 * A try is counted as a failure before the password is looked at, so that many at once are not more than five.
 *
 * Strangers share one count for an account; a device that has signed in to it before has its own, so that strangers
 * cannot lock the owner out. A device is known by the account, its network (truncated address) and its user agent: all
 * of it can be imitated by somebody in the same network, who gains no more than another five tries by it. An account
 * that does not exist is counted like any other.
 */
import { mongo } from 'mongoose';
import { truncateIp } from '../../observability/truncate-ip.ts';
import { DAY_MS, Fault, type Origin } from '../../protocol/index.ts';
import type { AuthModels, LockoutRecord } from './model.ts';
import { deriveKey, keyedHash } from './secrets.ts';

const FAILURES = 5;
const FIRST_LOCK_MS = 5 * 60_000;
const LONGEST_LOCK_MS = 60 * 60_000;
/** Failures and locks are forgotten a day after the last one. */
const REMEMBERED_MS = DAY_MS;
const DEVICE_REMEMBERED_MS = 90 * DAY_MS;

export interface Attempt {
  /** The password fitted: the count begins anew, and the device is known from now on. */
  succeeded(): Promise<void>;
  /** Nothing was learnt of the password: the try does not count. */
  withdraw(): Promise<void>;
}

export interface Lockout {
  /** Counts a try. `subject` is a user's id, or what was given for one. Rejects with `rate_limited` while locked. */
  begin(subject: string, origin: Origin): Promise<Attempt>;
  /** The device has signed in to the account by other means. */
  know(userId: string, origin: Origin): Promise<void>;
}

export function createLockout(
  models: Pick<AuthModels, 'lockouts' | 'devices'>,
  pepper: string,
  now: () => number,
): Lockout {
  const lockouts = models.lockouts.collection;
  const devices = models.devices.collection;
  const deviceKey = deriveKey(pepper, 'device');
  const lockoutKey = deriveKey(pepper, 'lockout');
  const byId = (id: string): { _id: never } => ({ _id: id as never });
  const deviceOf = (subject: string, { ip, userAgent }: Origin): string =>
    keyedHash(deviceKey, subject, truncateIp(ip), userAgent);

  /** Counts a failure and returns the record, or how long the lock lasts. */
  async function count(id: string): Promise<LockoutRecord | { lockedMs: number }> {
    for (;;) {
      const at = now();
      try {
        // While it is locked the filter fails, and so does the insert.
        const record = await lockouts.findOneAndUpdate(
          { ...byId(id), lockedUntil: { $lte: new Date(at) } },
          {
            $inc: { failures: 1 },
            $set: { purgeAt: new Date(at + REMEMBERED_MS) },
            $setOnInsert: { level: 0, lockedUntil: new Date(0) },
          },
          { upsert: true, returnDocument: 'after' },
        );
        return record as unknown as LockoutRecord;
      } catch (error) {
        if (!(error instanceof mongo.MongoServerError) || error.code !== 11_000) throw error;
        const record = await lockouts.findOne<LockoutRecord>(byId(id));
        // Otherwise another first try was faster, or the lock has ended just now.
        if (record && record.lockedUntil.getTime() > at) return { lockedMs: record.lockedUntil.getTime() - at };
      }
    }
  }

  /** Of those who count to five and beyond at the same time, one locks. */
  async function lock({ _id, level }: LockoutRecord): Promise<Date> {
    const at = now();
    const lockedUntil = new Date(at + Math.min(FIRST_LOCK_MS * 2 ** level, LONGEST_LOCK_MS));
    await lockouts.updateOne(
      { ...byId(_id), failures: { $gte: FAILURES }, lockedUntil: { $lte: new Date(at) } },
      {
        $set: { failures: 0, lockedUntil, purgeAt: new Date(lockedUntil.getTime() + REMEMBERED_MS) },
        $inc: { level: 1 },
      },
    );
    return lockedUntil;
  }

  async function know(subject: string, origin: Origin): Promise<void> {
    await devices.updateOne(
      byId(deviceOf(subject, origin)),
      { $set: { purgeAt: new Date(now() + DEVICE_REMEMBERED_MS) } },
      { upsert: true },
    );
  }

  return {
    know,

    async begin(subject, origin) {
      const device = deviceOf(subject, origin);
      const isKnown = (await devices.countDocuments(byId(device), { limit: 1 })) > 0;
      const id = keyedHash(lockoutKey, subject, isKnown ? device : 'strangers');
      const counted = await count(id);
      if ('lockedMs' in counted) throw locked(counted.lockedMs);
      const lockedUntil = counted.failures >= FAILURES ? await lock(counted) : undefined;
      if (lockedUntil && counted.failures > FAILURES) throw locked(lockedUntil.getTime() - now());

      return {
        async succeeded() {
          await lockouts.deleteOne(byId(id));
          await know(subject, origin);
        },
        async withdraw() {
          await (lockedUntil
            ? lockouts.updateOne(
                { ...byId(id), lockedUntil },
                { $set: { failures: FAILURES - 1, lockedUntil: new Date(0) }, $inc: { level: -1 } },
              )
            : lockouts.updateOne({ ...byId(id), failures: { $gt: 0 } }, { $inc: { failures: -1 } }));
        },
      };
    },
  };
}

const locked = (retryAfterMs: number): Fault =>
  new Fault('rate_limited', 'Too many failed sign-ins; wait', { retryAfterMs: Math.max(1, retryAfterMs) });
