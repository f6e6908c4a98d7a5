/** All users for those who administer the server: the newest first, or what a text finds. */
import { Types, type Model } from 'mongoose';
import type { Profile } from './contract.ts';
import { PUBLIC_FIELDS, profileOf, type BanRecord, type PublicRecord, type UserRecord } from './model.ts';
import { fold, prefixOf } from './search.ts';
import { banInForce } from './standing.ts';

export interface DirectoryQuery {
  /** The beginning of a name, username, e-mail address or phone number. */
  query?: string | undefined;
  role?: 'user' | 'admin' | undefined;
  banned?: boolean | undefined;
  /** Ids below this one: those made before it. */
  below?: Types.ObjectId | undefined;
  limit: number;
}

export type DirectoryEntry = Profile & { ban: BanRecord | undefined };

export class Directory {
  readonly #model: Model<UserRecord>;
  readonly #now: () => number;

  constructor(model: Model<UserRecord>, now: () => number) {
    this.#model = model;
    this.#now = now;
  }

  async list({ query, role, banned, below, limit }: DirectoryQuery): Promise<DirectoryEntry[]> {
    const conditions: object[] = [
      ...(below ? [{ _id: { $lt: below } }] : []),
      ...(role === undefined ? [] : [{ admin: role === 'admin' ? true : { $exists: false } }]),
      ...(banned === undefined ? [] : [this.#banned(banned)]),
    ];
    const places = query === undefined ? [{}] : placesOf(query);
    // The newest of all are among the newest of each.
    const found = await Promise.all(
      places.map((place) =>
        this.#model.collection
          .find<PublicRecord>({ $and: [place, ...conditions] }, { projection: PUBLIC_FIELDS })
          .sort({ _id: -1 })
          .limit(limit)
          .toArray(),
      ),
    );
    const byId = new Map(found.flat().map((record) => [String(record._id), record]));
    const newest = [...byId].sort(([a], [b]) => (a < b ? 1 : -1)).slice(0, limit);
    return newest.map(([, record]) => ({ ...profileOf(record), ban: banInForce(record.ban, this.#now()) }));
  }

  /** All there are, and those who came within a time (an id holds the second it was made in). */
  async count(): Promise<number> {
    return this.#model.collection.estimatedDocumentCount();
  }

  async countNew(from: Date, to: Date): Promise<number> {
    return this.#model.collection.countDocuments({ _id: { $gte: firstIdAt(from), $lt: firstIdAt(to) } });
  }

  #banned(banned: boolean): object {
    const inForce = {
      'ban.at': { $exists: true },
      $or: [{ 'ban.until': { $exists: false } }, { 'ban.until': { $gt: new Date(this.#now()) } }],
    };
    return banned ? inForce : { $nor: [inForce] };
  }
}

const firstIdAt = (at: Date): Types.ObjectId => Types.ObjectId.createFromTime(Math.floor(at.getTime() / 1_000));

/** Each is one range of one index. */
function placesOf(query: string): object[] {
  const plain = query.trim().toLowerCase();
  const name = prefixOf(fold(query), 1);
  const username = prefixOf(plain.replace(/^@/, ''), 1);
  const digits = query.replaceAll(/[\s().-]/g, '');
  return [
    { email: prefixOf(plain, 1) },
    ...(username ? [{ username }] : []),
    ...(/^\+\d+$/.test(digits) ? [{ phoneNumber: prefixOf(digits, 1) }] : []),
    ...(name ? [{ searchKeys: { $gte: name.$gte, $elemMatch: name } }] : []),
  ];
}
