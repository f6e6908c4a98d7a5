/** How devices, their one-time keys and what was claimed are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';
import type { KeyBundle, OneTimeKey, SignedPreKey } from './contract.ts';

type ObjectId = Types.ObjectId;

export interface DeviceRecord {
  _id: ObjectId;
  userId: ObjectId;
  deviceId: string;
  identityKey: string;
  signedPreKey: SignedPreKey;
  /** Which one-time keys are the device's: those of an earlier identity, or of a device removed before, are not. */
  keySetId: ObjectId;
  createdAt: Date;
  updatedAt: Date;
}

/**
 * A claimed key stays for a while, so that one which a client publishes twice is not claimed twice, and a repeated claim
 * finds the key that it was given.
 */
export interface OneTimeKeyRecord {
  _id: ObjectId;
  userId: ObjectId;
  deviceId: string;
  keySetId: ObjectId;
  keyId: string;
  key: string;
  claimed: boolean;
  claimId?: ObjectId;
  /** Of a claimed key. */
  expiresAt?: Date;
}

/** The outcome of a claim that carried a `clientId`; the id follows from caller and clientId. */
export interface ClaimRecord {
  _id: ObjectId;
  items: KeyBundle[];
  expiresAt: Date;
}

export interface KeyModels {
  devices: Model<DeviceRecord>;
  oneTimeKeys: Model<OneTimeKeyRecord>;
  claims: Model<ClaimRecord>;
}

/** Refuses a second key for one device by one claim. */
export const CLAIM_INDEX = 'claim_device';

export function createKeyModels(connection: Connection): KeyModels {
  const id = { type: Schema.Types.ObjectId, required: true };
  const text = { type: String, required: true };

  const device = new Schema<DeviceRecord>(
    {
      userId: id,
      deviceId: text,
      identityKey: text,
      signedPreKey: { type: Schema.Types.Mixed, required: true },
      keySetId: id,
      createdAt: { type: Date, required: true },
      updatedAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  device.index({ userId: 1, deviceId: 1 }, { unique: true, name: 'user_device' });

  const oneTimeKey = new Schema<OneTimeKeyRecord>(
    {
      userId: id,
      deviceId: text,
      keySetId: id,
      keyId: text,
      key: text,
      claimed: { type: Boolean, required: true },
      claimId: Schema.Types.ObjectId,
      expiresAt: Date,
    },
    { versionKey: false },
  );
  oneTimeKey.index({ keySetId: 1, keyId: 1 }, { unique: true, name: 'set_key' });
  oneTimeKey.index({ keySetId: 1, _id: 1 }, { name: 'unclaimed', partialFilterExpression: { claimed: false } });
  oneTimeKey.index(
    { claimId: 1, userId: 1, deviceId: 1 },
    { unique: true, name: CLAIM_INDEX, partialFilterExpression: { claimId: { $exists: true } } },
  );
  oneTimeKey.index({ userId: 1, deviceId: 1 }, { name: 'user_device' });
  oneTimeKey.index({ expiresAt: 1 }, { name: 'expiry', expireAfterSeconds: 0 });

  const claim = new Schema<ClaimRecord>(
    { items: { type: [Schema.Types.Mixed], required: true }, expiresAt: { type: Date, required: true } } as never,
    { versionKey: false },
  );
  claim.index({ expiresAt: 1 }, { name: 'expiry', expireAfterSeconds: 0 });

  return {
    devices: connection.model<DeviceRecord>('KeyDevice', device, 'key_devices'),
    oneTimeKeys: connection.model<OneTimeKeyRecord>('OneTimeKey', oneTimeKey, 'one_time_keys'),
    claims: connection.model<ClaimRecord>('KeyClaim', claim, 'key_claims'),
  };
}

export const toOneTimeKey = ({ keyId, key }: Pick<OneTimeKeyRecord, 'keyId' | 'key'>): OneTimeKey => ({
  id: keyId,
  key,
});
