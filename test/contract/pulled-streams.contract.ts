import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ALIVE_MS, SILENT_MS, type ByteSink } from '../../src/cluster/pulled-stream.ts';
import { Fault, LIMITS } from '../../src/protocol/index.ts';
import type { StreamNode, StreamsWorld } from './streams-world.ts';

/** Waits as long as a busy machine may need. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 10_000, interval: 10 });

/** What pulled streams promise over every form of the bus. */
export function describePulledStreams(name: string, open: () => Promise<StreamsWorld>): void {
  describe(`pulled streams (${name})`, () => {
    let world: StreamsWorld;
    let here: StreamNode;
    let there: StreamNode;
    beforeEach(async () => {
      world = await open();
      ({ here, there } = world);
    });
    afterEach(() => world.close());

    const readAll = async (stream: AsyncIterable<Uint8Array>): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    const text = async (stream: AsyncIterable<Uint8Array>) => (await readAll(stream)).toString();
    const failureOf = (stream: AsyncIterable<Uint8Array>) => readAll(stream).then(String, (error: unknown) => error);
    const write = (sink: ByteSink, value: string) => sink.write(Buffer.from(value));
    const pass = async (ms: number, ...nodes: StreamNode[]): Promise<void> => {
      for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
        for (const { clock } of nodes) clock.advance(Math.min(leftMs, 1_000));
        await world.arrived();
      }
    };
    /** A source that writes nothing until it is let, and what became of it. */
    const quiet = (node: StreamNode) => {
      const seen: { signal?: AbortSignal; sink?: ByteSink; end?: () => void } = {};
      node.streams.serve('quiet', (_request, sink, signal) => {
        Object.assign(seen, { signal, sink });
        return new Promise<void>((resolve, reject) => {
          seen.end = resolve;
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      });
      return seen;
    };

    test('[CL-240] brings every byte in order from another node, and from the same one', async () => {
      const sent = randomBytes(3_000_000);
      there.streams.serve('file', async (request, sink) => {
        const { from } = request as { from: number };
        // Pieces of all sizes, from a buffer that is used again.
        const buffer = new Uint8Array(100_000);
        for (let at = from, size = 1; at < sent.length; at += size, size = (size * 7) % 99_991 || 1) {
          const piece = sent.subarray(at, at + size);
          buffer.set(piece);
          await sink.write(buffer.subarray(0, piece.length));
        }
      });
      const hashOf = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
      for (const reader of [here, there]) {
        const got = await readAll(reader.streams.open('file', { from: 10 }, { nodeId: there.nodeId }));
        expect(hashOf(got)).toBe(hashOf(sent.subarray(10)));
      }
    });

    test('[CL-241] finds the node that has it', async () => {
      for (const node of [here, there]) {
        node.streams.serve('terminal', (_request, sink) => write(sink, node.nodeId), {
          accepts: (request) => (request as { on: string }).on === node.nodeId,
        });
      }
      await world.arrived();
      expect(await text(here.streams.open('terminal', { on: there.nodeId }))).toBe(there.nodeId);
      expect(await text(here.streams.open('terminal', { on: here.nodeId }))).toBe(here.nodeId);
      expect(await failureOf(here.streams.open('terminal', { on: 'nobody' }))).toMatchObject({ code: 'unavailable' });
    });

    test('[CL-242] refuses what a node does not serve, or serves no more', async () => {
      expect(await failureOf(here.streams.open('file', {}, { nodeId: there.nodeId }))).toMatchObject({
        code: 'not_found',
      });
      const stop = there.streams.serve('file', (_request, sink) => write(sink, 'x'));
      await world.arrived();
      expect(await text(here.streams.open('file', {}))).toBe('x');
      stop();
      expect(await failureOf(here.streams.open('file', {}, { nodeId: there.nodeId }))).toMatchObject({
        code: 'not_found',
      });
    });

    test('[CL-243] never has more under way than the reader granted', async () => {
      let written = 0;
      there.streams.serve('flood', async (_request, sink) => {
        const chunk = new Uint8Array(10_000);
        for (; written < 2_000_000; written += chunk.length) await sink.write(chunk);
      });
      const reader = here.streams.open('flood', {}, { nodeId: there.nodeId })[Symbol.asyncIterator]();
      let read = 0;
      const step = async (): Promise<boolean> => {
        const { done, value } = await reader.next();
        read += value?.length ?? 0;
        return done !== true;
      };
      await step();
      await eventually(() => written).toBeGreaterThan(LIMITS.pulledWindowBytes - 20_000);
      await pass(20_000, here, there);
      expect(written - read).toBeLessThanOrEqual(LIMITS.pulledWindowBytes);
      for (let count = 0; count < 30; count++) {
        await step();
        expect(written - read).toBeLessThanOrEqual(LIMITS.pulledWindowBytes);
      }
      while (await step());
      expect(read).toBe(2_000_000);
    });

    test('[CL-244] brings many streams at once to their ends, apart and within one bound', async () => {
      const SIZE = 400_000;
      let writtenInAll = 0;
      there.streams.serve('many', async (request, sink) => {
        const chunk = Buffer.alloc(40_000, request as number);
        for (let count = 0; count < SIZE / chunk.length; count++) {
          await sink.write(chunk);
          writtenInAll += chunk.length;
        }
      });
      const readers = Array.from({ length: 60 }, (_, n) =>
        here.streams.open('many', n, { nodeId: there.nodeId })[Symbol.asyncIterator](),
      );
      const firsts = readers.map((reader) => reader.next());
      // Nobody reads on: what the node granted in all is written, and no more.
      await eventually(() => writtenInAll).toBeGreaterThan(LIMITS.pulledNodeBytes / 2);
      await pass(10_000, here, there);
      expect(writtenInAll).toBeLessThanOrEqual(LIMITS.pulledWindowBytes * 60 + 60 * LIMITS.pulledChunkBytes);
      const all = await Promise.all(
        readers.map(async (reader, n) => {
          const parts = [(await firsts[n])?.value as Uint8Array];
          for (let next = await reader.next(); !next.done; next = await reader.next()) parts.push(next.value);
          return Buffer.concat(parts);
        }),
      );
      for (const [n, data] of all.entries()) expect(data.equals(Buffer.alloc(SIZE, n))).toBe(true);
    });

    test('[CL-245] cancels the source when the reader leaves the loop, or takes back its signal', async () => {
      const reasons: unknown[] = [];
      there.streams.serve('endless', async (_request, sink) => {
        try {
          for (;;) await write(sink, 'again and again');
        } catch (error) {
          reasons.push(error);
          throw error;
        }
      });
      for await (const chunk of here.streams.open('endless', {}, { nodeId: there.nodeId })) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await eventually(() => reasons).toMatchObject([{ code: 'unavailable' }]);

      const controller = new AbortController();
      const stream = here.streams.open('endless', {}, { nodeId: there.nodeId, signal: controller.signal });
      const reading = failureOf(stream);
      controller.abort(new Error('enough'));
      expect(await reading).toMatchObject({ message: 'enough' });
    });

    test('[CL-246] can be left while it waits for the next bytes', async () => {
      const source = quiet(there);
      const reader = here.streams.open('quiet', {}, { nodeId: there.nodeId })[Symbol.asyncIterator]();
      const next = reader.next();
      await eventually(() => source.signal).toBeDefined();
      await reader.return?.();
      expect((await next).done).toBe(true);
      expect((await reader.next()).done).toBe(true);
      await eventually(() => source.signal?.aborted).toBe(true);
      await expect(source.sink?.write(new Uint8Array(1))).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('[CL-247] fails with the source’s fault, after the bytes before it; a bug stays at home', async () => {
      there.streams.serve('faulty', async (request, sink) => {
        await write(sink, 'before');
        throw request === 'fault' ? new Fault('conflict', 'It has changed') : new Error('a secret');
      });
      const got: string[] = [];
      const read = async (request: string) => {
        for await (const chunk of here.streams.open('faulty', request, { nodeId: there.nodeId })) {
          got.push(Buffer.from(chunk).toString());
        }
      };
      await expect(read('fault')).rejects.toMatchObject({ code: 'conflict', message: 'It has changed' });
      await expect(read('bug')).rejects.toMatchObject({
        code: 'internal',
        message: expect.not.stringMatching('secret'),
      });
      expect(got).toEqual(['before', 'before']);
      expect(world.errors).toEqual(['The source of a stream broke']);
    });

    test('[CL-248] waits for a quiet source as long as its node lives', async () => {
      const source = quiet(there);
      const reading = text(here.streams.open('quiet', {}, { nodeId: there.nodeId }));
      await eventually(() => source.sink).toBeDefined();
      await pass(4 * SILENT_MS, here, there);
      await write(source.sink as ByteSink, 'at last');
      source.end?.();
      expect(await reading).toBe('at last');
    });

    test('[CL-249] fails when the other node gave no sign of life', async () => {
      const source = quiet(there);
      let failure: unknown;
      const reading = failureOf(here.streams.open('quiet', {}, { nodeId: there.nodeId })).then(
        (error) => (failure = error),
      );
      await eventually(() => source.sink).toBeDefined();
      // Time stands still there: as if it had been stopped.
      await pass(SILENT_MS - ALIVE_MS, here);
      expect(failure).toBeUndefined();
      await pass(2 * ALIVE_MS, here);
      await reading;
      expect(failure).toMatchObject({ code: 'unavailable' });
      await eventually(() => source.signal?.aborted).toBe(true);
    });

    test('[CL-250] ends the source when its reader gave no sign of life', async () => {
      const source = quiet(there);
      const reading = failureOf(here.streams.open('quiet', {}, { nodeId: there.nodeId }));
      await eventually(() => source.sink).toBeDefined();
      await pass(SILENT_MS + ALIVE_MS, there);
      expect(source.signal?.aborted).toBe(true);
      // A reader that comes back learns that it is over.
      await pass(2 * ALIVE_MS, here, there);
      expect(await reading).toMatchObject({ code: 'unavailable' });
    });

    test('[CL-251] fails what is open when either side closes, and leaves no timer', async () => {
      const source = quiet(there);
      const reading = failureOf(here.streams.open('quiet', {}, { nodeId: there.nodeId }));
      await eventually(() => source.sink).toBeDefined();
      await there.streams.close();
      expect(await reading).toMatchObject({ code: 'unavailable' });
      expect(source.signal?.aborted).toBe(true);

      quiet(here);
      const own = failureOf(here.streams.open('quiet', {}, { nodeId: here.nodeId }));
      await here.streams.close();
      expect(await own).toMatchObject({ code: 'unavailable' });
      expect(here.clock.timers + there.clock.timers).toBe(0);
      expect(await failureOf(here.streams.open('quiet', {}, { nodeId: here.nodeId }))).toMatchObject({
        code: 'unavailable',
      });
    });
  });
}
