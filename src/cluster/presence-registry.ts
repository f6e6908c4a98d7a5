/** Connections per user over all nodes; those of a dead node vanish by themselves. */
export type ConnectionStatus = 'online' | 'away' | 'busy';

export interface PresenceRegistry {
  /** Adds a connection of this node or changes its status. While out of reach it is kept here and told later. */
  set(userId: string, connectionId: string, status: ConnectionStatus): Promise<void>;
  /**
   * Removes one; `last` when the user has no other connection anywhere. While out of reach nobody knows: `last` is
   * false, and `onGone` says it later if it was so. `vanished`: it fell silent, and has been waited for long enough.
   */
  remove(userId: string, connectionId: string, vanished?: boolean): Promise<{ last: boolean }>;
  /** Statuses of all connections of each user; a user without any is left out. Rejects with `Fault('unavailable')` while out of reach. */
  get(userIds: readonly string[]): Promise<Map<string, ConnectionStatus[]>>;
  /**
   * Called with a user whose connections changed, on any node. `vanished`: they fell silent, or ended with a node that
   * died, and have been waited for long enough.
   */
  onChange(listener: (userId: string, vanished: boolean) => void): () => void;
  /**
   * Called on one node with users whose last connections anywhere are gone, where no `remove` could say it. Waited for,
   * a second at most, before `onChange` tells of them.
   */
  onGone(listener: (userIds: readonly string[]) => Promise<void>): () => void;
  /** Called with false when the registry is out of reach, and with true when it is back: changes may have been missed. */
  onReach(listener: (inReach: boolean) => void): () => void;
  close(): Promise<void>;
}
