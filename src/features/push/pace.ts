/**
 * The messages of a chat that are to be notified of: the first at once, and of those that follow within two seconds only
 * the last, since each replaces the one before on the device. Messages that mention somebody are all let through.
 */
export interface PaceOptions {
  intervalMs: number;
  /** Chats at once; messages of further ones go through at once. */
  most: number;
  pass: (chatId: string, messageId: string) => void;
}

interface Waiting {
  timer: NodeJS.Timeout;
  last: string | undefined;
}

export class Pace {
  readonly #options: PaceOptions;
  readonly #chats = new Map<string, Waiting>();

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  add(chatId: string, messageId: string, always: boolean): void {
    const { pass, most } = this.#options;
    const waiting = this.#chats.get(chatId);
    if (waiting && !always) {
      waiting.last = messageId;
      return;
    }
    pass(chatId, messageId);
    if (!waiting && this.#chats.size < most) this.#chats.set(chatId, { timer: this.#later(chatId), last: undefined });
  }

  /** Lets through what waits. */
  close(): void {
    for (const [chatId, { timer, last }] of this.#chats) {
      clearTimeout(timer);
      if (last !== undefined) this.#options.pass(chatId, last);
    }
    this.#chats.clear();
  }

  #later(chatId: string): NodeJS.Timeout {
    return setTimeout(() => {
      const waiting = this.#chats.get(chatId);
      this.#chats.delete(chatId);
      if (waiting?.last !== undefined) this.add(chatId, waiting.last, false);
    }, this.#options.intervalMs).unref();
  }
}
