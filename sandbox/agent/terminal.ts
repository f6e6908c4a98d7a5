/** One terminal: its shell, the end of its output, its screen and who reads it. */
import {
  AGENT_LIMITS,
  ByteRing,
  ProtocolError,
  type AgentMessage,
  type Exit,
  type OpenRequest,
  type Size,
  type TerminalState,
} from '../../src/sandbox/agent-protocol/index.ts';
import type { Source } from '../../src/sandbox/streams/sender.ts';
import { isAlive } from './processes.ts';
import { Pty } from './pty.ts';
import type { Reader } from './reader.ts';
import { Screen } from './screen.ts';
import { startShell } from './start-shell.ts';
import { unfinishedBytes } from './unfinished.ts';

/** The server is told what input was taken with the next output, when it is so much, or after so long. */
const TAKEN_BYTES = AGENT_LIMITS.inputBytes / 4;
const TAKEN_MS = 20;
/** Output that is not on the screen yet; far below the ring, so that what follows a snapshot is always there. */
const SCREEN_WAITS_BYTES = 64 * 1024;

export interface TerminalEvents {
  /** The source may have something to send. */
  wake: (source: Source<AgentMessage>) => void;
  onExit: (terminal: Terminal, exit: Exit) => void;
}

export class Terminal implements Source<AgentMessage> {
  readonly number: number;
  readonly id: string;
  readonly output = new ByteRing(AGENT_LIMITS.ringBytes);
  readonly #events: TerminalEvents;
  readonly #readers = new Set<Reader>();
  readonly #pty: Pty;
  readonly #screen: Screen;
  #exit: Exit | undefined;
  /** Closed: what its programs still say on their way out is nobody's. */
  #isDisposed = false;
  /** Bytes of input that have come, that its programs have taken, and of which the server has been told so. */
  #input = 0;
  #taken = 0;
  #toldTaken = 0;
  #telling: NodeJS.Timeout | undefined;

  /** Throws `ShellFailed`. */
  constructor(number: number, request: OpenRequest, events: TerminalEvents) {
    this.number = number;
    this.id = request.id;
    this.#events = events;
    this.#pty = new Pty(startShell(request), {
      onOutput: (bytes) => this.#onOutput(bytes),
      onExit: (exit) => this.#onExit(exit),
      onTaken: (bytes) => this.#onTaken(bytes),
    });
    this.#screen = new Screen(
      request,
      (text) => this.#pty.input.answer(text),
      () => this.govern(),
    );
  }

  /** How its shell ended; undefined before all of the output has been read. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** The shell's process and session; undefined once another process may have the number. */
  get session(): number | undefined {
    const { pid } = this.#pty;
    // While anything is left of a session, no process gets its number.
    return this.#exit && isAlive(pid) ? undefined : pid;
  }

  get state(): TerminalState {
    const { number, id, exit } = this;
    const [input, taken] = [this.#input, this.#taken];
    return { number, id, seq: this.output.end, input, taken, ...this.#screen.size, ...(exit ? { exit } : {}) };
  }

  add(reader: Reader): void {
    this.#readers.add(reader);
    this.#events.wake(reader);
    this.govern();
  }

  remove(reader: Reader): void {
    this.#readers.delete(reader);
    this.govern();
  }

  /** Input from `offset` of all of it. What has come before is skipped; what would leave a hole is refused. */
  type(offset: number, data: Uint8Array): void {
    const known = this.#input - offset;
    if (known < 0) throw new ProtocolError('message', 'Input with a hole before it');
    if (known >= data.length) return;
    const added = data.slice(known);
    this.#input += added.length;
    if (this.#input - this.#taken > AGENT_LIMITS.inputBytes) throw new ProtocolError('message', 'Too much input');
    this.#pty.input.type(added);
  }

  resize(size: Size): void {
    this.#pty.resize(size.columns, size.rows);
    this.#screen.resize(size);
  }

  /** The screen as bytes, and the position of the output that goes on after them. */
  snapshot(): { seq: number; bytes: Uint8Array; size: Size } {
    const { shown, size } = this.#screen;
    const start = Math.max(this.output.start, shown - 2 * AGENT_LIMITS.chunkBytes);
    const seen = this.output.read(start, shown - start) ?? new Uint8Array(0);
    return { seq: shown - unfinishedBytes(seen), bytes: this.#screen.snapshot(), size };
  }

  /** Runs while somebody keeps up or nobody reads, and the screen keeps up too. */
  govern(): void {
    if (this.#isDisposed) return this.#pty.resume();
    const readers = [...this.#readers];
    const waits = readers.length > 0 && readers.every((reader) => reader.isBehind);
    if (waits || this.#screen.waitingBytes >= SCREEN_WAITS_BYTES) this.#pty.pause();
    else this.#pty.resume();
  }

  next(): AgentMessage[] {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    if (this.#toldTaken === this.#taken) return [];
    this.#toldTaken = this.#taken;
    return [{ type: 'taken', terminal: this.number, input: this.#taken }];
  }

  dispose(): void {
    this.#isDisposed = true;
    clearTimeout(this.#telling);
    this.#readers.clear();
    this.#screen.dispose();
    this.govern();
  }

  #onOutput(bytes: Uint8Array): void {
    if (this.#isDisposed) return;
    this.output.push(bytes);
    this.#screen.write(bytes);
    this.#wakeReaders();
    if (this.#telling) this.#events.wake(this);
    this.govern();
  }

  #onTaken(bytes: number): void {
    this.#taken += bytes;
    if (this.#isDisposed) return;
    if (this.#taken - this.#toldTaken >= TAKEN_BYTES) this.#events.wake(this);
    else this.#telling ??= setTimeout(() => this.#events.wake(this), TAKEN_MS);
  }

  #onExit(exit: Exit): void {
    this.#exit = exit;
    if (this.#isDisposed) return;
    this.#wakeReaders();
    this.#events.onExit(this, exit);
  }

  #wakeReaders(): void {
    for (const reader of this.#readers) this.#events.wake(reader);
  }
}
