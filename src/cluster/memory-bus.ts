/** The bus of a node that is alone: publisher, listeners and responders are in one process, and nothing is ever lost. */
import type { Log } from '../observability/log.ts';
import { Fault } from '../protocol/index.ts';
import type { Bus, BusListener, BusResponder } from './bus.ts';

export function createMemoryBus({ log }: { log: Log }): Bus {
  const listeners = new Registry<BusListener>();
  const responders = new Registry<BusResponder>();
  const pending = new Set<(error: Fault) => void>();
  let closed = false;

  const deliver = (topic: string, data: unknown): void => {
    for (const listener of listeners.of(topic)) {
      try {
        listener(data);
      } catch (error) {
        log.error('A listener of the bus broke', { topic, error });
      }
    }
  };

  return {
    healthy: true,
    alone: true,
    publish(topic, data) {
      // Never inside the publisher's call: its state may be half changed, and a broker would not do it either.
      if (!closed) queueMicrotask(() => deliver(topic, data));
    },
    relay() {},
    subscribe: (topic, listener) => listeners.add(topic, listener),
    async listening() {},
    respond: (topic, responder) => responders.add(topic, responder),
    onReady: () => () => {},

    request(topic, data, timeoutMs) {
      return new Promise((resolve, reject) => {
        const end = (settle: () => void): void => {
          clearTimeout(timer);
          pending.delete(fail);
          settle();
        };
        const fail = (error: Fault): void => end(() => reject(error));
        const timer = setTimeout(() => fail(unanswered(topic)), timeoutMs);
        pending.add(fail);
        if (closed) return fail(unanswered(topic));
        const asked = responders.of(topic).map(async (responder) => {
          try {
            const answer = await responder(data);
            if (answer !== undefined) end(() => resolve(answer));
          } catch (error) {
            log.error('A responder of the bus broke', { topic, error });
          }
        });
        // When everyone has said that it is not for them, waiting is of no use.
        void Promise.all(asked).then(() => fail(unanswered(topic)));
      });
    },

    async close() {
      closed = true;
      listeners.clear();
      responders.clear();
      for (const fail of pending) fail(new Fault('unavailable', 'The bus has been closed'));
    },
  };
}

const unanswered = (topic: string): Fault => new Fault('unavailable', `No node answered on ${topic}`);

/** What is registered by topic, in the order of its registration; one function may be there twice. */
class Registry<F> {
  readonly #byTopic = new Map<string, Set<{ call: F }>>();

  add(topic: string, call: F): () => void {
    const entry = { call };
    const entries = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, entries.add(entry));
    return () => {
      if (entries.delete(entry) && entries.size === 0 && this.#byTopic.get(topic) === entries) {
        this.#byTopic.delete(topic);
      }
    };
  }

  /** Those of now: what is added or removed while they run does not change the round. */
  of(topic: string): F[] {
    return [...(this.#byTopic.get(topic) ?? [])].map(({ call }) => call);
  }

  clear(): void {
    this.#byTopic.clear();
  }
}
