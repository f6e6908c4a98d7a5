/** The bus of a node that is alone: publisher, listeners and responders are in one process, and nothing is ever lost. */
import type { Log } from '../observability/log.ts';
import { BusRequests } from './bus-requests.ts';
import type { Bus } from './bus.ts';
import { LocalBus } from './local-bus.ts';

export function createMemoryBus({ log }: { log: Log }): Bus {
  const local = new LocalBus(log);
  const requests = new BusRequests();
  let closed = false;

  return {
    healthy: true,
    alone: true,
    publish(topic, data) {
      // Never inside the publisher's call: its state may be half changed, and a broker would not do it either.
      if (!closed) queueMicrotask(() => local.deliver(topic, data));
    },
    relay() {},
    subscribe: (topic, listener) => local.listeners.add(topic, listener),
    async listening() {},
    respond: (topic, responder) => local.responders.add(topic, responder),
    onReady: () => () => {},

    request(topic, data, timeoutMs) {
      const request = requests.open(topic, timeoutMs);
      // When everyone has said that it is not for them, waiting is of no use.
      void local.ask(topic, data, request.answer).then(request.fail);
      return request.answered;
    },

    async close() {
      closed = true;
      local.clear();
      requests.close();
    },
  };
}
