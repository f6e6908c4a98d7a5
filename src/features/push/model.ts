/** How devices and people's wishes are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';
import type { QuietHours } from './contract.ts';

type ObjectId = Types.ObjectId;

export interface SubscriptionRecord {
  /** Follows from the endpoint: a device belongs to one user at a time. */
  _id: ObjectId;
  userId: ObjectId;
  /** The session that subscribed, with which it ends. */
  sessionId: ObjectId;
  endpoint: string;
  p256dh: string;
  auth: string;
  /** The VAPID key that it was made for: others are refused by the push service. */
  publicKey: string;
  deviceName?: string;
  createdAt: Date;
}

export interface SettingsRecord {
  /** The user's id. */
  _id: ObjectId;
  enabled?: boolean;
  quietHours?: QuietHours | null;
}

export interface PushModels {
  subscriptions: Model<SubscriptionRecord>;
  settings: Model<SettingsRecord>;
}

export function createPushModels(connection: Connection): PushModels {
  const { ObjectId, Mixed } = Schema.Types;
  const subscription = new Schema<SubscriptionRecord>(
    {
      userId: { type: ObjectId, required: true },
      sessionId: { type: ObjectId, required: true },
      endpoint: { type: String, required: true },
      p256dh: { type: String, required: true },
      auth: { type: String, required: true },
      publicKey: { type: String, required: true },
      deviceName: String,
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  subscription.index({ userId: 1, createdAt: -1, _id: -1 }, { name: 'user_newest' });
  const settings = new Schema<SettingsRecord>({ enabled: Boolean, quietHours: Mixed }, { versionKey: false });
  return {
    subscriptions: connection.model<SubscriptionRecord>('PushSubscription', subscription, 'pushSubscriptions'),
    settings: connection.model<SettingsRecord>('PushSettings', settings, 'pushSettings'),
  };
}
