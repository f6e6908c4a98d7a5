/** What the ends say to each other. docs/agent-protocol.md says what each message means. */
import type { EndCode } from './protocol-error.ts';

export const VERSION = 1;

/** What a connection is for: terminals, or tunnels and file bytes, which must not slow them. */
export const ROLES = ['terminal', 'bulk'] as const;
export type Role = (typeof ROLES)[number];

/** How a terminal's first process ended: its code, or the signal (0 if none) that ended it. */
export interface Exit {
  code: number;
  signal: number;
}

export interface Size {
  columns: number;
  rows: number;
}

/** A terminal that the agent has when it says hello. */
export interface TerminalState extends Size {
  number: number;
  id: string;
  /** Position after its last byte of output. */
  seq: number;
  /** Bytes of input that have come for it … */
  input: number;
  /** … and of those, how many its programs have been given. */
  taken: number;
  exit?: Exit | undefined;
}

export interface Hello {
  version: number;
  role: Role;
  /** The highest fence that the agent knows. */
  fence: number;
  secret: string;
  terminals: TerminalState[];
}

/** What is run in a new terminal, and how. */
export interface OpenRequest extends Size {
  /** The caller's name for it, which hello repeats. */
  id: string;
  argv: string[];
  /** All of the environment: nothing is inherited. */
  env: Record<string, string>;
  cwd: string;
  /** Who the shell will run as: the terminal device is made theirs. `argv` has to change to them itself. */
  owner?: { uid: number; gid: number } | undefined;
}

/** What is run without a terminal. */
export interface SpawnRequest {
  argv: string[];
  /** All of the environment: nothing is inherited. */
  env: Record<string, string>;
  cwd: string;
}

export const OPEN_FAILURES = ['fork', 'limit'] as const;
export type OpenFailure = (typeof OPEN_FAILURES)[number];

/** Signals by name, with the numbers that Linux gives them on the machines that sandboxes run on. */
export const SIGNALS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGTSTP: 20,
} as const;
export type SignalName = keyof typeof SIGNALS;

/** Streams that an agent opens are numbered from here on, those of a server below. */
export const FIRST_AGENT_STREAM = 2 ** 31;

/** Why a stream could not be opened, with its number: no process, too many of them, nobody listens. */
export const UNABLE = { fork: 1, limit: 2, port: 3 } as const;
export type UnableCode = keyof typeof UNABLE;

/** What both ends say of a stream. */
export type StreamMessage =
  | { type: 'data'; stream: number; data: Uint8Array }
  | { type: 'finish'; stream: number }
  | { type: 'reset'; stream: number }
  | { type: 'more'; stream: number; bytes: number };

export type AgentStreamMessage =
  | StreamMessage
  | { type: 'started'; stream: number }
  | { type: 'unable'; stream: number; code: UnableCode }
  | { type: 'ended'; stream: number; exit: Exit }
  | { type: 'incoming'; stream: number; listener: string };

export type ServerStreamMessage =
  | StreamMessage
  | { type: 'spawn'; stream: number; request: SpawnRequest }
  | { type: 'connect'; stream: number; port: number }
  | { type: 'kill'; stream: number; signal: SignalName };

export type AgentMessage =
  | AgentStreamMessage
  | { type: 'hello'; hello: Hello }
  | { type: 'opened'; terminal: number }
  | { type: 'failed'; terminal: number; code: OpenFailure; message: string }
  | { type: 'exited'; terminal: number; seq: number; exit: Exit }
  | { type: 'closed'; terminal: number }
  | { type: 'taken'; terminal: number; input: number }
  | { type: 'output'; attachment: number; seq: number; data: Uint8Array }
  | ({
      type: 'snapshot';
      attachment: number;
      seq: number;
      totalBytes: number;
      offset: number;
      data: Uint8Array;
    } & Size)
  | { type: 'end'; attachment: number; seq: number; exit: Exit }
  | { type: 'gone'; attachment: number }
  | { type: 'killed'; request: number; processes: number }
  | { type: 'counted'; request: number; bytes: number };

export type ServerMessage =
  | ServerStreamMessage
  | { type: 'welcome'; fence: number }
  | { type: 'refused'; code: EndCode; message: string }
  | { type: 'open'; terminal: number; request: OpenRequest }
  | { type: 'input'; terminal: number; offset: number; data: Uint8Array }
  | ({ type: 'resize'; terminal: number } & Size)
  | { type: 'signal'; terminal: number; signal: SignalName }
  | { type: 'close'; terminal: number }
  | { type: 'attach'; attachment: number; terminal: number; after: number; creditBytes: number }
  | { type: 'credit'; attachment: number; bytes: number }
  | { type: 'detach'; attachment: number }
  | { type: 'kill-all'; request: number }
  | { type: 'count'; request: number };
