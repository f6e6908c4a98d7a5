/** The part of a bus that is in this process: who listens and who answers here. */
import type { Log } from '../observability/log.ts';
import type { BusListener, BusResponder } from './bus.ts';
import { Registered } from './registered.ts';

export class LocalBus {
  readonly listeners = new Registered<BusListener>();
  readonly responders = new Registered<BusResponder>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  deliver(topic: string, data: unknown): void {
    for (const listener of this.listeners.of(topic)) {
      try {
        listener(data);
      } catch (error) {
        this.#log.error('A listener of the bus broke', { topic, error });
      }
    }
  }

  /** Hands on every answer; resolves when all responders have had their say. Never rejects. */
  async ask(topic: string, data: unknown, take: (answer: unknown) => void): Promise<void> {
    await Promise.all(
      this.responders.of(topic).map(async (responder) => {
        try {
          const answer = await responder(data);
          if (answer !== undefined) take(answer);
        } catch (error) {
          this.#log.error('A responder of the bus broke', { topic, error });
        }
      }),
    );
  }

  clear(): void {
    this.listeners.clear();
    this.responders.clear();
  }
}
