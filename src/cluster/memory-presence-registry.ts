/** The presence registry of a node that is alone: its connections end with it, so nothing has to expire. */
import type { ConnectionStatus, PresenceRegistry } from './presence-registry.ts';

export function createMemoryPresenceRegistry(): PresenceRegistry {
  const users = new Map<string, Map<string, ConnectionStatus>>();
  const listeners = new Set<{ call: (userId: string, vanished: boolean) => void }>();

  const changed = (userId: string, vanished: boolean): void => {
    for (const { call } of listeners) call(userId, vanished);
  };

  return {
    async set(userId, connectionId, status) {
      const connections = users.get(userId) ?? new Map<string, ConnectionStatus>();
      if (connections.get(connectionId) === status) return;
      users.set(userId, connections.set(connectionId, status));
      changed(userId, false);
    },

    async remove(userId, connectionId, vanished = false) {
      const connections = users.get(userId);
      const removed = connections?.delete(connectionId) ?? false;
      if (connections?.size === 0) users.delete(userId);
      if (removed) changed(userId, vanished);
      return { last: !users.has(userId) };
    },

    async get(userIds) {
      const found = new Map<string, ConnectionStatus[]>();
      for (const userId of userIds) {
        const connections = users.get(userId);
        if (connections) found.set(userId, [...connections.values()]);
      }
      return found;
    },

    onChange(call) {
      const entry = { call };
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },

    onGone: () => () => {},
    onReach: () => () => {},

    async close() {
      users.clear();
      listeners.clear();
    },
  };
}
