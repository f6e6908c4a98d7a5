/** Sends on one connection: answers first, then what each source has, in turn. */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import {
  AGENT_LIMITS,
  encodeAgentMessage,
  FrameBudget,
  type AgentMessage,
} from '../../src/sandbox/agent-protocol/index.ts';

/** What may wait in the socket: enough to keep it busy, little enough that a keystroke's echo gets through. */
const SOCKET_BYTES = 64 * 1024;
/** When the second's frames are spent, what has come up meanwhile goes together after this. */
const PACE_MS = 10;

/** Something that has messages to send, made at the moment when they can go; those of one turn go together. */
export interface Source {
  next(): AgentMessage[];
}

export class Sender {
  readonly #socket: Socket;
  readonly #budget = new FrameBudget(AGENT_LIMITS.framesPerSecond, performance.now());
  readonly #answers: AgentMessage[] = [];
  readonly #ready = new Set<Source>();
  #isScheduled = false;
  #pace: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#pump());
    socket.once('close', () => clearTimeout(this.#pace));
  }

  answer(message: AgentMessage): void {
    this.#answers.push(message);
    this.#schedule();
  }

  /** The source may have something to send. */
  wake(source: Source): void {
    this.#ready.add(source);
    this.#schedule();
  }

  forget(source: Source): void {
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
    while (!this.#socket.destroyed && !this.#pace && this.#socket.writableLength < SOCKET_BYTES) {
      if (this.#answers.length === 0 && this.#ready.size === 0) return;
      if (!this.#budget.take(performance.now())) {
        this.#pace = setTimeout(() => {
          this.#pace = undefined;
          this.#pump();
        }, PACE_MS);
        return;
      }
      const answer = this.#answers.shift();
      for (const message of answer ? [answer] : this.#nextOfSources()) this.#socket.write(encodeAgentMessage(message));
    }
  }

  #nextOfSources(): AgentMessage[] {
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
