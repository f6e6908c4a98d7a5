/**
 * Questions to one node about what only it has. The answer is what its handler gives, a Fault as it is; a node that is
 * gone answers nothing, which is `unavailable` in the end.
 */
import type { Log } from '../observability/log.ts';
import { Fault, toFault, type Answer } from '../protocol/index.ts';
import type { Bus } from './bus.ts';

export type NodeCallHandler = (request: unknown) => Promise<unknown>;

export interface NodeCalls {
  /** Answers the calls of a name on this node. Returns how to stop. */
  serve(name: string, handler: NodeCallHandler): () => void;
  /**
   * Asks a node, this one too. Requests and answers are JSON values and `Uint8Array`s. A call that got no answer may
   * have been heard all the same.
   */
  call(nodeId: string, name: string, request: unknown, timeoutMs: number): Promise<unknown>;
}

export interface NodeCallsDeps {
  bus: Bus;
  /** This node's id. */
  nodeId: string;
  log: Log;
}

const topicOf = (nodeId: string, name: string): string => `call:${nodeId}:${name}`;

export function createNodeCalls({ bus, nodeId: here, log }: NodeCallsDeps): NodeCalls {
  const handlers = new Map<string, NodeCallHandler>();

  async function answer(name: string, handler: NodeCallHandler, request: unknown): Promise<Answer<unknown>> {
    try {
      return { ok: true, data: await handler(request) };
    } catch (error) {
      if (!(error instanceof Fault)) log.error('a call of another node broke', { name, error });
      return { ok: false, error: toFault(error).toBody() };
    }
  }

  return {
    serve(name, handler) {
      if (handlers.has(name)) throw new Error(`${name} is served already`);
      handlers.set(name, handler);
      const stop = bus.respond(topicOf(here, name), (request) => answer(name, handler, request));
      return () => {
        stop();
        handlers.delete(name);
      };
    },
    async call(nodeId, name, request, timeoutMs) {
      if (nodeId === here) {
        const handler = handlers.get(name);
        if (!handler) throw new Fault('unavailable', `This node does not answer ${name}`);
        return handler(request);
      }
      const given = (await bus.request(topicOf(nodeId, name), request, timeoutMs)) as Answer<unknown>;
      if (given.ok) return given.data;
      const { code, message, ...more } = given.error;
      throw new Fault(code, message, more);
    },
  };
}
