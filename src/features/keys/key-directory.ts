/** The devices of all users and their keys. A one-time key is given away once, whoever asks and on however many nodes. */
import { mongo, Types } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { Device, KeyBundle, OneTimeKey, SignedPreKey } from './contract.ts';
import { CLAIM_INDEX, toOneTimeKey, type DeviceRecord, type KeyModels, type OneTimeKeyRecord } from './model.ts';

type ObjectId = Types.ObjectId;

export interface Publication {
  deviceId: string;
  identityKey: string;
  signedPreKey: SignedPreKey;
  oneTimeKeys: readonly OneTimeKey[];
  replaceIdentity: boolean;
}

export interface Claim {
  userId: string;
  /** All of the user's if not given. */
  deviceIds?: readonly string[] | undefined;
  /** The same again is a repetition. */
  claimId: ObjectId;
  /** Whether the outcome is kept, for a repetition to be given the same. */
  kept: boolean;
  /** Before keys are given away: may reject. */
  admit: (devices: number) => Promise<void>;
}

/** A device that a claim took a key from, or found without. */
export interface Remaining {
  deviceId: string;
  remaining: number;
}

/** How long a claim may be repeated, and a published key be published again, without harm. */
const REMEMBERED_MS = 30 * 24 * 3_600_000;
/** Tries against others who change the same device at the same time. */
const TRIES = 5;

export class KeyDirectory {
  readonly #models: KeyModels;
  readonly #now: () => number;

  constructor(models: KeyModels, now: () => number) {
    this.#models = models;
    this.#now = now;
  }

  /** Resolves with the number of keys left to claim. `replaced`: the device had another identity before. */
  async publish(userId: string, input: Publication): Promise<{ remaining: number; replaced: boolean }> {
    const { device, before } = await this.#saveDevice(userId, input);
    await this.#addKeys(device, input.oneTimeKeys);
    const replaced = before !== undefined && before.identityKey !== device.identityKey;
    if (replaced || !before) await this.#deleteEarlierKeys(device);
    return { remaining: await this.#count(device), replaced };
  }

  /** A device and its keys; false when there was none. */
  async remove(userId: string, deviceId: string): Promise<boolean> {
    const owner = new Types.ObjectId(userId);
    const { deletedCount } = await this.#models.devices.collection.deleteOne({ userId: owner, deviceId });
    await this.#models.oneTimeKeys.collection.deleteMany({ userId: owner, deviceId });
    return deletedCount > 0;
  }

  /** The oldest first. `counted`: with the number of one-time keys. */
  async list(userId: string, counted: boolean): Promise<Device[]> {
    const devices = await this.#devicesOf(userId);
    return Promise.all(
      devices.map(async (device) => ({
        ...bundleOf(device),
        updatedAt: device.updatedAt.toISOString(),
        ...(counted ? { oneTimeKeys: await this.#count(device) } : {}),
      })),
    );
  }

  /** `taken` is empty for a repetition. */
  async claim(claim: Claim): Promise<{ items: KeyBundle[]; taken: Remaining[] }> {
    const { claimId, userId, deviceIds, kept } = claim;
    const { collection } = this.#models.claims;
    const earlier = kept ? await collection.findOne({ _id: claimId }) : undefined;
    if (earlier) return { items: earlier.items as KeyBundle[], taken: [] };

    const all = await this.#devicesOf(userId);
    const devices = deviceIds ? all.filter(({ deviceId }) => deviceIds.includes(deviceId)) : all;
    if (devices.length > 0) await claim.admit(devices.length);
    const claimed = await Promise.all(
      devices.map(async (device) => ({ device, oneTimeKey: await this.#takeKey(device, claimId) })),
    );
    const items: KeyBundle[] = claimed.map(({ device, oneTimeKey }) => ({
      ...bundleOf(device),
      ...(oneTimeKey ? { oneTimeKey } : {}),
    }));
    const taken = await Promise.all(
      devices.map(async (device) => ({ deviceId: device.deviceId, remaining: await this.#count(device) })),
    );
    if (!kept) return { items, taken };
    try {
      await collection.insertOne({ _id: claimId, items, expiresAt: this.#expiry() });
      return { items, taken };
    } catch (error) {
      // A twin of this request was faster: its outcome is the outcome.
      if (duplicateIndexOf(error) === undefined) throw error;
      const first = await collection.findOne({ _id: claimId });
      return { items: (first?.items as KeyBundle[] | undefined) ?? items, taken };
    }
  }

  async #saveDevice(userId: string, input: Publication): Promise<{ device: DeviceRecord; before?: DeviceRecord }> {
    const { collection } = this.#models.devices;
    const { deviceId, identityKey, signedPreKey } = input;
    const owner = new Types.ObjectId(userId);
    for (let tries = 0; tries < TRIES; tries++) {
      const at = new Date(this.#now());
      const known = await collection.findOne<DeviceRecord>({ userId: owner, deviceId });
      if (!known) {
        const device = await this.#addDevice({
          _id: new Types.ObjectId(),
          userId: owner,
          deviceId,
          identityKey,
          signedPreKey,
          keySetId: new Types.ObjectId(),
          createdAt: at,
          updatedAt: at,
        });
        if (device) return { device };
        continue;
      }
      const replaced = known.identityKey !== identityKey;
      if (replaced && !input.replaceIdentity) {
        throw new Fault('conflict', 'The device has another identity key; say replaceIdentity if that is meant');
      }
      const device = (await collection.findOneAndUpdate(
        { _id: known._id, identityKey: known.identityKey },
        {
          $set: { identityKey, signedPreKey, updatedAt: at, ...(replaced ? { keySetId: new Types.ObjectId() } : {}) },
        },
        { returnDocument: 'after' },
      )) as DeviceRecord | null;
      if (device) return { device, before: known };
    }
    throw new Fault('conflict', 'The device is being changed by several at once');
  }

  /** Undefined when a twin was faster. */
  async #addDevice(device: DeviceRecord): Promise<DeviceRecord | undefined> {
    const { collection } = this.#models.devices;
    // Several that are added in the same moment may exceed it by a few, which harms nobody.
    if ((await collection.countDocuments({ userId: device.userId })) >= LIMITS.devicesPerUser) {
      throw new Fault('quota_exceeded', `At most ${LIMITS.devicesPerUser} devices; remove one`);
    }
    try {
      await collection.insertOne(device);
      return device;
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      return undefined;
    }
  }

  async #addKeys({ userId, deviceId, keySetId }: DeviceRecord, keys: readonly OneTimeKey[]): Promise<void> {
    if (keys.length === 0) return;
    const { collection } = this.#models.oneTimeKeys;
    const byId = new Map(keys.map(({ id, key }) => [id, key]));
    const known = await collection.find<OneTimeKeyRecord>({ keySetId, keyId: { $in: [...byId.keys()] } }).toArray();
    for (const { keyId, key } of known) {
      if (byId.get(keyId) !== key) throw new Fault('conflict', 'A one-time key with this id is another key');
      byId.delete(keyId);
    }
    if (byId.size === 0) return;
    if ((await this.#count({ keySetId })) + byId.size > LIMITS.oneTimeKeysPerDevice) {
      throw new Fault('quota_exceeded', `At most ${LIMITS.oneTimeKeysPerDevice} one-time keys wait to be claimed`);
    }
    const rows = [...byId].map(([keyId, key]): OneTimeKeyRecord => ({
      _id: new Types.ObjectId(),
      userId,
      deviceId,
      keySetId,
      keyId,
      key,
      claimed: false,
    }));
    await collection.insertMany(rows, { ordered: false }).catch((error: unknown) => {
      // A twin of this request was faster with some.
      if (!(error instanceof mongo.MongoBulkWriteError) || error.code !== 11_000) throw error;
    });
  }

  /** The oldest key that is left, or the one that the same claim has taken before. */
  async #takeKey({ userId, deviceId, keySetId }: DeviceRecord, claimId: ObjectId): Promise<OneTimeKey | undefined> {
    const { collection } = this.#models.oneTimeKeys;
    try {
      const taken = (await collection.findOneAndUpdate(
        { keySetId, claimed: false },
        { $set: { claimed: true, claimId, expiresAt: this.#expiry() } },
        { sort: { _id: 1 } },
      )) as OneTimeKeyRecord | null;
      if (taken) return toOneTimeKey(taken);
    } catch (error) {
      if (duplicateIndexOf(error) !== CLAIM_INDEX) throw error;
    }
    const before = await collection.findOne<OneTimeKeyRecord>({ claimId, userId, deviceId });
    return before ? toOneTimeKey(before) : undefined;
  }

  #devicesOf(userId: string): Promise<DeviceRecord[]> {
    return this.#models.devices.collection
      .find<DeviceRecord>({ userId: new Types.ObjectId(userId) })
      .sort({ _id: 1 })
      .toArray();
  }

  #count({ keySetId }: Pick<DeviceRecord, 'keySetId'>): Promise<number> {
    return this.#models.oneTimeKeys.collection.countDocuments({ keySetId, claimed: false });
  }

  async #deleteEarlierKeys({ userId, deviceId, keySetId }: DeviceRecord): Promise<void> {
    await this.#models.oneTimeKeys.collection.deleteMany({ userId, deviceId, keySetId: { $ne: keySetId } });
  }

  #expiry(): Date {
    return new Date(this.#now() + REMEMBERED_MS);
  }
}

const bundleOf = ({ deviceId, identityKey, signedPreKey }: DeviceRecord): KeyBundle => ({
  deviceId,
  identityKey,
  signedPreKey,
});
