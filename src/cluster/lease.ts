/**
 * Named ownership across nodes, kept in the database. A lease has a fence that only grows; a guarded write carries it
 * in its filter, so that an owner that was thought dead and comes back can no longer write.
 */
import { trusted } from 'mongoose';

export interface Lease {
  readonly name: string;
  /** Greater than that of every earlier owner. */
  readonly fence: number;
  /** Aborts when the lease is no longer certain: this node stood still, or lost the database for too long. */
  readonly lost: AbortSignal;
  /** Lets others have it. To be called for a lost lease too, which this node may still own in their eyes. Never rejects. */
  release(): Promise<void>;
}

export interface Leases {
  /** Takes the lease if it is free or its owner is dead; undefined if a living node has it. */
  tryAcquire(name: string): Promise<Lease | undefined>;
  /** Waits for it until `timeoutMs`; rejects with `Fault('unavailable')` then. */
  acquire(name: string, timeoutMs: number): Promise<Lease>;
  /** The living node that has it, by a look in the database; undefined when it is free. */
  ownerOf(name: string): Promise<string | undefined>;
}

/** The nodes of the deployment, known by their heartbeat in the database. */
export interface Nodes {
  /** This node's id: new at every start. */
  readonly id: string;
  /**
   * Whether a node's beat has changed within the time that counts as alive (8 s of this node's monotonic clock). A node
   * that this one has not met counts as alive until the next look at the database (2 s) has not found it.
   */
  isAlive(nodeId: string): boolean;
  /** Called once for each node that has died or ended, whoever noticed. */
  onDeath(listener: (nodeId: string) => void): () => void;
  close(): Promise<void>;
}

/**
 * The part of a guarded write's filter that lets only the newest owner through; the write itself sets `fence` to
 * `lease.fence`. A document without a fence has had no owner yet.
 */
export const fenceFilter = (lease: Pick<Lease, 'fence'>): { fence: object } => ({
  fence: trusted({ $not: { $gt: lease.fence } }),
});
