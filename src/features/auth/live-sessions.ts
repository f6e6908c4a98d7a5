/**
 * Whether a session lives, asked of the database at most once in five seconds and session, and of it once for all who
 * ask at the same time: a storm of reconnects costs no more reads than there are sessions. Notices of revocation take
 * effect at once.
 */
import { LRUCache } from 'lru-cache';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import { asSessionRevoked } from './revocation.ts';

/** How long a revocation can go unnoticed when its notice was lost. */
const TRUSTED_MS = 5_000;
const REMEMBERED = 100_000;

export interface LiveSession {
  userId: string;
  endsAtMs: number;
}

type Known = { session: LiveSession | undefined; checkedAtMs: number };

export interface LiveSessions {
  /** Undefined if the session has ended. Rejects when the database cannot be asked. */
  find(sessionId: string): Promise<LiveSession | undefined>;
  close(): void;
}

export function createLiveSessions(
  load: (sessionId: string) => Promise<LiveSession | undefined>,
  bus: Bus,
  now: () => number,
): LiveSessions {
  const known = new LRUCache<string, Known>({ max: REMEMBERED });
  const loading = new Map<string, Promise<LiveSession | undefined>>();
  const forget = (): void => {
    known.clear();
    loading.clear();
  };

  const stop = bus.subscribe(ALL_NODES, (data) => {
    for (const sessionId of asSessionRevoked(data)?.sessionIds ?? []) {
      // An answer that is on its way may be older than the notice.
      loading.delete(sessionId);
      known.set(sessionId, { session: undefined, checkedAtMs: now() });
    }
  });
  const stopReady = bus.onReady(forget);

  async function ask(sessionId: string): Promise<LiveSession | undefined> {
    const asked = loading.get(sessionId) ?? load(sessionId);
    loading.set(sessionId, asked);
    try {
      const session = await asked;
      if (loading.get(sessionId) === asked) known.set(sessionId, { session, checkedAtMs: now() });
      // A notice that came meanwhile is newer than this answer.
      const newest = known.get(sessionId);
      return newest ? newest.session : session;
    } finally {
      if (loading.get(sessionId) === asked) loading.delete(sessionId);
    }
  }

  return {
    async find(sessionId) {
      const entry = known.get(sessionId);
      const fresh = entry && now() - entry.checkedAtMs < TRUSTED_MS;
      const session = fresh ? entry.session : await ask(sessionId);
      return session && session.endsAtMs > now() ? session : undefined;
    },
    close() {
      stop();
      stopReady();
      forget();
    },
  };
}
