/** People: their records, their own profile, how others find and see them. */
import { Types, type Connection } from 'mongoose';
import { Fault, type Handlers } from '../../protocol/index.ts';
import { drawAvatar } from './avatar.ts';
import type { Profile, User, usersContract } from './contract.ts';
import {
  conflictOf,
  takenFault,
  createUserModel,
  PUBLIC_FIELDS,
  profileOf,
  publicUser,
  type PublicRecord,
  type UserRecord,
} from './model.ts';
import { Directory } from './directory.ts';
import { searchKeysOf, searchUsers } from './search.ts';
import { Standing } from './standing.ts';

export { createAvatars, type Avatars } from './avatars.ts';
export { profileOf, publicUser } from './model.ts';

export interface NewUser {
  name: string;
  username?: string | undefined;
  email?: string | undefined;
  /** E.164. */
  phoneNumber?: string | undefined;
  /** As `auth` has hashed it. */
  password?: string | undefined;
}

/** What a sign-in by password is checked against. */
export interface Credentials {
  userId: string;
  /** Undefined for somebody who has no password. */
  password: string | undefined;
}

export interface Users {
  /** Who administers, who is banned. */
  standing: Standing;
  /** All users, for administrators. */
  directory: Directory;
  handlers: Handlers<typeof usersContract>;
  /** Stores somebody new. Rejects with `conflict` when the e-mail address, username or phone number is taken. */
  create(user: NewUser): Promise<Profile>;
  /** Rejects with `not_found`. */
  profile(userId: string): Promise<Profile>;
  profileByPhone(phoneNumber: string): Promise<Profile | undefined>;
  /** By a lower-case e-mail address or username. */
  credentials(by: { email: string } | { username: string }): Promise<Credentials | undefined>;
  /** Replaces a stored password, unless it has been changed from `expected` meanwhile. */
  setPassword(userId: string, password: string, expected: string): Promise<void>;
  /** As `auth` has stored it; undefined for somebody who has none. */
  passwordOf(userId: string): Promise<string | undefined>;
  /** Forgets everything of somebody but that they were. Repeating it changes nothing. */
  erase(userId: string): Promise<void>;
  /** In the order of `ids`; those who do not exist are left out. */
  findByIds(ids: readonly string[]): Promise<User[]>;
  /** Whether nobody who has an account has had it for longer. */
  isFirst(userId: string): Promise<boolean>;
  /** Which of the ids are users, and still have their account. */
  exists(ids: readonly string[]): Promise<string[]>;
  /** The generated picture; undefined when there is no such user. */
  avatarSvg(userId: string): Promise<string | undefined>;
}

/** What others see of somebody whose account has ended. */
const DELETED_NAME = 'Deleted user';

export interface UsersDeps {
  connection: Connection;
  now?: () => number;
  /** The address of the first administrator, and what becomes of a sign-up with it. */
  adminEmail?: { address: string; onSignUp: 'grant' | 'refuse' } | undefined;
}

export function createUsers({ connection, now = Date.now, adminEmail }: UsersDeps): Users {
  const model = createUserModel(connection);
  const { collection } = model;
  const options = { projection: PUBLIC_FIELDS };

  async function profile(userId: string): Promise<Profile> {
    return profileOf(found(await collection.findOne<PublicRecord>({ _id: new Types.ObjectId(userId) }, options)));
  }

  async function update(
    userId: string,
    fields: Partial<Pick<UserRecord, 'name' | 'username' | 'findable'>>,
  ): Promise<Profile> {
    const record = await collection
      .findOneAndUpdate(
        { _id: new Types.ObjectId(userId) },
        {
          $set: {
            ...fields,
            ...(fields.name === undefined ? {} : { searchKeys: searchKeysOf(fields.name) }),
            updatedAt: new Date(now()),
          },
        },
        { ...options, returnDocument: 'after' },
      )
      .catch((error: unknown) => {
        throw conflictOf(error);
      });
    return profileOf(found(record as PublicRecord | null));
  }

  return {
    standing: new Standing(model, now),
    directory: new Directory(model, now),

    handlers: {
      'user:search': async ({ query }, { session }) => ({ items: await searchUsers(model, query, session.userId) }),
      'user:profile': async (_input, { session }) => ({ user: await profile(session.userId) }),
      'user:get': async ({ userId }) => ({
        user: publicUser(found(await collection.findOne<PublicRecord>({ _id: new Types.ObjectId(userId) }, options))),
      }),
      'user:update-profile': async ({ name, username, findable }, { session }) => ({
        user: await update(session.userId, {
          ...(name === undefined ? {} : { name }),
          ...(username === undefined ? {} : { username }),
          ...(findable === undefined ? {} : { findable }),
        }),
      }),
    },

    async create(user) {
      const at = new Date(now());
      const { name, username, email, phoneNumber, password } = user;
      const isAdmin = email !== undefined && email === adminEmail?.address;
      // The same words as of an address that is taken: nobody learns whose address it is.
      if (isAdmin && adminEmail.onSignUp === 'refuse') throw takenFault('email');
      const record: UserRecord = {
        _id: new Types.ObjectId(),
        name,
        ...(username === undefined ? {} : { username }),
        ...(email === undefined ? {} : { email }),
        ...(phoneNumber === undefined ? {} : { phoneNumber }),
        ...(password === undefined ? {} : { password }),
        ...(isAdmin ? { admin: true } : {}),
        searchKeys: searchKeysOf(name),
        createdAt: at,
        updatedAt: at,
      };
      await collection.insertOne(record).catch((error: unknown) => {
        throw conflictOf(error);
      });
      return profileOf(record);
    },

    profile,

    async profileByPhone(phoneNumber) {
      const record = await collection.findOne<PublicRecord>({ phoneNumber }, options);
      return record ? profileOf(record) : undefined;
    },

    async credentials(by) {
      const record = await collection.findOne<Pick<UserRecord, '_id' | 'password'>>(by, {
        projection: { password: 1 },
      });
      return record ? { userId: String(record._id), password: record.password } : undefined;
    },

    async setPassword(userId, password, expected) {
      await collection.updateOne(
        { _id: new Types.ObjectId(userId), password: expected },
        { $set: { password, updatedAt: new Date(now()) } },
      );
    },

    async passwordOf(userId) {
      const record = await collection.findOne<Pick<UserRecord, 'password'>>(
        { _id: new Types.ObjectId(userId) },
        { projection: { password: 1 } },
      );
      return record?.password;
    },

    async erase(userId) {
      const _id = new Types.ObjectId(userId);
      const record = await collection.findOne<UserRecord>({ _id, deletedAt: { $exists: false } });
      if (!record) return;
      const deletedAt = new Date(now());
      const { createdAt } = record;
      await collection.replaceOne(
        { _id, deletedAt: { $exists: false } },
        { name: DELETED_NAME, searchKeys: [], createdAt, updatedAt: deletedAt, deletedAt },
      );
    },

    async findByIds(ids) {
      const records = await collection.find<PublicRecord>({ _id: { $in: objectIds(ids) } }, options).toArray();
      const byId = new Map(records.map((record) => [String(record._id), publicUser(record)]));
      return [...new Set(ids)].flatMap((id) => byId.get(id) ?? []);
    },

    async exists(ids) {
      const records = await collection
        .find({ _id: { $in: objectIds(ids) }, deletedAt: { $exists: false } }, { projection: { _id: 1 } })
        .toArray();
      return records.map((record) => String(record._id));
    },

    async isFirst(userId) {
      const first = await collection.findOne(
        { deletedAt: { $exists: false } },
        { projection: { _id: 1 }, sort: { _id: 1 } },
      );
      return first !== null && String(first._id) === userId;
    },

    async avatarSvg(userId) {
      const record = await collection.findOne<PublicRecord>({ _id: new Types.ObjectId(userId) }, options);
      return record ? drawAvatar(userId, record.name) : undefined;
    },
  };
}

const objectIds = (ids: readonly string[]): Types.ObjectId[] => ids.map((id) => new Types.ObjectId(id));

function found(record: PublicRecord | null): PublicRecord {
  if (!record) throw new Fault('not_found', 'There is no such user');
  return record;
}
