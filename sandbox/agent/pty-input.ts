/** Writes what is typed into a terminal, as fast as its programs read it. node-pty itself would spin while they do not. */
import { writeSync } from 'node:fs';
import { AGENT_LIMITS } from '../../src/sandbox/agent-protocol/index.ts';

/** A terminal that takes nothing is tried again after this, and then ever more slowly … */
const RETRY_MS = 5;
/** … up to this, which somebody who types does not notice. */
const RETRY_MOST_MS = 50;

interface Item {
  bytes: Uint8Array;
  /** Not typed, but an answer of the screen to a program. */
  isAnswer: boolean;
}

export class PtyInput {
  readonly #fd: number;
  readonly #onTaken: (typedBytes: number) => void;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #retryMs = RETRY_MS;
  /** While the terminal takes nothing. */
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** `fd` does not block. `onTaken` hears of what was typed and has now been written. */
  constructor(fd: number, onTaken: (typedBytes: number) => void) {
    this.#fd = fd;
    this.#onTaken = onTaken;
  }

  /** Typed: the sender keeps to the limit, by what `onTaken` says. */
  type(bytes: Uint8Array): void {
    this.#push({ bytes, isAnswer: false });
  }

  /** An answer is dropped when nobody reads: a program may ask for ever. */
  answer(text: string): void {
    if (this.#queuedBytes < AGENT_LIMITS.inputBytes) this.#push({ bytes: Buffer.from(text), isAnswer: true });
  }

  /** Nothing is written any more: the descriptor may be closed. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    this.#queue.length = 0;
  }

  #push(item: Item): void {
    if (this.#isStopped) return;
    this.#queue.push(item);
    this.#queuedBytes += item.bytes.length;
    if (!this.#retry) this.#write();
  }

  #write(): void {
    for (let item = this.#queue[0]; item; item = this.#queue[0]) {
      const written = this.#writeOnce(item.bytes);
      if (written === undefined) return this.#writeLater();
      this.#retryMs = RETRY_MS;
      this.#queuedBytes -= written;
      item.bytes = item.bytes.subarray(written);
      if (item.bytes.length === 0) this.#queue.shift();
      if (!item.isAnswer) this.#onTaken(written);
    }
  }

  /** How much it took; undefined while it takes nothing. In the caller's turn: a keystroke is not to wait for a thread. */
  #writeOnce(bytes: Uint8Array): number | undefined {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      // Otherwise nobody will ever read it.
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? undefined : bytes.length;
    }
  }

  #writeLater(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#write();
    }, this.#retryMs);
    this.#retryMs = Math.min(RETRY_MOST_MS, 2 * this.#retryMs);
  }
}
