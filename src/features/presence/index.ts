/** Who is there. A user's presence comes from all of their connections; changes are told after a moment's calm. */
import type { Connection } from 'mongoose';
import { systemClock, type Clock } from '../../cluster/clock.ts';
import type { ConnectionStatus, PresenceRegistry } from '../../cluster/presence-registry.ts';
import type { Log } from '../../observability/log.ts';
import { connectionOf, Fault, LIMITS, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Blocks } from '../blocks/index.ts';
import { Announcer } from './announcer.ts';
import type { Presence, PresenceStatus, presenceContract, presenceEvents } from './contract.ts';
import { LastSeen } from './last-seen.ts';
import { Watches } from './watches.ts';

export interface PresenceDeps {
  connection: Connection;
  registry: PresenceRegistry;
  rooms: Rooms<typeof presenceEvents>;
  blocks: Blocks;
  /** Which of the users share a chat with `userId`. */
  sharing: (userId: string, otherIds: readonly string[]) => Promise<Set<string>>;
  /** Tells on every node of users who are no longer in some chat. Returns how to stop. */
  onLeft: (listener: (userIds: readonly string[]) => void) => () => void;
  log: Log;
  now: () => number;
  clock?: Clock;
}

export interface PresenceFeature {
  handlers: Handlers<typeof presenceContract>;
  connected(connection: { id: string; userId: string }): Promise<void>;
  /** `vanished`: it did not end but fell silent. */
  disconnected(connection: { id: string; userId: string }, vanished: boolean): void;
  /** Removes what is kept of somebody whose account has ended. */
  forgetUser(userId: string): Promise<void>;
  close(): Promise<void>;
}

/** The most present first. */
const RANK: readonly ConnectionStatus[] = ['busy', 'online', 'away'];

export function createPresence(deps: PresenceDeps): PresenceFeature {
  const { registry, rooms, blocks, log, now, clock = systemClock } = deps;
  const lastSeen = new LastSeen(deps.connection);
  const watches = new Watches({ rooms, visible });
  const announcer = new Announcer({ rooms, read, log });
  /** What goes on without anybody who waits for it. */
  const background = new Set<Promise<void>>();

  const inBackground = (what: string, work: Promise<void>): void => {
    const task = work.catch((error: unknown) => log.warn(what, { error })).finally(() => background.delete(task));
    background.add(task);
  };

  async function visible(userId: string, otherIds: readonly string[]): Promise<Set<string>> {
    const [shared, blocked] = await Promise.all([deps.sharing(userId, otherIds), blocks.between(userId, otherIds)]);
    return new Set(otherIds.filter((id) => shared.has(id) && !blocked.has(id)));
  }

  async function read(userIds: readonly string[]): Promise<Presence[]> {
    let connections: Map<string, ConnectionStatus[]>;
    try {
      connections = await registry.get(userIds);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return userIds.map((userId) => ({ userId, status: 'unknown', lastSeen: null }));
    }
    const seen = await lastSeen.of(userIds.filter((userId) => !connections.has(userId)));
    return userIds.map((userId) => ({
      userId,
      status: combine(connections.get(userId)),
      lastSeen: seen.get(userId) ?? null,
    }));
  }

  const stops = [
    registry.onChange((userId, vanished) => announcer.changed(userId, vanished)),
    registry.onGone((userIds) => lastSeen.note(userIds, new Date(now()))),
    // Out of reach nobody knows; back in reach the registry fills up in the moment that changes are waited for.
    registry.onReach(() => {
      for (const userId of watches.watched()) announcer.changed(userId);
    }),
    blocks.onChange((userId, otherId, blocked) => {
      if (blocked) watches.part(userId, otherId);
    }),
    deps.onLeft((userIds) => inBackground('Watches of presence could not be checked', watches.recheck(userIds))),
    clock.every(LIMITS.headCompareMs, () => {
      announcer.sweep();
      watches.sweep();
    }),
  ];

  return {
    handlers: {
      async 'presence:set'({ status }, context) {
        await registry.set(context.session.userId, connectionOf(context), status);
        return {};
      },
      async 'presence:get'({ userIds }, { session: { userId } }) {
        return { items: await read([...(await visible(userId, [...new Set(userIds)]))]) };
      },
      async 'presence:watch'(input, context) {
        const { userId } = context.session;
        const { userIds, first } = await watches.replace(connectionOf(context), userId, [...new Set(input.userIds)]);
        // Joined first, read second: what changes from here on is an event.
        const items = await read(userIds);
        for (const presence of items) announcer.answered(presence, first.has(presence.userId));
        return { items };
      },
    },

    async connected({ id, userId }) {
      await registry.set(userId, id, 'online');
    },

    disconnected({ id, userId }, vanished) {
      watches.disconnected(id);
      const leave = async (): Promise<void> => {
        const { last } = await registry.remove(userId, id, vanished);
        if (last) await lastSeen.note([userId], new Date(now()));
      };
      inBackground('A departure could not be recorded', leave());
    },

    forgetUser: (userId) => lastSeen.forget(userId),

    async close() {
      for (const stop of stops) stop();
      await announcer.close();
      await Promise.all(background);
    },
  };
}

function combine(statuses: readonly ConnectionStatus[] | undefined): PresenceStatus {
  return RANK.find((status) => statuses?.includes(status)) ?? 'offline';
}
