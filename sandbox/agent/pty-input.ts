/** Writes what is typed into a terminal, as fast as its programs read it. node-pty itself would spin while they do not. */
import { write } from 'node:fs';
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
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #stopped: (() => void) | undefined;

  /** `onTaken` hears of what was typed and has now been written. */
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

  /** Calls back when no write is under way any more: only then the descriptor may be closed. */
  stop(onStopped: () => void): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#stopped = onStopped;
    if (!this.#isWriting) onStopped();
  }

  #push(item: Item): void {
    if (this.#stopped) return;
    this.#queue.push(item);
    this.#queuedBytes += item.bytes.length;
    if (this.#queue.length === 1) this.#write();
  }

  #write(): void {
    const [item] = this.#queue;
    if (!item) return;
    this.#isWriting = true;
    write(this.#fd, item.bytes, (error, written) => {
      this.#isWriting = false;
      if (this.#stopped) return this.#stopped();
      if (!error) return this.#wrote(item, written);
      // Nobody will ever read it.
      if (error.code !== 'EAGAIN') return this.#wrote(item, item.bytes.length);
      this.#timer = setTimeout(() => this.#write(), this.#retryMs);
      this.#retryMs = Math.min(RETRY_MOST_MS, 2 * this.#retryMs);
    });
  }

  #wrote(item: Item, bytes: number): void {
    this.#retryMs = RETRY_MS;
    this.#queuedBytes -= bytes;
    item.bytes = item.bytes.subarray(bytes);
    if (item.bytes.length === 0) this.#queue.shift();
    if (!item.isAnswer) this.#onTaken(bytes);
    this.#write();
  }
}
