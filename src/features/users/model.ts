/** How people are stored, and the two views of them that leave the server. */
import { mongo, Schema, type Connection, type Model, type Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { Profile, User } from './contract.ts';

export interface BanRecord {
  reason: string;
  by: Types.ObjectId;
  at: Date;
  /** For ever without it. */
  until?: Date;
}

export interface UserRecord {
  _id: Types.ObjectId;
  name: string;
  username?: string;
  /** Lower-case. */
  email?: string;
  /** E.164. */
  phoneNumber?: string;
  /** What `auth` made of the password. Only `credentials` reads it. */
  password?: string;
  /** The folded name from its first word on, from its second word on, and so forth: what `user:search` looks through. */
  searchKeys: string[];
  /** False for those whom phone number and e-mail address must not find. */
  findable?: boolean;
  /** Of the picture that was uploaded last; without one there is a generated picture. */
  avatarVersion?: string;
  /** Administers the whole server. */
  admin?: true;
  ban?: BanRecord;
  createdAt: Date;
  updatedAt: Date;
  /** The account has ended; what others wrote with them still needs somebody. */
  deletedAt?: Date;
}

/** A record as it is read everywhere but in `credentials`. */
export type PublicRecord = Omit<UserRecord, 'password' | 'searchKeys'>;

/** Reads never carry the password along. */
export const PUBLIC_FIELDS = { password: 0, searchKeys: 0 } as const;

export function createUserModel(connection: Connection): Model<UserRecord> {
  const schema = new Schema<UserRecord>(
    {
      name: { type: String, required: true },
      username: String,
      email: String,
      phoneNumber: String,
      password: { type: String, select: false },
      searchKeys: { type: [String], required: true },
      findable: Boolean,
      avatarVersion: String,
      admin: Boolean,
      ban: Schema.Types.Mixed,
      createdAt: { type: Date, required: true },
      updatedAt: { type: Date, required: true },
      deletedAt: Date,
    },
    { versionKey: false },
  );
  for (const field of ['username', 'email', 'phoneNumber'] as const) {
    schema.index(
      { [field]: 1 },
      { unique: true, name: field, partialFilterExpression: { [field]: { $exists: true } } },
    );
  }
  schema.index({ searchKeys: 1 }, { name: 'search' });
  schema.index({ admin: 1 }, { name: 'admin', partialFilterExpression: { admin: true } });
  schema.index({ 'ban.at': 1 }, { name: 'banned', partialFilterExpression: { 'ban.at': { $exists: true } } });
  return connection.model<UserRecord>('User', schema, 'users');
}

/** With the version in it, a new picture is seen at once wherever the old one is cached. */
export const avatarUrlOf = (userId: string, version?: string): string =>
  `/api/users/${userId}/avatar${version === undefined ? '' : `?v=${version}`}`;

/** What everybody may see. */
export function publicUser(record: PublicRecord): User {
  const id = String(record._id);
  return {
    id,
    name: record.name,
    ...(record.username === undefined ? {} : { username: record.username }),
    avatarUrl: avatarUrlOf(id, record.avatarVersion),
  };
}

/** What only oneself may see. */
export function profileOf(record: PublicRecord): Profile {
  return {
    ...publicUser(record),
    ...(record.email === undefined ? {} : { email: record.email }),
    ...(record.phoneNumber === undefined ? {} : { phoneNumber: record.phoneNumber }),
    findable: record.findable !== false,
    role: record.admin ? 'admin' : 'user',
    createdAt: record.createdAt.toISOString(),
  };
}

const TAKEN: Record<string, string> = {
  username: 'This username is taken',
  email: 'There is an account with this e-mail address',
  phoneNumber: 'There is an account with this phone number',
};

/** A unique index refused a write: `conflict`, naming the field. Anything else is passed on. */
export function conflictOf(error: unknown): unknown {
  if (!(error instanceof mongo.MongoServerError) || error.code !== 11_000) return error;
  const field = Object.keys((error['keyPattern'] as Record<string, unknown> | undefined) ?? {})[0] ?? '';
  return field in TAKEN ? takenFault(field) : error;
}

export function takenFault(field: string): Fault {
  const message = TAKEN[field] ?? '';
  return new Fault('conflict', message, { detail: [{ path: field, message }] });
}
