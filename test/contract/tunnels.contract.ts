import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTunnels, type Tunnels } from '../../src/cluster/tunnels.ts';
import { SILENT_MS } from '../../src/cluster/pulled-stream.ts';
import { Fault, LIMITS } from '../../src/protocol/index.ts';
import { Ends } from '../support/ends.ts';
import type { StreamNode, StreamsWorld } from './streams-world.ts';

/** Waits as long as a busy machine may need. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 10_000, interval: 10 });

/** What tunnels promise over every form of the bus. */
export function describeTunnels(name: string, open: () => Promise<StreamsWorld>): void {
  describe(`tunnels (${name})`, () => {
    let world: StreamsWorld;
    let ends: Ends;
    let here: Tunnels;
    let there: Tunnels;
    beforeEach(async () => {
      ends = new Ends();
      world = await open();
      const { errors } = world;
      ends.defer(() => world.close());
      const tunnelsOf = ({ streams, nodeId }: StreamNode): Tunnels => {
        const tunnels = createTunnels({ streams, nodeId });
        ends.defer(() => tunnels.close());
        return tunnels;
      };
      [here, there] = [tunnelsOf(world.here), tunnelsOf(world.there)];
      // Whatever people and programs do with their connections is no error of the server's.
      ends.defer(() => expect(errors).toEqual([]));
    });
    afterEach(() => ends[Symbol.asyncDispose]());

    /** A program that the other node reaches; gives each of its connections. */
    async function program(onConnection: (socket: Socket) => void): Promise<{ sockets: Socket[] }> {
      const sockets: Socket[] = [];
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket);
        socket.on('error', () => {});
        onConnection(socket);
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      ends.defer(() => {
        for (const socket of sockets) socket.destroy();
        server.close();
      });
      const { port } = server.address() as AddressInfo;
      there.serve('port', async () => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        await once(socket, 'connect');
        return socket;
      });
      return { sockets };
    }

    async function enter(): Promise<Duplex> {
      const tunnel = await here.open(world.there.nodeId, 'port', {});
      tunnel.on('error', () => {});
      ends.defer(() => tunnel.destroy());
      return tunnel;
    }

    const pass = async (ms: number, ...nodes: StreamNode[]): Promise<void> => {
      for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
        for (const { clock } of nodes) clock.advance(Math.min(leftMs, 1_000));
        await world.arrived();
      }
    };
    /** Writes for as long as the other side takes it, and gives how much that was. */
    const flood = (stream: Duplex): { readonly written: number } => {
      const state = { written: 0 };
      const piece = Buffer.alloc(16_384);
      const write = (): void => {
        if (!stream.destroyed)
          stream.write(piece, (error) => void (error ?? ((state.written += piece.length), write())));
      };
      write();
      return state;
    };
    const hashOf = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
    /** A reset or an end: the program has nobody any more. */
    const left = (socket: Socket): Promise<true> =>
      new Promise((resolve) => {
        for (const event of ['end', 'error', 'close']) socket.once(event, () => resolve(true));
        socket.resume();
      });
    const failureOf = (opening: Promise<unknown>): Promise<unknown> => opening.catch((error: unknown) => error);

    test('[CL-260] bring every byte in order, both ways at once', async () => {
      await program((socket) => socket.pipe(socket));
      const sent = randomBytes(3_000_000);
      const tunnel = await enter();
      const back = buffer(tunnel);
      tunnel.end(sent);
      expect(hashOf(await back)).toBe(hashOf(sent));
    });

    test('[CL-261] tell what the request was, and serve those of one node as well', async () => {
      there.serve('greeting', async (request) => {
        const echo = new PassThrough();
        echo.write(`hello ${(request as { name: string }).name}`);
        return echo;
      });
      for (const tunnels of [here, there]) {
        const tunnel = await tunnels.open(world.there.nodeId, 'greeting', { name: 'Ada' });
        tunnel.end(', and more');
        expect(await text(tunnel)).toBe('hello Ada, and more');
      }
    });

    test('[CL-262] either half ends by itself, and the other goes on', async () => {
      const { sockets } = await program((socket) => socket.resume());
      const asking = await enter();
      asking.end('question');
      await once(sockets[0] as Socket, 'end');
      sockets[0]?.end('answer');
      expect(await text(asking)).toBe('answer');

      const told = await enter();
      await eventually(() => sockets.length).toBe(2);
      sockets[1]?.end('no more from me');
      let words = '';
      told.on('data', (data: Buffer) => (words += data.toString()));
      await once(told, 'end');
      expect(words).toBe('no more from me');
      const heard: Buffer[] = [];
      sockets[1]?.on('data', (data) => heard.push(data));
      const over = once(sockets[1] as Socket, 'end');
      const sent = randomBytes(1_000_000);
      told.end(sent);
      await over;
      expect(hashOf(Buffer.concat(heard))).toBe(hashOf(sent));
    });

    test('[CL-263] who does not read holds up the other side, in either direction, and no other tunnel', async () => {
      const written: { readonly written: number }[] = [];
      await program((socket) => void written.push(flood(socket.pause())));
      const tunnel = await enter();
      const own = flood(tunnel);
      // What the system keeps of a connection of its own comes to it.
      const most = LIMITS.pulledWindowBytes + 16 * 1_048_576;
      const stands = async (read: () => number): Promise<number> => {
        let before = -1;
        await expect
          .poll(
            () => {
              const isSame = before === read() && before > 0;
              before = read();
              return isSame;
            },
            { timeout: 20_000, interval: 300 },
          )
          .toBe(true);
        return before;
      };
      expect(await stands(() => own.written)).toBeLessThan(most);
      expect(await stands(() => written[0]?.written ?? 0)).toBeLessThan(most);
      there.serve('other', async () => new PassThrough());
      const other = await here.open(world.there.nodeId, 'other', {});
      other.end('free');
      expect(await text(other)).toBe('free');
      // And it goes on when it is read.
      let read = 0;
      tunnel.on('data', (data: Buffer) => (read += data.length));
      await eventually(() => read).toBeGreaterThan(2 * LIMITS.pulledWindowBytes);
    });

    test('[CL-264] why there is no other end is told to who opens one', async () => {
      there.serve('refused', () => Promise.reject(new Fault('upstream', 'Nothing listens on this port')));
      expect(await failureOf(here.open(world.there.nodeId, 'refused', {}))).toMatchObject({
        code: 'upstream',
        message: 'Nothing listens on this port',
      });
      expect(await failureOf(here.open(world.there.nodeId, 'unknown', {}))).toMatchObject({ code: 'not_found' });
    });

    test('[CL-265] a signal that is taken back ends the opening, not what is open', async () => {
      const asked: AbortSignal[] = [];
      there.serve('slow', async (_request, signal) => {
        asked.push(signal);
        await once(signal, 'abort');
        throw signal.reason as Error;
      });
      const early = new AbortController();
      const opening = failureOf(here.open(world.there.nodeId, 'slow', {}, early.signal));
      await eventually(() => asked.length).toBe(1);
      early.abort(new Error('enough'));
      expect(await opening).toMatchObject({ message: 'enough' });
      await eventually(() => asked[0]?.aborted).toBe(true);

      await program((socket) => socket.pipe(socket));
      const late = new AbortController();
      const tunnel = await here.open(world.there.nodeId, 'port', {}, late.signal);
      late.abort(new Error('enough'));
      tunnel.end('still there');
      expect(await text(tunnel)).toBe('still there');
    });

    test.each([
      ['as it was opened', async () => {}],
      ['when its own half has ended', async (tunnel: Duplex) => void (tunnel.end(), await once(tunnel, 'finish'))],
      [
        'when the other half has ended',
        async (tunnel: Duplex, socket: Socket) => void (socket.end(), await once(tunnel.resume(), 'end')),
      ],
      ['while much is under way', async (tunnel: Duplex, socket: Socket) => void (flood(tunnel), flood(socket))],
    ])('[CL-266] who leaves takes the other end along, %s', async (_when, prepare) => {
      const { sockets } = await program((socket) => socket.pause());
      const tunnel = await enter();
      await eventually(() => sockets.length).toBe(1);
      const socket = sockets[0] as Socket;
      await prepare(tunnel, socket);
      tunnel.destroy();
      expect(await left(socket)).toBe(true);
      await eventually(() => tunnel.closed).toBe(true);
    });

    test('[CL-267] a program that breaks off is noticed, and is no error of the server', async () => {
      const { sockets } = await program((socket) => socket.pause());
      const tunnel = await enter();
      await eventually(() => sockets.length).toBe(1);
      const failed = once(tunnel, 'error').then(([error]) => error as unknown);
      tunnel.resume();
      sockets[0]?.resetAndDestroy();
      expect(await failed).toBeInstanceOf(Fault);
      expect(tunnel.destroyed).toBe(true);
    });

    test('[CL-267] what a program has said before it goes arrives, however slow its reader is', async () => {
      const said = randomBytes(200_000);
      const { sockets } = await program((socket) => {
        socket.resume();
        socket.end(said, () => socket.destroy());
      });
      const tunnel = await enter();
      tunnel.on('error', () => {});
      await eventually(() => sockets[0]?.closed).toBe(true);
      await world.arrived();
      const parts: Buffer[] = [];
      for await (const part of tunnel) parts.push(part as Buffer);
      expect(hashOf(Buffer.concat(parts))).toBe(hashOf(said));
    });

    test.each([
      ['both halves open', async () => {}],
      ['its own half ended', async (tunnel: Duplex) => void (tunnel.end(), await once(tunnel, 'finish'))],
    ])('[CL-268] a node that is not heard of any more ends its tunnels: %s', async (_which, prepare) => {
      const { sockets } = await program((socket) => socket.pause());
      const tunnel = await enter();
      tunnel.resume();
      await eventually(() => sockets.length).toBe(1);
      await prepare(tunnel);
      const failed = once(tunnel, 'error').then(([error]) => error as unknown);
      // Time stands still there.
      await pass(2 * SILENT_MS, world.here);
      expect(await failed).toMatchObject({ code: 'unavailable' });
    });

    test.each([
      ['both halves open', async () => {}],
      [
        "the program's half ended",
        async (tunnel: Duplex, socket: Socket) => void (socket.end(), await once(tunnel.resume(), 'end')),
      ],
    ])('[CL-268] a node that opened tunnels and is not heard of any more ends them: %s', async (_which, prepare) => {
      const { sockets } = await program((socket) => socket.pause());
      const tunnel = await enter();
      await eventually(() => sockets.length).toBe(1);
      await prepare(tunnel, sockets[0] as Socket);
      const over = left(sockets[0] as Socket);
      await pass(2 * SILENT_MS, world.there);
      expect(await over).toBe(true);
    });

    test.each(['here', 'there'] as const)(
      '[CL-269] a server that stops (%s) ends them on both sides',
      async (which) => {
        const { sockets } = await program((socket) => socket.pause());
        const tunnel = await enter();
        tunnel.resume();
        await eventually(() => sockets.length).toBe(1);
        const over = left(sockets[0] as Socket);
        const failed = new Promise((resolve) => tunnel.once('close', resolve));
        await world[which].streams.close();
        expect(await over).toBe(true);
        await failed;
      },
    );
  });
}
