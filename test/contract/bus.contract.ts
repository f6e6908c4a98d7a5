import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus } from '../../src/cluster/bus.ts';

/** Two nodes' ends of one bus; the same object twice where there is only one node. */
export interface BusWorld {
  here: Bus;
  there: Bus;
  close(): Promise<void>;
}

/** What every form of the bus promises. Data is JSON. */
export function describeBus(name: string, open: () => Promise<BusWorld>): void {
  describe(`the bus (${name})`, () => {
    let world: BusWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(() => world.close());

    const collect = (bus: Bus, topic: string): unknown[] => {
      const got: unknown[] = [];
      bus.subscribe(topic, (data) => got.push(data));
      return got;
    };

    test('[CL-1] tells every subscriber of a topic, on this node too, and nobody else', async () => {
      const [first, second, far, other] = [
        collect(world.here, 'a'),
        collect(world.here, 'a'),
        collect(world.there, 'a'),
        collect(world.there, 'b'),
      ];
      world.here.publish('a', { text: 'hello', list: [1, null] });
      world.here.publish('b', 'last');
      await expect.poll(() => other).toEqual(['last']);
      for (const got of [first, second, far])
        await expect.poll(() => got).toEqual([{ text: 'hello', list: [1, null] }]);
    });

    test('[CL-2] keeps the order of the publishes of one node, over all its topics', async () => {
      const got: unknown[] = [];
      for (const topic of ['a', 'b']) world.there.subscribe(topic, (data) => got.push(data));
      const sent = Array.from({ length: 200 }, (_, index) => index);
      for (const index of sent) world.here.publish(index % 3 ? 'a' : 'b', index);
      await expect.poll(() => got).toEqual(sent);
    });

    test('[CL-3] does not stop at a listener that throws', async () => {
      world.here.subscribe('a', () => {
        throw new Error('a broken listener');
      });
      const got = collect(world.here, 'a');
      world.here.publish('a', 1);
      world.here.publish('a', 2);
      await expect.poll(() => got).toEqual([1, 2]);
    });

    test('[CL-4] tells nothing any more to who has unsubscribed, even twice, and goes on telling the others', async () => {
      const got: unknown[] = [];
      const stop = world.here.subscribe('a', (data) => got.push(data));
      const others = collect(world.here, 'a');
      stop();
      stop();
      world.here.publish('a', 1);
      await expect.poll(() => others).toEqual([1]);
      expect(got).toEqual([]);
    });

    test('[CL-5] never runs a listener inside the call that publishes', async () => {
      const got = collect(world.here, 'a');
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
      expect(await world.here.request('ask', { id: 1 }, 5_000)).toEqual({ answerTo: { id: 1 } });
      expect(await world.there.request('ask', 2, 5_000)).toEqual({ answerTo: 2 });
    });

    test('[CL-8] refuses as unavailable a request that nobody answers in time', async () => {
      const unavailable = { name: 'Fault', code: 'unavailable' };
      await expect(world.here.request('nobody', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('other', async () => undefined);
      await expect(world.here.request('other', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('slow', () => new Promise(() => {}));
      await expect(world.here.request('slow', 1, 50)).rejects.toMatchObject(unavailable);
      world.there.respond('broken', async () => {
        throw new Error('a broken responder');
      });
      await expect(world.here.request('broken', 1, 50)).rejects.toMatchObject(unavailable);
    });

    test('[CL-9] takes the answer of another when one responder breaks', async () => {
      world.here.respond('ask', async () => {
        throw new Error('a broken responder');
      });
      world.there.respond('ask', async () => 'answer');
      expect(await world.here.request('ask', 1, 5_000)).toBe('answer');
    });

    test('[CL-10] does not ask who has stopped to respond', async () => {
      const stop = world.there.respond('ask', async () => 'answer');
      stop();
      await expect(world.here.request('ask', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('[CL-11] ends waiting requests when it is closed, and closes twice', async () => {
      world.there.respond('slow', () => new Promise(() => {}));
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
  });
}
