import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';

/** Two nodes' ends of one bus; the same object twice where there is only one node. */
export interface BusWorld {
  here: Bus;
  there: Bus;
  close(): Promise<void>;
}

export interface BusForm {
  /** Whether the order of a node's publishes is kept over all topics, not on each alone. */
  ordersTopics: boolean;
}

/** What every form of the bus promises. Data is JSON and bytes. */
export function describeBus(
  name: string,
  open: () => Promise<BusWorld>,
  { ordersTopics }: BusForm = { ordersTopics: true },
): void {
  describe(`the bus (${name})`, () => {
    let world: BusWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(() => world.close());

    const collect = async (bus: Bus, topic: string): Promise<unknown[]> => {
      const got: unknown[] = [];
      bus.subscribe(topic, (data) => got.push(data));
      await bus.listening(topic);
      return got;
    };

    test('[CL-1] tells every subscriber of a topic, on this node too, and nobody else', async () => {
      const [first, second, far, other] = [
        await collect(world.here, 'a'),
        await collect(world.here, 'a'),
        await collect(world.there, 'a'),
        await collect(world.there, 'b'),
      ];
      world.here.publish('a', { text: 'hello', list: [1, null] });
      world.here.publish('b', 'last');
      await expect.poll(() => other).toEqual(['last']);
      for (const got of [first, second, far])
        await expect.poll(() => got).toEqual([{ text: 'hello', list: [1, null] }]);
    });

    test('[CL-2] keeps the order of the publishes of one node', async () => {
      const got: unknown[] = [];
      for (const topic of ['a', 'b']) {
        world.there.subscribe(topic, (data) => got.push(data));
        await world.there.listening(topic);
      }
      const sent = Array.from({ length: 200 }, (_, index) => index);
      for (const index of sent) world.here.publish(ordersTopics && index % 3 ? 'a' : 'b', index);
      await expect.poll(() => got).toEqual(sent);
    });

    test('[CL-3] does not stop at a listener that throws', async () => {
      world.here.subscribe('a', () => {
        throw new Error('a broken listener');
      });
      const got = await collect(world.here, 'a');
      world.here.publish('a', 1);
      world.here.publish('a', 2);
      await expect.poll(() => got).toEqual([1, 2]);
    });

    test('[CL-4] tells nothing any more to who has unsubscribed, even twice, and goes on telling the others', async () => {
      const got: unknown[] = [];
      const stop = world.here.subscribe('a', (data) => got.push(data));
      const others = await collect(world.here, 'a');
      stop();
      stop();
      world.here.publish('a', 1);
      await expect.poll(() => others).toEqual([1]);
      expect(got).toEqual([]);
    });

    test('[CL-5] never runs a listener inside the call that publishes', async () => {
      const got = await collect(world.here, 'a');
      world.here.publish('a', 1);
      expect(got).toEqual([]);
      await expect.poll(() => got).toEqual([1]);
    });

    test('[CL-6] never throws when it publishes, whatever it is given, and not when it is closed', async () => {
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      expect(() => world.here.publish('a', circle)).not.toThrow();
      await world.here.close();
      expect(() => world.here.publish('a', 1)).not.toThrow();
    });

    test('[CL-7] brings a request to the responder for whom it is, on any node', async () => {
      world.here.respond('ask', async () => undefined);
      world.there.respond('ask', async (data) => ({ answerTo: data }));
      world.there.respond('ask', async () => undefined);
      await world.there.listening('ask');
      expect(await world.here.request('ask', { id: 1 }, 5_000)).toEqual({ answerTo: { id: 1 } });
      expect(await world.there.request('ask', 2, 5_000)).toEqual({ answerTo: 2 });
    });

    test('[CL-8] refuses as unavailable a request that nobody answers in time', async () => {
      const unavailable = { name: 'Fault', code: 'unavailable' };
      await expect(world.here.request('nobody', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('other', async () => undefined);
      await world.there.listening('other');
      await expect(world.here.request('other', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('slow', () => new Promise(() => {}));
      await world.there.listening('slow');
      await expect(world.here.request('slow', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('broken', async () => {
        throw new Error('a broken responder');
      });
      await world.there.listening('broken');
      await expect(world.here.request('broken', 1, 50)).rejects.toMatchObject(unavailable);
    });

    test('[CL-9] takes the answer of another when one responder breaks', async () => {
      world.here.respond('ask', async () => {
        throw new Error('a broken responder');
      });
      world.there.respond('ask', async () => 'answer');
      await world.there.listening('ask');
      expect(await world.here.request('ask', 1, 5_000)).toBe('answer');
    });

    test('[CL-10] does not ask who has stopped to respond', async () => {
      const stop = world.there.respond('ask', async () => 'answer');
      await world.there.listening('ask');
      stop();
      await expect(world.here.request('ask', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('[CL-11] ends waiting requests when it is closed, and closes twice', async () => {
      world.there.respond('slow', () => new Promise(() => {}));
      await world.there.listening('slow');
      const request = world.here.request('slow', 1, 60_000).catch((error: unknown) => error);
      await world.here.close();
      expect(await request).toMatchObject({ code: 'unavailable' });
      await world.here.close();
    });

    test('[CL-12] is healthy, and lets a listener for its return go', () => {
      expect(world.here.healthy).toBe(true);
      const stop = world.here.onReady(() => {});
      expect(stop).not.toThrow();
    });

    test('[CL-13] relays to the other nodes only', async () => {
      const [near, far] = [await collect(world.here, 'a'), await collect(world.there, 'a')];
      world.here.relay('a', 1);
      world.here.publish('a', 2);
      await expect.poll(() => near).toContain(2);
      const others = world.here === world.there ? [2] : [1, 2];
      await expect.poll(() => far).toEqual(others);
      expect(near).toEqual([2]);
    });

    test('[CL-14] carries JSON values and bytes as they are', async () => {
      const got = await collect(world.there, 'a');
      const json = { text: 'a😀\u0000', list: [1, -1.5, 2 ** 53 - 1, true, null, []], nested: { empty: {} } };
      world.here.publish('a', { json, bytes: new Uint8Array([0, 255, 10]), none: new Uint8Array() });
      await expect.poll(() => got).toHaveLength(1);
      const [data] = got as [{ json: unknown; bytes: unknown; none: unknown }];
      expect(data.json).toEqual(json);
      for (const [bytes, expected] of [
        [data.bytes, [0, 255, 10]],
        [data.none, []],
      ]) {
        expect(bytes).toBeInstanceOf(Uint8Array);
        expect([...(bytes as Uint8Array)]).toEqual(expected);
      }
    });

    test('[CL-15] says when it listens, also on a topic that nobody has asked for', async () => {
      expect(await world.here.listening('nothing')).toBeUndefined();
      await world.here.close();
      expect(await world.here.listening('a')).toBeUndefined();
    });
  });
}
