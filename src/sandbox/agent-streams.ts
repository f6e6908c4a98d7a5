/** What a sandbox's bulk link carries: processes without a terminal, and connections from and to its ports. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Exit, SignalName, SpawnRequest } from './agent-protocol/index.ts';

export type { SpawnRequest } from './agent-protocol/index.ts';

/** Ends with the link: `exited` rejects with `unavailable` and its streams are destroyed. */
export interface SandboxProcess {
  readonly stdin: Writable;
  /** All output before the exit can be read, also after it. Not reading one of them holds up only this process. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles once both outputs have been read to their ends. */
  readonly exited: Promise<Exit>;
  /** To its process group; with SIGKILL all that it started in its session. */
  kill(signal: SignalName): void;
}

export interface AgentStreams {
  readonly isConnected: boolean;
  /**
   * Rejects with `unavailable` where no process can be started or there is no link, `quota_exceeded` when there are too
   * many streams, `invalid` and `too_large` as `AgentLink.open`. An aborted one is killed.
   */
  spawn(request: SpawnRequest, signal?: AbortSignal): Promise<SandboxProcess>;
  /**
   * Connects to a port of the sandbox's loopback, 127.0.0.1, then ::1. Rejects with `upstream` when nobody listens, and
   * as `spawn`. Both ends may end their half and read on; destroying it resets the connection.
   */
  connect(port: number, signal?: AbortSignal): Promise<Duplex>;
  /**
   * Takes what programs of the sandbox open to the agent's listener of that name (`npm`, `pip`). One taker a name;
   * without one they are refused. Returns how to stop.
   */
  accept(listener: string, take: (stream: Duplex) => void): () => void;
  /** Called whenever the link is there (again). Returns how to stop. */
  onConnected(listener: () => void): () => void;
}
