/** Connections per user over all nodes; those of a dead node vanish by themselves. */
export type ConnectionStatus = 'online' | 'away' | 'busy';

export interface PresenceRegistry {
  /** Adds a connection of this node or changes its status. */
  set(userId: string, connectionId: string, status: ConnectionStatus): Promise<void>;
  /** Removes one; `last` when the user has no other connection anywhere. */
  remove(userId: string, connectionId: string): Promise<{ last: boolean }>;
  /** Statuses of all connections of each user; a user without any is left out. Rejects with `Fault('unavailable')` while out of reach. */
  get(userIds: readonly string[]): Promise<Map<string, ConnectionStatus[]>>;
  /** Called with a user whose connections changed, on any node. */
  onChange(listener: (userId: string) => void): () => void;
  close(): Promise<void>;
}
