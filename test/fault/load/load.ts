/** A crowd that writes without pause: who sends what where is given by the seed, when by the rate. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { oneOf, type Random } from '../../support/random.ts';
import type { Acked, LoadClient } from './load-client.ts';

const TICK_MS = 20;
/** One message in so many goes to the chat that everybody is in. */
const LOBBY_ONE_IN = 50;

export interface Chats {
  /** Everybody's. */
  lobby: string;
  /** Chats of some, by client. */
  of: ReadonlyMap<LoadClient, readonly string[]>;
}

export interface Sent {
  chatId: string;
  content: string;
}

export class Load {
  readonly acked: (Sent & Acked)[] = [];
  readonly #clients: LoadClient[];
  readonly #chats: Chats;
  readonly #random: Random;
  readonly #underWay = new Set<Promise<void>>();
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(clients: readonly LoadClient[], chats: Chats, random: Random) {
    this.#clients = [...clients];
    this.#chats = chats;
    this.#random = random;
  }

  get sent(): number {
    return this.#sent;
  }

  /** `rate` messages a second, whatever becomes of them. */
  start(rate: number): void {
    const startedAtMs = performance.now();
    const before = this.#sent;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startedAtMs) / 1_000) * rate;
      while (this.#sent - before < due) this.#sendOne();
    }, TICK_MS);
  }

  /** Sends no more from this client, which has gone for good. */
  without(client: LoadClient): void {
    this.#clients.splice(this.#clients.indexOf(client), 1);
  }

  /** Resolves when everything that was sent has its answer, or it is clear that it gets none: with how many that are. */
  async stop(timeoutMs: number): Promise<number> {
    clearInterval(this.#timer);
    const given = new AbortController();
    await Promise.race([
      Promise.all(this.#underWay),
      pause(timeoutMs, undefined, { signal: given.signal, ref: false }).catch(() => {}),
    ]);
    given.abort();
    return this.#underWay.size;
  }

  #sendOne(): void {
    const client = oneOf(this.#random, this.#clients);
    const chatId =
      this.#random(LOBBY_ONE_IN) === 0 ? this.#chats.lobby : oneOf(this.#random, this.#chats.of.get(client) ?? []);
    const content = `message ${this.#sent++}`;
    const sending = client
      .send(chatId, randomUUID(), content)
      .then((answer) => void this.acked.push({ chatId, content, ...answer }))
      // Of a client that has gone: nobody waits for the answer.
      .catch(() => {})
      .finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }
}
