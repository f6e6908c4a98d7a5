/** Requests of this node that wait for an answer. */
import { Fault } from '../protocol/index.ts';

export interface BusRequest {
  readonly id: number;
  readonly answered: Promise<unknown>;
  /** The first answer counts; later ones, or a `fail` after it, do nothing. */
  readonly answer: (value: unknown) => void;
  /** Nobody will answer any more. */
  readonly fail: () => void;
}

export class BusRequests {
  readonly #pending = new Map<number, { answer: (value: unknown) => void; fail: (error: Fault) => void }>();
  #lastId = 0;
  #closed = false;

  /** Fails by itself after `timeoutMs`, and at once when this is closed. */
  open(topic: string, timeoutMs: number): BusRequest {
    const id = ++this.#lastId;
    const answered = new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#pending.delete(id);
        settle();
      };
      const fail = (error: Fault): void => end(() => reject(error));
      const timer = setTimeout(() => fail(unanswered(topic)), timeoutMs);
      this.#pending.set(id, { answer: (value) => end(() => resolve(value)), fail });
      if (this.#closed) fail(closed());
    });
    return {
      id,
      answered,
      answer: (value) => this.answer(id, value),
      fail: () => this.#pending.get(id)?.fail(unanswered(topic)),
    };
  }

  answer(id: number, value: unknown): void {
    this.#pending.get(id)?.answer(value);
  }

  close(): void {
    this.#closed = true;
    for (const { fail } of this.#pending.values()) fail(closed());
  }
}

const unanswered = (topic: string): Fault => new Fault('unavailable', `No node answered on ${topic}`);
const closed = (): Fault => new Fault('unavailable', 'The bus has been closed');
