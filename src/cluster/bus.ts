/**
 * What nodes say to each other now. A notice may be lost (a node that was away, a broker that came back empty),
 * so nothing is built on it alone: its users compare with the log when the bus is `ready` again and from time to time.
 */
export type BusListener = (data: unknown) => void;

/** `undefined` means "not for me"; anything else is sent back to the node that asked. */
export type BusResponder = (data: unknown) => Promise<unknown>;

export interface Bus {
  /** Tells every subscriber on every node, this one too. Never throws or rejects: what cannot be sent is counted and dropped. */
  publish(topic: string, data: unknown): void;
  /** Returns how to stop. Listeners run in the order of the publishes of one node; one that throws does not stop the rest. */
  subscribe(topic: string, listener: BusListener): () => void;
  /** Asks the responder of a topic on any node; rejects with `Fault('unavailable')` when none has answered in time. */
  request(topic: string, data: unknown, timeoutMs: number): Promise<unknown>;
  respond(topic: string, responder: BusResponder): () => void;
  /** Called when the bus has (re)connected: notices may have been missed before. */
  onReady(listener: () => void): () => void;
  /** False while the broker is out of reach. */
  readonly healthy: boolean;
  close(): Promise<void>;
}

/** The topic that every node listens to: revoked sessions, memberships, blocks. */
export const ALL_NODES = 'all';
