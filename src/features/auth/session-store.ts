/**
 * Sessions and their refresh tokens. A token is 32 random bytes; its successors are derived from it with a key, so that
 * the two tabs that exchange the same token get the same successor although only keyed hashes are stored. A session
 * knows its present token and that one's parent; older ones are kept apart, to be recognised when somebody shows one.
 */
import { randomBytes } from 'node:crypto';
import { Types } from 'mongoose';
import { truncateIp } from '../../observability/truncate-ip.ts';
import { DAY_MS, type Origin } from '../../protocol/index.ts';
import type { LiveSession } from './live-sessions.ts';
import type { AuthModels, EndReason, SessionRecord, SignInMethod } from './model.ts';
import type { SessionRevoked } from './revocation.ts';
import { deriveKey, keyedHash, sameHash } from './secrets.ts';

/** A session ends after this without a refresh. */
const IDLE_MS = 7 * DAY_MS;
/** Two tabs that wake up together exchange the same token within this. */
const RACE_MS = 20_000;
export const SESSIONS_PER_USER = 20;
const USER_AGENT_LENGTH = 200;
/** Ended sessions are kept this long, for whoever looks into what happened. */
const KEPT_AFTER_END_MS = DAY_MS;

export interface IssuedSession {
  userId: string;
  sessionId: string;
  refreshToken: string;
  /** When the session ends in any case, in milliseconds since 1970. */
  absoluteExpiresAtMs: number;
}

export type Rotation =
  | { kind: 'issued'; session: IssuedSession }
  /** The token is valid no more and was exchanged long ago; its session has been ended by this call if `ended`. */
  | { kind: 'reused'; userId: string; sessionId: string; ended: boolean }
  | { kind: 'unknown' };

export interface SessionStore {
  /** A new session. The user's longest unseen ones beyond 20 end. */
  start(userId: string, method: SignInMethod, origin: Origin): Promise<IssuedSession>;
  /** Exchanges a refresh token for its successor. */
  rotate(refreshToken: string, origin: Origin): Promise<Rotation>;
  /** The session that a refresh token belongs to, whichever of its tokens it is. */
  ofToken(refreshToken: string): Promise<{ userId: string; sessionId: string } | undefined>;
  /** Ends a session and tells every node; false if it had ended before or does not exist. */
  end(sessionId: string, reason: EndReason): Promise<boolean>;
  /** Ends all sessions of a user and tells every node. Resolves with their ids, ended before or now. */
  endAllOf(userId: string): Promise<Types.ObjectId[]>;
  /** Whose each session is and when it ends; those that have ended or do not exist are left out. */
  live(sessionIds: readonly string[]): Promise<Map<string, LiveSession>>;
  /** Ends all sessions of a user and tells every node; how many there were. */
  endOfUser(userId: string, reason: EndReason): Promise<number>;
}

export interface SessionStoreDeps {
  models: Pick<AuthModels, 'sessions' | 'retiredTokens'>;
  pepper: string;
  /** Days after which a session ends, however often it is refreshed. */
  absoluteDays: number;
  now: () => number;
  publish: (notice: SessionRevoked) => void;
}

export function createSessionStore(deps: SessionStoreDeps): SessionStore {
  const { now, publish } = deps;
  const sessions = deps.models.sessions.collection;
  const retiredTokens = deps.models.retiredTokens.collection;
  const hashKey = deriveKey(deps.pepper, 'refresh-token');
  const successorKey = deriveKey(deps.pepper, 'refresh-successor');
  const hashOf = (token: string): string => keyedHash(hashKey, token);
  const successorOf = (token: string): string => keyedHash(successorKey, token);
  const alive = (): Record<string, unknown> => ({
    endedAt: { $exists: false },
    expiresAt: { $gt: new Date(now()) },
  });

  const seen = (origin: Origin, absoluteExpiresAtMs: number): SeenFields => {
    const expiresAt = new Date(Math.min(now() + IDLE_MS, absoluteExpiresAtMs));
    return {
      userAgent: origin.userAgent.slice(0, USER_AGENT_LENGTH),
      ip: truncateIp(origin.ip),
      lastSeenAt: new Date(now()),
      expiresAt,
      purgeAt: expiresAt,
    };
  };

  async function endAll(records: readonly SessionRecord[], reason: EndReason): Promise<number> {
    const [first] = records;
    if (!first) return 0;
    const at = now();
    const { modifiedCount } = await sessions.updateMany(
      { _id: { $in: records.map(({ _id }) => _id) }, endedAt: { $exists: false } },
      { $set: { endedAt: new Date(at), endReason: reason, purgeAt: new Date(at + KEPT_AFTER_END_MS) } },
    );
    // Also when nothing was left to do: the notice may be what was lost.
    publish({
      type: 'session:revoked',
      userId: String(first.userId),
      sessionIds: records.map(({ _id }) => String(_id)),
      reason,
    });
    return modifiedCount;
  }

  async function endBeyondCap(userId: Types.ObjectId): Promise<void> {
    const beyond = await sessions
      .find<SessionRecord>({ userId, ...alive() }, { sort: { lastSeenAt: -1, _id: -1 }, skip: SESSIONS_PER_USER })
      .toArray();
    await endAll(beyond, 'revoked');
  }

  /** Makes the token's successor the valid one, unless somebody else has done so meanwhile. */
  async function exchange(token: string, tokenHash: string, origin: Origin): Promise<SessionRecord | null> {
    const before = await sessions.findOne<SessionRecord>({ tokenHash, ...alive() });
    if (!before) return null;
    if (before.parentHash !== undefined) {
      // First, and repeatable: if this process ends here, the token is still valid.
      await retiredTokens.updateOne(
        { _id: before.parentHash as never },
        { $setOnInsert: { sessionId: before._id, purgeAt: before.absoluteExpiresAt } },
        { upsert: true },
      );
    }
    const after = await sessions.findOneAndUpdate(
      { _id: before._id, tokenHash, endedAt: { $exists: false } },
      {
        $set: {
          tokenHash: hashOf(successorOf(token)),
          parentHash: tokenHash,
          rotatedAt: new Date(now()),
          ...seen(origin, before.absoluteExpiresAt.getTime()),
        },
      },
      { returnDocument: 'after' },
    );
    return after as SessionRecord | null;
  }

  async function find(tokenHash: string): Promise<SessionRecord | null> {
    const record =
      (await sessions.findOne<SessionRecord>({ tokenHash })) ??
      (await sessions.findOne<SessionRecord>({ parentHash: tokenHash }));
    if (record) return record;
    const retired = await retiredTokens.findOne({ _id: tokenHash as never });
    return retired ? sessions.findOne<SessionRecord>({ _id: retired['sessionId'] as Types.ObjectId }) : null;
  }

  const issued = (record: SessionRecord, refreshToken: string): Rotation => ({
    kind: 'issued',
    session: {
      userId: String(record.userId),
      sessionId: String(record._id),
      refreshToken,
      absoluteExpiresAtMs: record.absoluteExpiresAt.getTime(),
    },
  });

  return {
    async start(userId, method, origin) {
      const refreshToken = randomBytes(32).toString('base64url');
      const absoluteExpiresAtMs = now() + deps.absoluteDays * DAY_MS;
      const record: SessionRecord = {
        _id: new Types.ObjectId(),
        userId: new Types.ObjectId(userId),
        method,
        tokenHash: hashOf(refreshToken),
        createdAt: new Date(now()),
        absoluteExpiresAt: new Date(absoluteExpiresAtMs),
        ...seen(origin, absoluteExpiresAtMs),
      };
      await sessions.insertOne(record);
      await endBeyondCap(record.userId);
      return { userId, sessionId: String(record._id), refreshToken, absoluteExpiresAtMs };
    },

    async rotate(refreshToken, origin) {
      const tokenHash = hashOf(refreshToken);
      const rotated = await exchange(refreshToken, tokenHash, origin);
      if (rotated) return issued(rotated, successorOf(refreshToken));

      const record = await find(tokenHash);
      if (!record || record.endedAt || record.expiresAt.getTime() <= now()) return { kind: 'unknown' };
      const successor = successorOf(refreshToken);
      const raced = record.rotatedAt !== undefined && now() - record.rotatedAt.getTime() <= RACE_MS;
      if (raced && record.parentHash === tokenHash && sameHash(record.tokenHash, hashOf(successor))) {
        return issued(record, successor);
      }
      const ended = (await endAll([record], 'reuse')) > 0;
      return { kind: 'reused', userId: String(record.userId), sessionId: String(record._id), ended };
    },

    async ofToken(refreshToken) {
      const record = await find(hashOf(refreshToken));
      return record ? { userId: String(record.userId), sessionId: String(record._id) } : undefined;
    },

    async end(sessionId, reason) {
      const record = await sessions.findOne<SessionRecord>({
        _id: new Types.ObjectId(sessionId),
        endedAt: { $exists: false },
      });
      return record ? (await endAll([record], reason)) > 0 : false;
    },

    async endAllOf(userId) {
      const records = await sessions.find<SessionRecord>({ userId: new Types.ObjectId(userId) }).toArray();
      await endAll(records, 'revoked');
      return records.map(({ _id }) => _id);
    },

    async live(sessionIds) {
      const records = await sessions
        .find<Pick<SessionRecord, '_id' | 'userId' | 'expiresAt'>>(
          { _id: { $in: sessionIds.map((id) => new Types.ObjectId(id)) }, ...alive() },
          { projection: { userId: 1, expiresAt: 1 } },
        )
        .toArray();
      return new Map(
        records.map(({ _id, userId, expiresAt }) => [
          String(_id),
          { userId: String(userId), endsAtMs: expiresAt.getTime() },
        ]),
      );
    },

    async endOfUser(userId, reason) {
      const records = await sessions
        .find<SessionRecord>({ userId: new Types.ObjectId(userId), endedAt: { $exists: false } })
        .toArray();
      return endAll(records, reason);
    },
  };
}

type SeenFields = Pick<SessionRecord, 'userAgent' | 'ip' | 'lastSeenAt' | 'expiresAt' | 'purgeAt'>;
