/**
 * The side of the node that has a project's sandbox. Viewers may be on any node: there the same port is served by asking
 * this one, so requests and answers are JSON values and `Uint8Array`s.
 */
import type { RecordingInfo, Size, TerminalInfo, TerminalSignal } from './contract.ts';

export interface OpenTerminal {
  terminalId: string;
  size: Size;
  /** A line of shell; without it a login shell. */
  command?: string | undefined;
  /** From the project's root. */
  cwd?: string | undefined;
  env?: Record<string, string> | undefined;
  /** Of the member who opens it: whom git names. */
  author: { name: string; email: string };
}

export interface OfTerminal {
  terminalId: string;
}

/** How a terminal ended. */
export interface TerminalEnd {
  code: number | null;
  signal: string | null;
  reason?: 'closed' | 'lost' | undefined;
}

export type TerminalFrame =
  | { type: 'output'; offset: number; data: Uint8Array }
  /** Replaces all before `offset`. */
  | { type: 'snapshot'; offset: number; size: Size; data: Uint8Array }
  /** The last one. */
  | { type: 'exited'; end: TerminalEnd };

/** All but `read` reject with `not_found` for a terminal that is not there, with `unavailable` where the sandbox is out of reach. */
export interface TerminalOwner {
  /** Finds the one of that id, or opens it. */
  open(request: OpenTerminal): Promise<TerminalInfo>;
  get(request: OfTerminal): Promise<TerminalInfo>;
  list(): Promise<TerminalInfo[]>;
  /** Types. Never twice, also where the answer is lost. */
  input(request: OfTerminal & { data: Uint8Array }): Promise<void>;
  /** What the writers of one node show at least; without `size` there are none any more. Gives the terminal's size. */
  resize(request: OfTerminal & { nodeId: string; size?: Size | undefined }): Promise<Size>;
  signal(request: OfTerminal & { signal: TerminalSignal }): Promise<void>;
  close(request: OfTerminal): Promise<void>;
  record(
    request: OfTerminal & { on?: boolean | undefined },
  ): Promise<Pick<RecordingInfo, 'isOn' | 'sizeBytes' | 'startedAt'>>;
  /**
   * The output from `after` on, as fast as it is taken; a terminal that is not there has ended. Ends without a last
   * frame when `signal` aborts, and fails when the sandbox goes to another node or its node is gone.
   */
  read(request: OfTerminal & { after: number }, signal: AbortSignal): AsyncIterable<TerminalFrame>;
}

/** Finds who has the sandbox of a project; undefined where none runs and `start` does not ask for one. */
export type OwnerOf = (projectId: string, options: { start: boolean }) => Promise<TerminalOwner | undefined>;
