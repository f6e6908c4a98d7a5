/** What the server itself says of people: who administers it, and who is banned. Read from the database every time. */
import { Types, type Model } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { BanRecord, UserRecord } from './model.ts';

export interface NewBan {
  reason: string;
  by: string;
  until?: Date | undefined;
}

export class Standing {
  readonly #model: Model<UserRecord>;
  readonly #now: () => number;

  constructor(model: Model<UserRecord>, now: () => number) {
    this.#model = model;
    this.#now = now;
  }

  async isAdmin(userId: string): Promise<boolean> {
    return (await this.#model.collection.countDocuments({ _id: idOf(userId), admin: true }, { limit: 1 })) > 0;
  }

  /** Gives or takes the role; false when nothing was to change. Rejects with `not_found`, or `conflict` for who is banned. */
  async setAdmin(userId: string, admin: boolean): Promise<boolean> {
    const { collection } = this.#model;
    const updatedAt = new Date(this.#now());
    const { modifiedCount } = admin
      ? await collection.updateOne(
          { _id: idOf(userId), admin: { $exists: false }, ...this.#notBanned() },
          { $set: { admin: true, updatedAt } },
        )
      : await collection.updateOne({ _id: idOf(userId), admin: true }, { $set: { updatedAt }, $unset: { admin: '' } });
    if (modifiedCount === 1) return true;
    const user = await this.#user(userId);
    if (admin && !user.admin) throw new Fault('conflict', 'Who is banned cannot administer the server');
    return false;
  }

  /** Gives the role to the account with this address; its id if that changed anything. */
  async grantByEmail(email: string): Promise<string | undefined> {
    const user = await this.#model.collection.findOneAndUpdate(
      { email, admin: { $exists: false } },
      { $set: { admin: true, updatedAt: new Date(this.#now()) } },
      { projection: { _id: 1 } },
    );
    return user ? String(user._id) : undefined;
  }

  /** Replaces a ban that stands. Rejects with `not_found`, or `conflict` for an administrator. */
  async ban(userId: string, { reason, by, until }: NewBan): Promise<void> {
    const at = new Date(this.#now());
    const ban: BanRecord = { reason, by: idOf(by), at, ...(until ? { until } : {}) };
    const { matchedCount } = await this.#model.collection.updateOne(
      { _id: idOf(userId), admin: { $exists: false } },
      { $set: { ban, updatedAt: at } },
    );
    if (matchedCount === 1) return;
    await this.#user(userId);
    throw new Fault('conflict', "Take the administrator's role away first");
  }

  /** False when there was none. Rejects with `not_found`. */
  async unban(userId: string): Promise<boolean> {
    const { matchedCount } = await this.#model.collection.updateOne(
      { _id: idOf(userId), 'ban.at': { $exists: true } },
      { $set: { updatedAt: new Date(this.#now()) }, $unset: { ban: '' } },
    );
    if (matchedCount === 0) await this.#user(userId);
    return matchedCount === 1;
  }

  /** Rejects with `forbidden`, the reason and the end of the ban. */
  async assertNotBanned(userId: string): Promise<void> {
    const user = await this.#model.collection.findOne<Pick<UserRecord, 'ban'>>(
      { _id: idOf(userId) },
      { projection: { ban: 1 } },
    );
    const ban = banInForce(user?.ban, this.#now());
    if (!ban) return;
    const { reason, until } = ban;
    throw new Fault('forbidden', `This account is banned: ${reason}`, {
      detail: { reason, ...(until ? { until: until.toISOString() } : {}) },
    });
  }

  #notBanned(): object {
    return { $or: [{ 'ban.at': { $exists: false } }, { 'ban.until': { $lte: new Date(this.#now()) } }] };
  }

  async #user(userId: string): Promise<Pick<UserRecord, 'admin'>> {
    const user = await this.#model.collection.findOne<Pick<UserRecord, 'admin'>>(
      { _id: idOf(userId) },
      { projection: { admin: 1 } },
    );
    if (!user) throw new Fault('not_found', 'There is no such user');
    return user;
  }
}

/** A ban that has not ended by itself. */
export const banInForce = (ban: BanRecord | undefined, nowMs: number): BanRecord | undefined =>
  ban && (ban.until === undefined || ban.until.getTime() > nowMs) ? ban : undefined;

const idOf = (id: string): Types.ObjectId => new Types.ObjectId(id);
