/** Sends on one connection: answers first, then what each source has, in turn. */
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import { AGENT_LIMITS, FrameBudget } from '../agent-protocol/index.ts';

/** What may wait in the connection: enough to keep it busy, little enough that a keystroke's echo gets through. */
const CONNECTION_BYTES = 64 * 1024;
/** When the second's frames are spent, what has come up meanwhile goes together after this. */
const PACE_MS = 10;

/** Something that has messages to send, made at the moment when they can go; those of one turn go together. */
export interface Source<M> {
  next(): M[];
}

export class Sender<M> {
  readonly #connection: Duplex;
  readonly #encode: (message: M) => Uint8Array;
  readonly #budget = new FrameBudget(AGENT_LIMITS.framesPerSecond, performance.now());
  readonly #answers: M[] = [];
  readonly #ready = new Set<Source<M>>();
  #isScheduled = false;
  #pace: NodeJS.Timeout | undefined;

  constructor(connection: Duplex, encode: (message: M) => Uint8Array) {
    this.#connection = connection;
    this.#encode = encode;
    connection.on('drain', () => this.#pump());
    connection.once('close', () => clearTimeout(this.#pace));
  }

  /** Answers that the other end has not read yet. */
  get waiting(): number {
    return this.#answers.length;
  }

  answer(message: M): void {
    this.#answers.push(message);
    this.#schedule();
  }

  /** The source may have something to send. */
  wake(source: Source<M>): void {
    this.#ready.add(source);
    this.#schedule();
  }

  forget(source: Source<M>): void {
    this.#ready.delete(source);
  }

  /** Later, when all that has been read at once has been handled: it goes in fewer, larger frames then. */
  #schedule(): void {
    if (this.#isScheduled || this.#pace) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const connection = this.#connection;
    // What goes in one turn is one write.
    connection.cork();
    this.#send();
    connection.uncork();
  }

  #send(): void {
    const connection = this.#connection;
    while (connection.writable && !this.#pace && connection.writableLength < CONNECTION_BYTES) {
      if (this.#answers.length === 0 && this.#ready.size === 0) return;
      if (!this.#budget.take(performance.now())) {
        this.#pace = setTimeout(() => {
          this.#pace = undefined;
          this.#pump();
        }, PACE_MS);
        return;
      }
      const answer = this.#answers.shift();
      for (const message of answer ? [answer] : this.#nextOfSources()) connection.write(this.#encode(message));
    }
  }

  #nextOfSources(): M[] {
    for (const source of this.#ready) {
      this.#ready.delete(source);
      const messages = source.next();
      if (messages.length === 0) continue;
      this.#ready.add(source);
      return messages;
    }
    return [];
  }
}
