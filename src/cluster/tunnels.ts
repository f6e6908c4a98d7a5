/**
 * Connections between nodes: bytes in both directions, each as a pulled stream, so that neither side nor the broker
 * between them ever keeps more than the other one has asked for.
 */
import { randomBytes } from 'node:crypto';
import { Duplex, PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../protocol/index.ts';
import type { ByteSink, PulledStreams } from './pulled-stream.ts';

/** What is at the other end of a tunnel; a Fault reaches who opens it. */
export type TunnelEnd = (request: unknown, signal: AbortSignal) => Promise<Duplex>;

export interface Tunnels {
  /** Answers the tunnels of a name on this node. Returns how to stop; those under way go on. */
  serve(name: string, connect: TunnelEnd): () => void;
  /** Resolves once the other node has its end. Rejects with its Fault, or `unavailable` when it is gone. */
  open(nodeId: string, name: string, request: unknown, signal?: AbortSignal): Promise<Duplex>;
  close(): void;
}

interface Asked {
  id: string;
  from: string;
  request: unknown;
}

/** Comes first, so that who opens a tunnel knows that there is another end. */
const READY = Uint8Array.of(1);
const INPUT = 'tunnel-input';

export function createTunnels({ streams, nodeId: here }: { streams: PulledStreams; nodeId: string }): Tunnels {
  /** What goes to the other ends of tunnels that were opened here. */
  const inputs = new Map<string, AsyncIterable<Uint8Array>>();

  const stopInputs = streams.serve(INPUT, async (request, sink) => {
    const { id } = request as { id: string };
    const input = inputs.get(id);
    if (!input) throw new Fault('unavailable', 'The tunnel is gone');
    inputs.delete(id);
    await pour(input, sink);
  });

  return {
    serve: (name, connect) =>
      streams.serve(`tunnel:${name}`, async (asked, sink, signal) => {
        const { id, from, request } = asked as Asked;
        const end = await connect(request, signal);
        const onAbort = (): void => void end.destroy();
        signal.addEventListener('abort', onAbort, { once: true });
        try {
          await sink.write(READY);
          const input = streams.open(INPUT, { id }, { nodeId: from, signal });
          // Whatever ends the other direction ends the tunnel by its stream.
          const incoming = pipeline(input, end).catch(() => void end.destroy());
          await pour(end, sink);
          await incoming;
        } finally {
          signal.removeEventListener('abort', onAbort);
          end.destroy();
        }
      }),

    async open(nodeId, name, request, signal) {
      const id = randomBytes(12).toString('hex');
      const outgoing = new PassThrough();
      inputs.set(id, outgoing);
      const asked: Asked = { id, from: here, request };
      const gone = new AbortController();
      const either = signal ? AbortSignal.any([signal, gone.signal]) : gone.signal;
      const output = streams.open(`tunnel:${name}`, asked, { nodeId, signal: either })[Symbol.asyncIterator]();
      try {
        const first = await output.next();
        if (first.done || first.value.length < 1) throw new Fault('unavailable', 'The other end is gone');
        const rest = first.value.subarray(1);
        const tunnel = Duplex.from({ writable: outgoing, readable: readRest(rest, output) });
        tunnel.once('close', () => {
          inputs.delete(id);
          outgoing.destroy();
          gone.abort(new Fault('unavailable', 'The tunnel was closed'));
        });
        return tunnel;
      } catch (error) {
        inputs.delete(id);
        gone.abort(error);
        throw error;
      }
    },

    close: () => stopInputs(),
  };
}

async function* readRest(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function pour(from: AsyncIterable<Uint8Array>, sink: ByteSink): Promise<void> {
  for await (const chunk of from) await sink.write(chunk);
}
