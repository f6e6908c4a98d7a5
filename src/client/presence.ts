/**
 * Whose presence the application wants to know, and what is known of it. What it watches stands on every connection; what
 * changed meanwhile is told when the connection is back.
 */
import { LIMITS } from '../protocol/limits.ts';
import { AtelierError } from './atelier-error.ts';
import type { Link } from './link.ts';
import type { ClientEvents, OperationOutput } from './operations.ts';

export type Presence = ClientEvents['presence:changed'];

/** Needs `autoResume`. Every change of what is known is told as `presence:changed`. */
export interface PresenceStore {
  /**
   * Watches these too, until the returned function is called. Of more than 200 in all the newest are watched. People who
   * share no chat with the user stay unknown.
   */
  watch(userIds: readonly string[]): () => void;
  /** Undefined: not known, or not to be seen. */
  get(userId: string): Presence | undefined;
}

export interface PresenceDeps {
  emit: (name: 'presence:changed', data: Presence) => void;
}

export interface Presences extends PresenceStore {
  up(link: Link): void;
  down(): void;
  /** The application has asked the server itself, which watches these now instead. */
  onAnswer(userIds: readonly string[], answer: OperationOutput<'presence:watch'>): void;
  onChanged: (presence: Presence) => void;
}

export function createPresences({ emit }: PresenceDeps): Presences {
  /** How many times each is watched, the newest last. */
  const counts = new Map<string, number>();
  /** What the application asked for by the operation itself. */
  let asked: readonly string[] = [];
  /** What the server watches on this connection, or is being asked to. */
  let standing: readonly string[] = [];
  const known = new Map<string, Presence>();
  /** Those who were heard of while the server was asked: that is newer than the answer. */
  const heard = new Set<string>();
  let link: Link | undefined;
  let syncing = false;
  let scheduled = false;

  const wanted = (): string[] => Array.from(new Set([...asked, ...counts.keys()])).slice(-LIMITS.presencePerRequest);

  /** True if it is news. */
  const note = (presence: Presence): boolean => {
    const before = known.get(presence.userId);
    known.set(presence.userId, presence);
    return before?.status !== presence.status || before.lastSeen !== presence.lastSeen;
  };

  const take = (userIds: readonly string[], items: readonly Presence[]): void => {
    const seen = new Map(items.map((presence) => [presence.userId, presence]));
    for (const userId of userIds) {
      if (heard.has(userId)) continue;
      const before = known.get(userId);
      // Whom the user may no longer see looks absent.
      const presence = seen.get(userId) ?? (before && { userId, status: 'offline' as const, lastSeen: null });
      if (presence && note(presence)) emit('presence:changed', presence);
    }
  };

  const sync = (): void => {
    const mine = link;
    if (!mine || syncing) return;
    syncing = true;
    mine.run(async () => {
      try {
        for (let userIds = wanted(); !isSame(userIds, standing); userIds = wanted()) {
          standing = userIds;
          heard.clear();
          const { items } = await mine.ask('presence:watch', { userIds });
          take(userIds, items);
        }
      } catch (error) {
        // What the server refuses for good cannot be known.
        if (!(error instanceof AtelierError)) throw error;
      } finally {
        syncing = false;
        if (link !== mine) sync();
      }
    });
  };

  /** Components that begin and end together make one question. */
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      sync();
    });
  };

  const release = (userId: string): void => {
    const count = (counts.get(userId) ?? 1) - 1;
    if (count > 0) counts.set(userId, count);
    else {
      counts.delete(userId);
      if (!asked.includes(userId)) known.delete(userId);
    }
  };

  return {
    watch(userIds) {
      const mine = new Set(userIds);
      for (const userId of mine) {
        const count = counts.get(userId) ?? 0;
        counts.delete(userId);
        counts.set(userId, count + 1);
      }
      schedule();
      return () => {
        for (const userId of mine) release(userId);
        mine.clear();
        schedule();
      };
    },
    get: (userId) => known.get(userId),
    up(mine) {
      link = mine;
      standing = [];
      sync();
    },
    down() {
      link = undefined;
    },
    onAnswer(userIds, { items }) {
      asked = userIds;
      standing = userIds;
      for (const presence of items) if (!heard.has(presence.userId)) note(presence);
      sync();
    },
    onChanged(presence) {
      heard.add(presence.userId);
      if (note(presence)) emit('presence:changed', presence);
    },
  };
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);
