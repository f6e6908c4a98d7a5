/** What people are found by: name and username by prefix, phone number and e-mail address only when complete. */
import { Types, type Model } from 'mongoose';
import type { User } from './contract.ts';
import { PUBLIC_FIELDS, publicUser, type PublicRecord, type UserRecord } from './model.ts';

const SHORTEST_PREFIX = 2;
const MOST_RESULTS = 20;
/** Suffixes of a name that are kept; later words are found as part of an earlier suffix only. */
const MOST_KEYS = 8;
/** Above every string that begins with the same text: strings are compared by code point. */
const LAST_CHARACTER = '\u{10ffff}';

/** Without case, accents and doubled spaces: "José  Álvarez" and "jose alvarez" are one. */
export function fold(text: string): string {
  return text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().replaceAll(/\s+/gu, ' ').trim();
}

/** The name from each of its words on, so that a prefix of any word finds it. */
export function searchKeysOf(name: string): string[] {
  const words = fold(name).split(' ').filter(Boolean);
  return words.slice(0, MOST_KEYS).map((_, i) => words.slice(i).join(' '));
}

/** At most 20 users for a query, by name, without the caller and nobody twice. */
export async function searchUsers(model: Model<UserRecord>, query: string, callerId: string): Promise<User[]> {
  const others = { _id: { $ne: new Types.ObjectId(callerId) } };
  const found = await Promise.all(
    conditionsOf(query).map((condition) =>
      model.collection
        .find<PublicRecord>({ ...condition, ...others }, { projection: PUBLIC_FIELDS, limit: MOST_RESULTS })
        .toArray(),
    ),
  );
  const byId = new Map(found.flat().map((record) => [String(record._id), publicUser(record)]));
  return [...byId.values()].slice(0, MOST_RESULTS).sort((a, b) => (fold(a.name) < fold(b.name) ? -1 : 1));
}

/** Each condition is one range or one point of one index. A complete address comes first: it is surely meant. */
function conditionsOf(query: string): Record<string, unknown>[] {
  const conditions: Record<string, unknown>[] = [];
  const findable = { $ne: false };
  if (query.includes('@')) conditions.push({ email: query.toLowerCase(), findable });
  const digits = query.replaceAll(/[\s().-]/g, '');
  if (/^\+\d{7,15}$/.test(digits)) conditions.push({ phoneNumber: digits, findable });

  const username = prefixOf(query.toLowerCase().replace(/^@/, ''));
  if (username) conditions.push({ username });
  const name = prefixOf(fold(query));
  // One key must meet both bounds, else "a zebra" would be found by "mi". The outer bound follows from the inner ones;
  // it gives a planner that takes none from $elemMatch a place to start.
  if (name) conditions.push({ searchKeys: { $gte: name.$gte, $elemMatch: name } });
  return conditions;
}

/** The range of what begins with the text. */
export function prefixOf(text: string, shortest = SHORTEST_PREFIX): { $gte: string; $lt: string } | undefined {
  if (text.length < shortest) return undefined;
  return { $gte: text, $lt: text + LAST_CHARACTER };
}
