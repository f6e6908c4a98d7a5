/**
 * A shell on its terminal. Its output is all read before its end is told, which node-pty does not do: it closes the
 * terminal 200 ms after the process has ended, read or not, and streams see an end where a hang-up comes before the last
 * bytes are read. So closing is held back here, and what is left is read without the stream.
 */
import { read } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Exit } from '../../src/sandbox/agent-protocol/index.ts';
import { PtyInput } from './pty-input.ts';
import type { Shell } from './start-shell.ts';

/** Processes that a shell leaves behind may hold its terminal: when it was empty so often, so long apart, it is over … */
const EMPTY_TIMES = 5;
const EMPTY_RETRY_MS = 10;
/** … or when so much came: far more than the kernel keeps, so all of it is theirs. */
const AFTER_EXIT_BYTES = 256 * 1024;
/** What one read takes; the kernel gives 4 KiB at most. */
const READ_BYTES = 4 * 1024;

/** The stream by which node-pty reads, of whose insides nothing else is needed. */
type PtySocket = Readable & { readonly _handle: { readStop(): void } };

export interface PtyEvents {
  onOutput: (bytes: Uint8Array) => void;
  /** Called once, after all output. */
  onExit: (exit: Exit) => void;
  /** Of what was typed, so much has been written. */
  onTaken: (bytes: number) => void;
}

export class Pty {
  /** The shell's process; its session has the same number. */
  readonly pid: number;
  readonly input: PtyInput;
  readonly #shell: Shell;
  readonly #socket: PtySocket;
  readonly #close: () => void;
  #isPaused = false;
  /** `streaming` until the shell or its terminal has ended, then `draining` what is left. */
  #state: 'streaming' | 'draining' | 'closed' = 'streaming';
  readonly #onOutput: (bytes: Uint8Array) => void;
  #leftBytes = AFTER_EXIT_BYTES;
  #emptyTimes = 0;
  #isReading = false;

  constructor(shell: Shell, { onOutput, onExit, onTaken }: PtyEvents) {
    this.pid = shell.pid;
    this.#shell = shell;
    this.#onOutput = onOutput;
    this.input = new PtyInput(shell.fd, onTaken);
    const socket = (shell as unknown as { _socket?: PtySocket })._socket;
    if (!socket?._handle) throw new Error('node-pty has no _socket any more');
    this.#socket = socket;
    const destroy = socket.destroy.bind(socket);
    this.#close = () => destroy();
    // Called by node-pty when the process has ended, and by the stream when nothing has the terminal open.
    socket.destroy = () => {
      if (this.#state === 'streaming') this.#startDraining();
      return socket;
    };
    // With a decoder unset it gives bytes, which its type does not say.
    (shell.onData as unknown as (listener: (bytes: Uint8Array) => void) => void)(onOutput);
    shell.onExit(({ exitCode, signal = 0 }) => onExit({ code: exitCode & 255, signal }));
  }

  /** Reads no further until `resume`; its programs wait once the kernel's buffer is full. */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    if (this.#state === 'streaming') this.#shell.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#state === 'streaming') this.#shell.resume();
    else this.#drain();
  }

  resize(columns: number, rows: number): void {
    // Its descriptor may be another's by then.
    if (this.#state !== 'closed') this.#shell.resize(columns, rows);
  }

  #startDraining(): void {
    this.#state = 'draining';
    this.#shell.pause();
    // What a paused stream has read already comes as data, …
    this.#socket.read();
    // … and it is not to read more.
    this.#socket._handle.readStop();
    this.#drain();
  }

  #drain(): void {
    if (this.#state !== 'draining' || this.#isPaused || this.#isReading) return;
    this.#isReading = true;
    const buffer = new Uint8Array(READ_BYTES);
    read(this.#shell.fd, buffer, 0, READ_BYTES, null, (error, length) => {
      this.#isReading = false;
      if (error?.code === 'EAGAIN' && ++this.#emptyTimes < EMPTY_TIMES) {
        setTimeout(() => this.#drain(), EMPTY_RETRY_MS);
        return;
      }
      if (error || length === 0 || this.#leftBytes <= 0) return this.#closeNow();
      this.#emptyTimes = 0;
      this.#leftBytes -= length;
      this.#onOutput(buffer.subarray(0, length));
      this.#drain();
    });
  }

  #closeNow(): void {
    this.#state = 'closed';
    this.input.stop();
    this.#close();
  }
}
