/** The devices of people and their wishes. A device belongs to one user, and goes with the session that subscribed it. */
import { Types, type Model } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { derivedId } from '../chat/index.ts';
import type { PushSettings } from './contract.ts';
import type { PushModels, SettingsRecord, SubscriptionRecord } from './model.ts';
import type { PushTarget } from './push-sender.ts';

export interface SubscriptionsDeps {
  models: PushModels;
  publicKey: string;
  /** Which of the sessions have not ended. */
  liveSessions: (sessionIds: readonly string[]) => Promise<Set<string>>;
  now: () => number;
}

export class Subscriptions {
  readonly #deps: SubscriptionsDeps;
  readonly #rows: Model<SubscriptionRecord>['collection'];
  readonly #wishes: Model<SettingsRecord>['collection'];

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps;
    this.#rows = deps.models.subscriptions.collection;
    this.#wishes = deps.models.settings.collection;
  }

  async add(
    { userId, sessionId }: { userId: string; sessionId: string },
    { endpoint, p256dh, auth }: PushTarget,
    deviceName: string | undefined,
  ): Promise<void> {
    const _id = idOf(endpoint);
    const owner = new Types.ObjectId(userId);
    const before = await this.#rows.findOne<SubscriptionRecord>({ _id });
    // Somebody else on the same browser has the same keys; who has only heard of the address has not.
    if (before && !before.userId.equals(owner) && (before.p256dh !== p256dh || before.auth !== auth)) {
      throw new Fault('conflict', 'This device is subscribed with other keys');
    }
    const createdAt = new Date(this.#deps.now());
    const { publicKey } = this.#deps;
    const row = {
      userId: owner,
      sessionId: new Types.ObjectId(sessionId),
      endpoint,
      p256dh,
      auth,
      publicKey,
      createdAt,
    };
    await this.#rows.replaceOne(
      { _id },
      { ...row, ...(deviceName === undefined ? {} : { deviceName }) },
      { upsert: true },
    );
    const beyond = await this.#rows
      .find<SubscriptionRecord>({ userId: owner })
      .sort({ createdAt: -1, _id: -1 })
      .skip(LIMITS.pushSubscriptionsPerUser)
      .toArray();
    await this.#remove(beyond);
  }

  async removeEndpoint(userId: string, endpoint: string): Promise<void> {
    await this.#rows.deleteOne({ _id: idOf(endpoint), userId: new Types.ObjectId(userId) });
  }

  async remove(row: SubscriptionRecord): Promise<void> {
    await this.#remove([row]);
  }

  /** The account is gone. */
  async forgetUser(userId: string): Promise<void> {
    await this.#rows.deleteMany({ userId: new Types.ObjectId(userId) });
    await this.#wishes.deleteOne({ _id: new Types.ObjectId(userId) });
  }

  async any(): Promise<boolean> {
    return (await this.#rows.findOne({}, { projection: { _id: 1 } })) !== null;
  }

  /** Devices of these users that can be sent to. Those that cannot any more are removed. */
  async ofUsers(userIds: readonly string[]): Promise<SubscriptionRecord[]> {
    if (userIds.length === 0) return [];
    return this.#usable(
      await this.#rows
        .find<SubscriptionRecord>({ userId: { $in: userIds.map((id) => new Types.ObjectId(id)) } })
        .toArray(),
    );
  }

  async settings(userId: string): Promise<PushSettings> {
    const row = await this.#wishes.findOne<SettingsRecord>({ _id: new Types.ObjectId(userId) });
    return { enabled: row?.enabled ?? true, quietHours: row?.quietHours ?? null };
  }

  async set(userId: string, wishes: Partial<PushSettings>): Promise<void> {
    if (Object.keys(wishes).length === 0) return;
    await this.#wishes.updateOne({ _id: new Types.ObjectId(userId) }, { $set: wishes }, { upsert: true });
  }

  /** Of those who have wishes. */
  async settingsOf(userIds: readonly string[]): Promise<Map<string, SettingsRecord>> {
    const rows = await this.#wishes
      .find<SettingsRecord>({ _id: { $in: userIds.map((id) => new Types.ObjectId(id)) } })
      .toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row]));
  }

  async #usable(rows: readonly SubscriptionRecord[]): Promise<SubscriptionRecord[]> {
    if (rows.length === 0) return [];
    const { publicKey, liveSessions } = this.#deps;
    const live = await liveSessions(rows.map(({ sessionId }) => sessionId.toHexString()));
    const isUsable = (row: SubscriptionRecord): boolean =>
      row.publicKey === publicKey && live.has(row.sessionId.toHexString());
    await this.#remove(rows.filter((row) => !isUsable(row)));
    return rows.filter(isUsable);
  }

  /** Unless the device has been subscribed anew meanwhile. */
  async #remove(rows: readonly SubscriptionRecord[]): Promise<void> {
    for (const { _id, createdAt } of rows) await this.#rows.deleteOne({ _id, createdAt });
  }
}

const idOf = (endpoint: string): Types.ObjectId => derivedId('push', endpoint);
