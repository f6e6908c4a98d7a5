/** One reader of a terminal in a sandbox. It outlives connections of the agent: nothing is missed or given twice. */
import {
  AGENT_LIMITS,
  ProtocolError,
  type AgentMessage,
  type Exit,
  type ServerMessage,
  type Size,
} from './agent-protocol/index.ts';

/** A screen to begin with where the output asked for is no longer kept. */
export interface ScreenSnapshot extends Size {
  /** The output that follows goes on from here. */
  seq: number;
  /** For an empty terminal of that size. */
  data: Uint8Array;
}

export interface AttachmentEvents {
  /** `seq`: position of the first byte in all of the terminal's output. */
  onOutput: (data: Uint8Array, seq: number) => void;
  onSnapshot: (snapshot: ScreenSnapshot) => void;
  /** The shell has ended, and all of its output has been given. */
  onExit: (exit: Exit) => void;
  /** The terminal is no more, and how it ended is not known; or it was closed. */
  onLost: () => void;
}

export interface AttachmentDeps {
  number: number;
  /** The terminal's number. */
  terminal: number;
  send: (message: ServerMessage) => void;
  events: AttachmentEvents;
}

type OfAttachment<T> = Extract<AgentMessage, { type: T }>;

export class AgentAttachment {
  readonly #deps: AttachmentDeps;
  #position: number;
  #creditBytes: number;
  /** Told of its end, or no longer interested: what the agent still sends is counted and dropped. */
  #isOver = false;
  /** Parts of a snapshot that is not complete. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  /** Reads from the position `after` on, at first `creditBytes`. */
  constructor(deps: AttachmentDeps, after: number, creditBytes: number) {
    this.#deps = deps;
    this.#position = after;
    this.#creditBytes = Math.min(creditBytes, AGENT_LIMITS.creditBytes);
  }

  /** The terminal's number. */
  get terminal(): number {
    return this.#deps.terminal;
  }

  /** After the last byte that was given: where to go on after a restart. */
  get position(): number {
    return this.#position;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Takes so many bytes more: called as what was given has been used. */
  grant(bytes: number): void {
    if (this.#isOver) return;
    const granted = Math.min(bytes, AGENT_LIMITS.creditBytes - this.#creditBytes);
    if (granted <= 0) return;
    this.#creditBytes += granted;
    this.#deps.send({ type: 'credit', attachment: this.#deps.number, bytes: granted });
  }

  /** Is told nothing any more. */
  detach(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.send({ type: 'detach', attachment: this.#deps.number });
  }

  /** A new connection: goes on where the last one ended. */
  resume(): void {
    this.#parts = [];
    this.#partBytes = 0;
    this.#creditBytes = Math.max(0, this.#creditBytes);
    const { number, terminal, send } = this.#deps;
    send({ type: 'attach', attachment: number, terminal, after: this.#position, creditBytes: this.#creditBytes });
  }

  lose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.events.onLost();
  }

  output({ seq, data }: OfAttachment<'output'>): void {
    if (seq !== this.#position) throw new ProtocolError('message', `Output at ${seq} instead of ${this.#position}`);
    if (data.length > this.#creditBytes) throw new ProtocolError('message', 'More output than was asked for');
    this.#creditBytes -= data.length;
    this.#position += data.length;
    // A copy: a view would keep all that was read with it.
    if (!this.#isOver) this.#deps.events.onOutput(data.slice(), seq);
  }

  /** Gives whether the snapshot is complete; if not, its next part has to come at once. */
  snapshot({ seq, columns, rows, totalBytes, offset, data }: OfAttachment<'snapshot'>): boolean {
    if (this.#creditBytes <= 0) throw new ProtocolError('message', 'A snapshot that was not asked for');
    if (offset !== this.#partBytes) throw new ProtocolError('message', 'Parts of a snapshot that do not fit');
    this.#parts.push(data);
    this.#partBytes += data.length;
    if (this.#partBytes < totalBytes) return false;
    const whole = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    this.#creditBytes -= whole.length;
    this.#position = seq;
    if (!this.#isOver) this.#deps.events.onSnapshot({ seq, columns, rows, data: whole });
    return true;
  }

  exit({ seq, exit }: OfAttachment<'end'>): void {
    if (seq !== this.#position) throw new ProtocolError('message', 'An end before the end');
    if (this.#isOver) return;
    this.detach();
    this.#deps.events.onExit(exit);
  }
}
