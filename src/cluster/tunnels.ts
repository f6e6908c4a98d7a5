/**
 * Connections between nodes: bytes in both directions, each as a pulled stream, so that neither side nor the broker
 * between them ever keeps more than the other one has asked for.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../protocol/index.ts';
import type { PulledStreams } from './pulled-stream.ts';
import { TunnelStream } from './tunnel-stream.ts';

/** What is at the other end of a tunnel; a Fault reaches who opens it. The signal is for the connecting only. */
export type TunnelEnd = (request: unknown, signal: AbortSignal) => Promise<Duplex>;

export interface Tunnels {
  /** Answers the tunnels of a name on this node. Returns how to stop; those under way go on. */
  serve(name: string, connect: TunnelEnd): () => void;
  /**
   * Resolves once the other node has its end. Rejects with its Fault, with `unavailable` when it is gone, and as the
   * signal says, which is not heard of later. Either half may end by itself; destroying it destroys the other end. It
   * is destroyed with a Fault when the other end breaks off or its node is gone.
   */
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
  /** Opened here, whose other ends have not asked for their input yet. */
  const waiting = new Map<string, TunnelStream>();

  const stopInputs = streams.serve(INPUT, async (request, sink, signal) => {
    const { id } = request as { id: string };
    const tunnel = waiting.get(id);
    if (!tunnel) throw new Fault('unavailable', 'The tunnel is gone');
    waiting.delete(id);
    await tunnel.pour(sink, signal);
  });

  return {
    serve: (name, connect) =>
      streams.serve(`tunnel:${name}`, async (asked, sink, signal) => {
        const { id, from, request } = asked as Asked;
        const end = await connect(request, signal);
        const gone = new AbortController();
        const leave = (): void => void end.destroy();
        // What goes wrong is seen where it is read and written.
        end.on('error', () => {});
        end.once('close', () => gone.abort(new Fault('unavailable', 'The other end is gone')));
        signal.addEventListener('abort', leave, { once: true });
        try {
          await sink.write(READY);
          // On its own: it may go on when there is nothing more to say, and its end says that who opened it has left.
          void pipeline(streams.open(INPUT, { id }, { nodeId: from, signal: gone.signal }), end).catch(leave);
          for await (const chunk of end.iterator({ destroyOnReturn: false })) await sink.write(chunk as Uint8Array);
        } catch (error) {
          leave();
          throw error instanceof Fault ? error : new Fault('upstream', 'The connection broke off');
        } finally {
          signal.removeEventListener('abort', leave);
        }
      }),

    async open(nodeId, name, request, signal) {
      signal?.throwIfAborted();
      const id = randomBytes(12).toString('hex');
      const asked: Asked = { id, from: here, request };
      const opening = new AbortController();
      const output = streams.open(`tunnel:${name}`, asked, { nodeId, signal: opening.signal })[Symbol.asyncIterator]();
      const tunnel = new TunnelStream(output);
      waiting.set(id, tunnel);
      tunnel.once('close', () => waiting.delete(id));
      const giveUp = (): void => opening.abort(signal?.reason);
      signal?.addEventListener('abort', giveUp, { once: true });
      try {
        // One write comes as one chunk or more, never together with another.
        if ((await output.next()).done) throw new Fault('unavailable', 'The other end is gone');
        return tunnel;
      } catch (error) {
        tunnel.destroy();
        throw error;
      } finally {
        signal?.removeEventListener('abort', giveUp);
      }
    },

    close: () => stopInputs(),
  };
}
