/**
 * Named ownership across nodes, kept in the database. A lease has a fence that only grows; a guarded write carries it
 * in its filter, so that an owner that was thought dead and comes back can no longer write.
 */
export interface Lease {
  readonly name: string;
  /** Greater than that of every earlier owner. */
  readonly fence: number;
  /** Aborts when the lease is no longer certain: this node stood still, or lost the database for too long. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface Leases {
  /** Takes the lease if it is free or its owner is dead; undefined if a living node has it. */
  tryAcquire(name: string): Promise<Lease | undefined>;
  /** Waits for it until `timeoutMs`; rejects with `Fault('unavailable')` then. */
  acquire(name: string, timeoutMs: number): Promise<Lease>;
}

/** The nodes of the deployment, known by their heartbeat in the database. */
export interface Nodes {
  /** This node's id: new at every start. */
  readonly id: string;
  /** Whether a node's beat has changed within the time that counts as alive (8 s of this node's monotonic clock). */
  isAlive(nodeId: string): boolean;
  /** Called once for each node that has died, whoever noticed. */
  onDeath(listener: (nodeId: string) => void): () => void;
  close(): Promise<void>;
}
