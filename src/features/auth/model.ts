/** What signing in stores besides the users themselves. Everything here ends by itself (`purgeAt`, TTL indexes). */
import { Schema, type Connection, type Model, type Types } from 'mongoose';

export type EndReason = 'expired' | 'revoked' | 'logout' | 'reuse' | 'banned';
export type SignInMethod = 'register' | 'password' | 'otp';

/** One sign-in and all refresh tokens that descend from it. */
export interface SessionRecord {
  _id: Types.ObjectId;
  userId: Types.ObjectId;
  method: SignInMethod;
  /** Keyed hash of the refresh token that is valid now. */
  tokenHash: string;
  /** That of its parent, which has been exchanged at `rotatedAt`. */
  parentHash?: string;
  rotatedAt?: Date;
  userAgent: string;
  /** Truncated. */
  ip: string;
  createdAt: Date;
  lastSeenAt: Date;
  /** When it ends unless it is refreshed. */
  expiresAt: Date;
  /** When it ends in any case. */
  absoluteExpiresAt: Date;
  endedAt?: Date;
  endReason?: EndReason;
  purgeAt: Date;
}

/** A refresh token older than its session's parent: whoever shows it has stolen it, or has been robbed. */
export interface RetiredTokenRecord {
  /** Keyed hash. */
  _id: string;
  sessionId: Types.ObjectId;
  purgeAt: Date;
}

/** Failures to sign in to one account, from strange devices together or from one known device. */
export interface LockoutRecord {
  _id: string;
  /** Since the last success or lock. */
  failures: number;
  /** Locks so far; each doubles the next. */
  level: number;
  lockedUntil: Date;
  purgeAt: Date;
}

/** A device that has signed in to an account before. */
export interface DeviceRecord {
  /** Keyed hash of user, truncated address and user agent. */
  _id: string;
  purgeAt: Date;
}

/** All that is known of a phone: its live code and what it has used of its limits. */
export interface PhoneRecord {
  /** E.164. */
  _id: string;
  /** Grows with every change; a change names the version it was made from. */
  version: number;
  challenge: {
    id: string;
    /** Keyed hash of challenge, phone and code. */
    codeHash: string;
    wrongTries: number;
    expiresAtMs: number;
    /** Where its send was counted. */
    tallyId: string;
  } | null;
  /** When codes were sent, of the last day. */
  sentAtMs: number[];
  /** When wrong codes were tried, of the last hour. */
  wrongAtMs: number[];
  purgeAt: Date;
}

/** Codes sent and verified: of one prefix in five minutes, or of all phones in an hour. */
export interface TallyRecord {
  _id: string;
  sent: number;
  verified: number;
  purgeAt: Date;
}

export interface AuthModels {
  sessions: Model<SessionRecord>;
  retiredTokens: Model<RetiredTokenRecord>;
  lockouts: Model<LockoutRecord>;
  devices: Model<DeviceRecord>;
  phones: Model<PhoneRecord>;
  tallies: Model<TallyRecord>;
}

export function createAuthModels(connection: Connection): AuthModels {
  const session = ending<SessionRecord>({
    userId: { type: Schema.Types.ObjectId, required: true },
    method: String,
    tokenHash: String,
    parentHash: String,
    rotatedAt: Date,
    userAgent: String,
    ip: String,
    createdAt: Date,
    lastSeenAt: Date,
    expiresAt: Date,
    absoluteExpiresAt: Date,
    endedAt: Date,
    endReason: String,
  });
  session.index({ tokenHash: 1 }, { unique: true, name: 'token' });
  session.index({ parentHash: 1 }, { name: 'parent', partialFilterExpression: { parentHash: { $exists: true } } });
  session.index({ userId: 1, lastSeenAt: -1 }, { name: 'user_seen' });

  const model = <T>(name: string, schema: Schema<T>, collection: string): Model<T> =>
    connection.model<T>(name, schema, collection);
  const text = { _id: String };
  return {
    sessions: model('Session', session, 'sessions'),
    retiredTokens: model(
      'RetiredToken',
      ending<RetiredTokenRecord>({ ...text, sessionId: Schema.Types.ObjectId }),
      'retiredTokens',
    ),
    lockouts: model(
      'Lockout',
      ending<LockoutRecord>({ ...text, failures: Number, level: Number, lockedUntil: Date }),
      'lockouts',
    ),
    devices: model('Device', ending<DeviceRecord>(text), 'devices'),
    phones: model(
      'Phone',
      ending<PhoneRecord>({
        ...text,
        version: Number,
        challenge: Schema.Types.Mixed,
        sentAtMs: [Number],
        wrongAtMs: [Number],
      }),
      'phones',
    ),
    tallies: model('Tally', ending<TallyRecord>({ ...text, sent: Number, verified: Number }), 'otpTallies'),
  };
}

/** A schema whose documents the database removes at their `purgeAt`. */
function ending<T>(fields: Record<string, unknown>): Schema<T> {
  const schema = new Schema({ ...fields, purgeAt: { type: Date, required: true } }, { versionKey: false });
  schema.index({ purgeAt: 1 }, { expireAfterSeconds: 0, name: 'purge' });
  return schema;
}
