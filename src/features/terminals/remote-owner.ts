/**
 * A project's terminals from a node that does not have its sandbox: requests go over the bus, and output, which can
 * flood, as a pulled stream.
 */
import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Bus, PulledStreams } from '../../cluster/index.ts';
import { Fault, toFault, type FaultCode } from '../../protocol/index.ts';
import { packFrame, unpackFrames } from './frame-stream.ts';
import type { TerminalFrame, TerminalOwner } from './owner.ts';

/** All but `read`. */
const CALLS = ['open', 'get', 'list', 'input', 'resize', 'signal', 'close', 'record'] as const;
type CallName = (typeof CALLS)[number];

interface Asked {
  projectId: string;
  call: CallName;
  request: unknown;
  /** Who asks, and the number of the question: one that comes a second time is not answered to again. */
  from: string;
  number: number;
}

type Told =
  | { data: unknown }
  | { fault: { code: FaultCode; message: string; detail?: unknown; retryAfterMs?: number } };

interface Between {
  bus: Bus;
  streams: PulledStreams;
}

const STREAM = 'terminal-output';
const topicOf = (nodeId: string): string => `terminals:${nodeId}`;
/** Below the deadlines of the operations, of which opening has the longest. */
const ANSWER_MS = 8_000;
const OPENED_MS = 55_000;
/** Nodes that ask this one; it remembers the last number of each. */
const ASKERS = 10_000;

export interface RemoteOwnersDeps extends Between {
  /** This node. */
  nodeId: string;
}

/** Gives the terminals of a project whose sandbox another node has. */
export function createRemoteOwners({ bus, streams }: Between): (nodeId: string, projectId: string) => TerminalOwner {
  const from = randomUUID();
  let number = 0;

  return (nodeId, projectId) => {
    const ask = async (call: CallName, request: unknown): Promise<unknown> => {
      const asked: Asked = { projectId, call, request, from, number: ++number };
      const told = (await bus.request(topicOf(nodeId), asked, call === 'open' ? OPENED_MS : ANSWER_MS)) as Told;
      if ('data' in told) return told.data;
      const { code, message, ...rest } = told.fault;
      throw new Fault(code, message, rest);
    };
    const calls = Object.fromEntries(CALLS.map((call) => [call, (request: unknown) => ask(call, request)]));
    return {
      ...(calls as unknown as Pick<TerminalOwner, CallName>),
      async input(request) {
        try {
          await ask('input', request);
        } catch (error) {
          if (!(error instanceof Fault && error.code === 'unavailable')) throw error;
          // It may have been typed, and must not be typed twice.
          throw new Fault('timeout', 'Whether it was typed is not known', { cause: error });
        }
      },
      async *read({ terminalId, after }, signal): AsyncGenerator<TerminalFrame, void, undefined> {
        try {
          yield* unpackFrames(streams.open(STREAM, { projectId, terminalId, after }, { nodeId, signal }));
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      },
    };
  };
}

/** Answers other nodes for the sandboxes of this one. Returns how to stop. */
export function serveOwners(
  { bus, streams, nodeId }: RemoteOwnersDeps,
  ownerHere: (projectId: string) => TerminalOwner | undefined,
): () => void {
  const numbers = new LRUCache<string, number>({ max: ASKERS });
  const owned = (projectId: string): TerminalOwner => {
    const owner = ownerHere(projectId);
    if (!owner) throw new Fault('unavailable', 'This server does not have the sandbox', { retryAfterMs: 1_000 });
    return owner;
  };

  const answer = async ({ projectId, call, request, from, number }: Asked): Promise<Told> => {
    try {
      if (number <= (numbers.get(from) ?? 0)) throw new Fault('conflict', 'This was asked before');
      numbers.set(from, number);
      if (!CALLS.includes(call)) throw new Fault('unsupported', 'The servers differ');
      // Begins before the next question is looked at: what one socket types stays in order.
      const data = await owned(projectId)[call](request as never);
      return { data: data ?? null };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return { fault: toFault(error).toBody() };
    }
  };

  const stops = [
    bus.respond(topicOf(nodeId), (asked) => answer(asked as Asked)),
    streams.serve(STREAM, async (request, sink, signal) => {
      const { projectId, terminalId, after } = request as { projectId: string; terminalId: string; after: number };
      for await (const frame of owned(projectId).read({ terminalId, after }, signal))
        await sink.write(packFrame(frame));
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
