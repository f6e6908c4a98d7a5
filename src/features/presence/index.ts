/** Who is there. A user's presence comes from all of their connections; changes are told after a moment's calm. */
import { Schema, Types, type Connection, type Model } from 'mongoose';
import type { ConnectionStatus, PresenceRegistry } from '../../cluster/presence-registry.ts';
import type { Log } from '../../observability/log.ts';
import {
  connectionOf,
  Fault,
  LIMITS,
  presenceRoom,
  type Handlers,
  type Room,
  type Rooms,
} from '../../protocol/index.ts';
import type { Presence, PresenceStatus, presenceContract, presenceEvents } from './contract.ts';

interface SeenRecord {
  _id: Types.ObjectId;
  lastSeen: Date;
}

export interface PresenceDeps {
  connection: Connection;
  registry: PresenceRegistry;
  rooms: Rooms<typeof presenceEvents>;
  /** Which of the users may be seen by `userId`: those that share a chat. */
  sharing: (userId: string, otherIds: readonly string[]) => Promise<Set<string>>;
  log: Log;
  now: () => number;
}

export interface PresenceFeature {
  handlers: Handlers<typeof presenceContract>;
  connected(connection: { id: string; userId: string }): Promise<void>;
  disconnected(connection: { id: string; userId: string }): void;
  close(): Promise<void>;
}

/** The most present first. */
const RANK: readonly ConnectionStatus[] = ['busy', 'online', 'away'];

export function createPresence(deps: PresenceDeps): PresenceFeature {
  const { registry, rooms, sharing, log, now } = deps;
  const seen = createSeenModel(deps.connection);
  /** Users whose change waits for its moment of calm, with what was told last. */
  const waiting = new Map<string, NodeJS.Timeout>();
  const told = new Map<string, PresenceStatus>();
  /** Departures whose last-seen is still being written. */
  const departures = new Set<Promise<void>>();

  async function read(userIds: readonly string[]): Promise<Presence[]> {
    let connections: Map<string, ConnectionStatus[]>;
    try {
      connections = await registry.get(userIds);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return userIds.map((userId) => ({ userId, status: 'unknown', lastSeen: null }));
    }
    const away = userIds.filter((userId) => !connections.has(userId));
    const rows = await seen.collection
      .find<SeenRecord>({ _id: { $in: away.map((id) => new Types.ObjectId(id)) } })
      .toArray();
    const lastSeen = new Map(rows.map((row) => [row._id.toHexString(), row.lastSeen.toISOString()]));
    return userIds.map((userId) => ({
      userId,
      status: combine(connections.get(userId)),
      lastSeen: connections.has(userId) ? null : (lastSeen.get(userId) ?? null),
    }));
  }

  const unsubscribe = registry.onChange((userId) => {
    if (waiting.has(userId)) return;
    const timer = setTimeout(() => {
      waiting.delete(userId);
      tell(userId).catch((error: unknown) => log.warn('a presence change could not be told', { userId, error }));
    }, LIMITS.presenceDebounceMs).unref();
    waiting.set(userId, timer);
  });

  async function tell(userId: string): Promise<void> {
    if (!rooms.has(presenceRoom(userId))) {
      told.delete(userId);
      return;
    }
    const [presence] = await read([userId]);
    // A connection that came back in time is no change.
    if (!presence || told.get(userId) === presence.status) return;
    told.set(userId, presence.status);
    // Every node hears of it from the registry.
    rooms.emitHere(presenceRoom(userId), 'presence:changed', presence, { latest: `presence:${userId}` });
  }

  async function visible(userId: string, userIds: readonly string[]): Promise<Presence[]> {
    const unique = [...new Set(userIds)];
    const allowed = await sharing(userId, unique);
    return read(unique.filter((id) => allowed.has(id)));
  }

  return {
    handlers: {
      async 'presence:set'({ status }, context) {
        await registry.set(context.session.userId, connectionOf(context), status);
        return {};
      },
      async 'presence:get'({ userIds }, { session }) {
        return { items: await visible(session.userId, userIds) };
      },
      async 'presence:watch'({ userIds }, context) {
        const { session } = context;
        const id = connectionOf(context);
        const unique = [...new Set(userIds)];
        const allowed = await sharing(session.userId, unique);
        const wanted = new Set<Room>([...allowed].map(presenceRoom));
        for (const room of rooms.of(id, 'presence')) if (!wanted.has(room)) rooms.leave({ connectionId: id }, room);
        const unwatched = new Set([...allowed].filter((userId) => !rooms.has(presenceRoom(userId))));
        for (const room of wanted) rooms.join({ connectionId: id }, room);
        // Joined first, read second: what changes from here on is an event.
        const items = await read([...allowed]);
        // Where others watch already, they have been told what `told` says, and may be owed a change that waits.
        for (const { userId, status } of items) if (unwatched.has(userId)) told.set(userId, status);
        return { items };
      },
    },

    async connected({ id, userId }) {
      await registry.set(userId, id, 'online');
    },

    disconnected({ id, userId }) {
      const departure = (async () => {
        const { last } = await registry.remove(userId, id);
        if (!last) return;
        await seen.collection.updateOne(
          { _id: new Types.ObjectId(userId) },
          { $max: { lastSeen: new Date(now()) } },
          { upsert: true },
        );
      })()
        .catch((error: unknown) => log.warn('a departure could not be recorded', { userId, error }))
        .finally(() => departures.delete(departure));
      departures.add(departure);
    },

    async close() {
      unsubscribe();
      for (const timer of waiting.values()) clearTimeout(timer);
      waiting.clear();
      await Promise.all(departures);
    },
  };
}

function combine(statuses: readonly ConnectionStatus[] | undefined): PresenceStatus {
  return RANK.find((status) => statuses?.includes(status)) ?? 'offline';
}

function createSeenModel(connection: Connection): Model<SeenRecord> {
  const schema = new Schema<SeenRecord>({ lastSeen: { type: Date, required: true } }, { versionKey: false });
  return connection.model<SeenRecord>('Seen', schema, 'seen');
}
