import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PresenceRegistry } from '../../src/cluster/presence-registry.ts';

/** Two nodes' ends of one registry; the same object twice where there is only one node. */
export interface PresenceWorld {
  here: PresenceRegistry;
  there: PresenceRegistry;
  close(): Promise<void>;
}

/** What every form of the presence registry promises. */
export function describePresenceRegistry(name: string, open: () => Promise<PresenceWorld>): void {
  describe(`the presence registry (${name})`, () => {
    let world: PresenceWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(() => world.close());

    test('[CL-20] has the statuses of all connections of each user, and leaves out who has none', async () => {
      await world.here.set('ann', 'c1', 'online');
      await world.there.set('ann', 'c2', 'away');
      await world.there.set('bob', 'c3', 'busy');
      for (const registry of [world.here, world.there]) {
        const found = await registry.get(['ann', 'bob', 'eve']);
        expect([...found.keys()].toSorted()).toEqual(['ann', 'bob']);
        expect(found.get('ann')?.toSorted()).toEqual(['away', 'online']);
        expect(found.get('bob')).toEqual(['busy']);
      }
      expect((await world.here.get([])).size).toBe(0);
    });

    test('[CL-21] changes the status of a connection that it has', async () => {
      await world.here.set('ann', 'c1', 'online');
      await world.here.set('ann', 'c1', 'busy');
      expect((await world.there.get(['ann'])).get('ann')).toEqual(['busy']);
    });

    test('[CL-22] says of a removal whether it was the last one anywhere', async () => {
      await world.here.set('ann', 'c1', 'online');
      await world.there.set('ann', 'c2', 'online');
      await world.here.set('bob', 'c3', 'online');
      expect(await world.here.remove('ann', 'c1')).toEqual({ last: false });
      expect(await world.there.remove('ann', 'c2')).toEqual({ last: true });
      expect([...(await world.here.get(['ann', 'bob'])).keys()]).toEqual(['bob']);
    });

    test('[CL-23] takes a removal of what is not there', async () => {
      expect(await world.here.remove('eve', 'c9')).toEqual({ last: true });
      await world.here.set('ann', 'c1', 'online');
      expect(await world.here.remove('ann', 'c9')).toEqual({ last: false });
      expect((await world.here.get(['ann'])).get('ann')).toEqual(['online']);
    });

    test('[CL-24] says last to exactly one of several that leave together', async () => {
      const ids = Array.from({ length: 20 }, (_, index) => `c${index}`);
      await Promise.all(ids.map((id, index) => (index % 2 ? world.here : world.there).set('ann', id, 'online')));
      const departures = await Promise.all(
        ids.map((id, index) => (index % 2 ? world.here : world.there).remove('ann', id)),
      );
      expect(departures.filter(({ last }) => last)).toHaveLength(1);
    });

    test('[CL-25] tells of a change on any node, and not of a repetition', async () => {
      const told: string[] = [];
      const stop = world.there.onChange((userId) => told.push(userId));
      await world.here.set('ann', 'c1', 'online');
      await expect.poll(() => told).toEqual(['ann']);
      await world.here.set('ann', 'c1', 'online');
      await world.here.set('ann', 'c1', 'away');
      await expect.poll(() => told).toEqual(['ann', 'ann']);
      await world.here.remove('ann', 'c1');
      await world.here.remove('ann', 'c1');
      await world.here.set('bob', 'c2', 'online');
      await expect.poll(() => told).toEqual(['ann', 'ann', 'ann', 'bob']);
      stop();
      stop();
      const later: string[] = [];
      world.there.onChange((userId) => later.push(userId));
      await world.here.set('eve', 'c3', 'online');
      await expect.poll(() => later).toEqual(['eve']);
      expect(told).toHaveLength(4);
    });

    test('[CL-25] tells that a connection fell silent, of which nobody waits for the return any more', async () => {
      const told: boolean[] = [];
      world.there.onChange((_, vanished) => told.push(vanished));
      await world.here.set('ann', 'c1', 'online');
      await world.here.set('ann', 'c2', 'online');
      await world.here.remove('ann', 'c1');
      await world.here.remove('ann', 'c2', true);
      await expect.poll(() => told).toEqual([false, false, false, true]);
    });
  });
}
