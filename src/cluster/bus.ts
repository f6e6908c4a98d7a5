/**
 * What nodes say to each other now. A notice may be lost (a node that was away, a broker that came back empty),
 * so nothing is built on it alone: its users compare with the log when the bus is `ready` again and from time to time.
 */
/**
 * Data are JSON values and `Uint8Array`s, at most `LIMITS.busMessageBytes` together (larger ones stay in this node), and
 * belong to the bus once published. From another node a `Uint8Array` arrives as a `Buffer`, which is one.
 */
export type BusListener = (data: unknown) => void;

/** `undefined` means "not for me"; anything else is sent back to the node that asked. */
export type BusResponder = (data: unknown) => Promise<unknown>;

export interface Bus {
  /** Tells every subscriber on every node, this one too. Never throws or rejects: what cannot be sent is counted and dropped. */
  publish(topic: string, data: unknown): void;
  /** As `publish`, to the other nodes only: for what this node has dealt with itself already. */
  relay(topic: string, data: unknown): void;
  /**
   * Returns how to stop. Listeners run in the order of the publishes of one node (on a Redis Cluster: of those on one
   * topic); one that throws does not stop the rest.
   */
  subscribe(topic: string, listener: BusListener): () => void;
  /**
   * Resolves when what any node publishes or asks on a topic of this node's from now on reaches it, or when the broker
   * is out of reach: then `onReady` follows. Never rejects.
   */
  listening(topic: string): Promise<void>;
  /** Asks the responders of a topic on all nodes; rejects with `Fault('unavailable')` when none has answered in time. */
  request(topic: string, data: unknown, timeoutMs: number): Promise<unknown>;
  respond(topic: string, responder: BusResponder): () => void;
  /** Called when notices may have been missed: this node's bus is back, or that of another which could not send some. */
  onReady(listener: () => void): () => void;
  /** No other node can be there: what would be relayed need not be made. */
  readonly alone: boolean;
  /** False while the broker is out of reach. */
  readonly healthy: boolean;
  close(): Promise<void>;
}

/** The topic that every node listens to: revoked sessions, memberships, blocks. */
export const ALL_NODES = 'all';
