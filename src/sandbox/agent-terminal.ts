/** A terminal in a sandbox as its server knows it: what is to be told to its agent again after a break. */
import { Fault, withResolvers } from '../protocol/index.ts';
import {
  AGENT_LIMITS,
  ProtocolError,
  type Exit,
  type OpenRequest,
  type ServerMessage,
  type Size,
  type TerminalState,
} from './agent-protocol/index.ts';

export type SendToAgent = (message: ServerMessage) => void;

export class AgentTerminal {
  readonly id: string;
  readonly number: number;
  readonly #send: SendToAgent;
  /** What is to be run, until the agent has said that it is. */
  #request: OpenRequest | undefined;
  readonly #opened = withResolvers();
  #size: Size;
  #exit: Exit | undefined;
  #isClosed = false;
  /** Of the input: how much the terminal's programs have taken, how much there has been, and the end of it. */
  #taken = 0;
  #input = 0;
  #kept: Buffer = Buffer.alloc(0);

  private constructor(id: string, number: number, size: Size, send: SendToAgent) {
    this.id = id;
    this.number = number;
    this.#size = size;
    this.#send = send;
    // Whoever asked hears of it; nobody has to.
    this.#opened.promise.catch(() => {});
  }

  /** A new one, which the agent is asked for by `resume`. */
  static new(number: number, request: OpenRequest, send: SendToAgent): AgentTerminal {
    const terminal = new AgentTerminal(request.id, number, request, send);
    terminal.#request = request;
    return terminal;
  }

  /** One that the agent has from before this server's start. */
  static adopt(state: TerminalState, send: SendToAgent): AgentTerminal {
    const terminal = new AgentTerminal(state.id, state.number, state, send);
    terminal.#taken = state.taken;
    terminal.#input = state.input;
    terminal.#exit = state.exit;
    terminal.#opened.resolve();
    return terminal;
  }

  /** Resolves when it is open; rejects with a Fault. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  get isOpen(): boolean {
    return this.#request === undefined;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  get size(): Size {
    return { columns: this.#size.columns, rows: this.#size.rows };
  }

  /** Types. Throws `rate_limited` when the terminal's programs do not read what was typed before. */
  type(data: Uint8Array): void {
    if (this.#input - this.#taken + data.length > AGENT_LIMITS.inputBytes) {
      throw new Fault('rate_limited', 'The terminal does not read what was typed', { retryAfterMs: 1_000 });
    }
    const offset = this.#input;
    this.#input += data.length;
    this.#kept = Buffer.concat([this.#kept, data]);
    this.#sendInput(offset, data);
  }

  resize({ columns, rows }: Size): void {
    this.#size = { columns, rows };
    this.#send({ type: 'resize', terminal: this.number, columns, rows });
  }

  close(): void {
    this.#isClosed = true;
    this.#send({ type: 'close', terminal: this.number });
    this.#opened.reject(new Fault('conflict', 'The terminal was closed'));
  }

  /** The agent is there again, without having it: it is asked for again if it never was open. Otherwise false: it is lost. */
  missing(): boolean {
    if (!this.#request) return false;
    this.#send({ type: 'open', terminal: this.number, request: this.#request });
    return true;
  }

  /** The agent is there again and has it. */
  resume(state: TerminalState): void {
    if (this.#isClosed) return this.#send({ type: 'close', terminal: this.number });
    const { input, taken, columns, rows } = state;
    if (taken > input || taken < this.#taken || input > this.#input) throw new ProtocolError('message', 'Wrong input');
    if (state.id !== this.id) throw new ProtocolError('message', 'Another terminal under the same number');
    this.onOpened();
    this.onTaken(taken);
    const keptFrom = this.#input - this.#kept.length;
    if (input < keptFrom) throw new ProtocolError('message', 'Input that is lost');
    this.#sendInput(input, this.#kept.subarray(input - keptFrom));
    if (columns !== this.#size.columns || rows !== this.#size.rows) this.resize(this.#size);
    if (state.exit) this.#exit = state.exit;
  }

  onOpened(): void {
    this.#request = undefined;
    this.#opened.resolve();
  }

  fail(fault: Fault): void {
    this.#opened.reject(fault);
  }

  onTaken(taken: number): void {
    if (taken < this.#taken || taken > this.#input) throw new ProtocolError('message', 'Input that was not sent');
    this.#taken = taken;
    this.#kept = this.#kept.subarray(Math.max(0, taken - (this.#input - this.#kept.length)));
  }

  onExited(exit: Exit): void {
    this.#exit = exit;
  }

  #sendInput(offset: number, data: Uint8Array): void {
    const { chunkBytes } = AGENT_LIMITS;
    for (let from = 0; from < data.length; from += chunkBytes) {
      const part = data.subarray(from, from + chunkBytes);
      this.#send({ type: 'input', terminal: this.number, offset: offset + from, data: part });
    }
  }
}
