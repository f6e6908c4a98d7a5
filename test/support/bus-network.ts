/** Several nodes in one process: buses that hear each other. What one publishes the others get later, and as a copy. */
import { setImmediate as turn } from 'node:timers/promises';
import { createMemoryBus, type Bus } from '../../src/cluster/index.ts';
import { Fault } from '../../src/protocol/index.ts';
import { silentLog } from './log.ts';

export interface BusNetwork {
  /** Everything that was relayed, in order. */
  readonly relayed: { topic: string; data: unknown }[];
  /** Loses everything from now on, until what it returns is called. */
  cut(): () => void;
  /** A bus for one more node. */
  node(): Bus & { readonly topics: ReadonlySet<string> };
}

export function createBusNetwork(): BusNetwork {
  const relayed: BusNetwork['relayed'] = [];
  const nodes: { bus: Bus; topics: Map<string, number> }[] = [];
  let isCut = false;
  return {
    relayed,
    cut() {
      isCut = true;
      return () => {
        isCut = false;
      };
    },
    node() {
      const own = createMemoryBus({ log: silentLog });
      const topics = new Map<string, number>();
      nodes.push({ bus: own, topics });
      const relay = (topic: string, data: unknown): void => {
        if (isCut) return;
        relayed.push({ topic, data });
        const copy = structuredClone(data);
        setImmediate(() => {
          for (const { bus } of nodes) if (bus !== own) bus.publish(topic, copy);
        });
      };
      return {
        ...own,
        alone: false,
        relay,
        publish(topic, data) {
          own.publish(topic, data);
          relay(topic, data);
        },
        async request(topic, data, timeoutMs) {
          const ask = async (bus: Bus): Promise<unknown> => {
            if (bus === own) return own.request(topic, data, timeoutMs);
            const copy = structuredClone(data);
            await turn();
            if (isCut) throw new Fault('unavailable', 'The network is cut');
            const answer = structuredClone(await bus.request(topic, copy, timeoutMs));
            await turn();
            if (isCut) throw new Fault('unavailable', 'The network is cut');
            return answer;
          };
          try {
            return await Promise.any(nodes.map(({ bus }) => ask(bus)));
          } catch {
            throw new Fault('unavailable', `No node answered on ${topic}`);
          }
        },
        subscribe(topic, listener) {
          topics.set(topic, (topics.get(topic) ?? 0) + 1);
          const unsubscribe = own.subscribe(topic, listener);
          return () => {
            unsubscribe();
            const left = (topics.get(topic) ?? 1) - 1;
            if (left > 0) topics.set(topic, left);
            else topics.delete(topic);
          };
        },
        get topics() {
          return new Set(topics.keys());
        },
      };
    },
  };
}
