/**
 * A shell on its terminal. Its output is all read before its end is told: node-pty closes the terminal 200 ms after the
 * process has ended, whether what is in it has been read or not, so closing is held back here.
 */
import type { Readable } from 'node:stream';
import type { Exit } from '../../src/sandbox/agent-protocol/index.ts';
import { PtyInput } from './pty-input.ts';
import type { Shell } from './start-shell.ts';

/** After the shell's end, processes that it leaves behind may hold the terminal: when so long nothing came, it is over. */
const QUIET_MS = 50;
/** … or when so much came: far more than the kernel keeps, so all of it is theirs. */
const AFTER_EXIT_BYTES = 256 * 1024;

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
  readonly #socket: Readable;
  readonly #close: () => void;
  #isPaused = false;
  /** What may still be read, once the shell has ended. */
  #leftBytes: number | undefined;
  #isAtEnd = false;
  #isClosing = false;
  #quiet: NodeJS.Timeout | undefined;

  constructor(shell: Shell, { onOutput, onExit, onTaken }: PtyEvents) {
    this.pid = shell.pid;
    this.#shell = shell;
    this.input = new PtyInput(shell.fd, onTaken);
    const socket = (shell as unknown as { _socket?: Readable })._socket;
    if (!socket) throw new Error('node-pty has no _socket any more');
    this.#socket = socket;
    const destroy = socket.destroy.bind(socket);
    this.#close = () => destroy();
    // Called by node-pty when the process has ended, and by the stream with an error when nothing has the terminal open.
    socket.destroy = (error) => {
      if (error) this.#isAtEnd = true;
      else this.#leftBytes ??= AFTER_EXIT_BYTES;
      this.#closeWhenDrained();
      return socket;
    };
    // With a decoder unset it gives bytes, which its type does not say.
    (shell.onData as unknown as (listener: (bytes: Uint8Array) => void) => void)((bytes) => {
      onOutput(bytes);
      if (this.#leftBytes !== undefined) this.#leftBytes -= bytes.length;
      this.#closeWhenDrained();
    });
    shell.onExit(({ exitCode, signal = 0 }) => onExit({ code: exitCode & 255, signal }));
  }

  /** Reads no further until `resume`; its programs wait once the kernel's buffer is full. */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    clearTimeout(this.#quiet);
    this.#shell.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#shell.resume();
    this.#closeWhenDrained();
  }

  resize(columns: number, rows: number): void {
    // Its descriptor may be another's by then.
    if (!this.#isClosing) this.#shell.resize(columns, rows);
  }

  #closeWhenDrained(): void {
    clearTimeout(this.#quiet);
    if (this.#isClosing) return;
    if (this.#isAtEnd && this.#socket.readableLength === 0) return this.#closeNow();
    if (this.#leftBytes === undefined || this.#isPaused) return;
    if (this.#leftBytes <= 0) return this.#closeNow();
    const seen = this.#leftBytes;
    // Immediates run after what can be read has been read: a busy loop alone is no quiet.
    this.#quiet = setTimeout(() => {
      setImmediate(() => {
        if (seen === this.#leftBytes && !this.#isPaused) this.#closeNow();
      });
    }, QUIET_MS);
  }

  #closeNow(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.input.stop(this.#close);
  }
}
