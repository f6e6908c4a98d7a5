/**
 * Streams of bytes between nodes, for what can flood: output of terminals, tunnels, files. The reader says how much it
 * will take, so neither a node nor the broker between them ever has to keep more than that. Nothing is lost silently:
 * a stream that missed something fails.
 */
export interface ByteSink {
  /** Resolves when the reader has room for more. Rejects when the stream was cancelled or its reader is gone. */
  write(chunk: Uint8Array): Promise<void>;
}

/** The stream ends when it resolves, and fails when it rejects: a Fault reaches the reader as it is. */
export type StreamSource = (request: unknown, sink: ByteSink, signal: AbortSignal) => Promise<void>;

export interface ServeOptions {
  /** Whether a request that names no node is for this one; without it every one is. */
  accepts?: (request: unknown) => boolean;
}

export interface OpenOptions {
  /** The node that has it; without one all are asked. */
  nodeId?: string;
  signal?: AbortSignal;
}

export interface PulledStreams {
  /** Answers `open` of the name, from any node. Returns how to stop; streams under way go on. */
  serve(name: string, source: StreamSource, options?: ServeOptions): () => void;
  /**
   * Opens when it is first read, and is cancelled when its reader leaves the loop. Fails with the source's Fault, with
   * `not_found` when the node does not serve the name, and with `unavailable` when no node has it, when its node has
   * not been heard of for 15 s, or when a part was lost on the way. Requests are JSON values and `Uint8Array`s.
   */
  open(name: string, request: unknown, options?: OpenOptions): AsyncIterable<Uint8Array>;
  /** Ends all streams in both directions. */
  close(): Promise<void>;
}

/** What travels. Each names the stream by the id that its reader gave it. */
export type StreamMessage =
  | { type: 'open'; id: string; from: string; name: string; request: unknown; upTo: number }
  /** How many bytes of the stream may have been sent; also the reader's sign of life. */
  | { type: 'pull'; id: string; from: string; upTo: number }
  | { type: 'cancel'; id: string }
  | { type: 'data'; id: string; offset: number; data: Uint8Array }
  /** The source's sign of life: how much has been sent. */
  | { type: 'alive'; id: string; offset: number }
  | { type: 'end'; id: string; offset: number }
  | { type: 'failed'; id: string; code: string; message: string };

/** Sends to the node that is meant; may be lost. */
export type SendMessage = (nodeId: string, message: StreamMessage) => void;

/** Signs of life go this often … */
export const ALIVE_MS = 5_000;
/** … and who gave none for this long is gone. */
export const SILENT_MS = 15_000;
