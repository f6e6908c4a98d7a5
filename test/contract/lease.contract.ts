import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fenceFilter, type Leases } from '../../src/cluster/lease.ts';
import { BEAT_MS, DEAD_MS, STILL_MS, type DatabaseNodes } from '../../src/cluster/nodes.ts';
import type { Database } from '../../src/storage/database.ts';
import type { FakeClock } from './fake-clock.ts';

/** One node with a clock of its own. */
export interface Member {
  nodes: DatabaseNodes;
  leases: Leases;
  clock: FakeClock;
}

export interface LeaseWorld {
  database: Database;
  /** Another node on the same database. */
  join(options?: { alone?: boolean }): Promise<Member>;
  close(): Promise<void>;
}

/** What every form of nodes and leases promises. */
export function describeLeases(name: string, open: () => Promise<LeaseWorld>): void {
  describe(`nodes and leases (${name})`, () => {
    let world: LeaseWorld;
    let ann: Member;
    let bob: Member;
    beforeEach(async () => {
      world = await open();
      ann = await world.join();
      bob = await world.join();
      await pass(BEAT_MS, ann, bob);
    });
    afterEach(() => world.close());

    /** Time passes for these nodes, and for the others as little as if they had been stopped. */
    async function pass(ms: number, ...members: Member[]): Promise<void> {
      for (let leftMs = ms; leftMs > 0; leftMs -= BEAT_MS) {
        for (const { clock } of members) clock.advance(Math.min(leftMs, BEAT_MS));
        for (const { nodes } of members) await nodes.tick();
      }
    }
    const acquire = async (member: Member, lease = 'x') => {
      const taken = await member.leases.tryAcquire(lease);
      if (!taken) throw new Error(`${lease} was not free`);
      return taken;
    };

    test('[CL-80] has a different id for every node, and each sees the others alive', async () => {
      expect(ann.nodes.id).not.toBe(bob.nodes.id);
      expect(ann.nodes.isAlive(ann.nodes.id)).toBe(true);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
      await pass(60_000, ann, bob);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
      expect(bob.nodes.isAlive(ann.nodes.id)).toBe(true);
    });

    test('[CL-81] calls a node dead when its beat has not changed for 8 s, not before, and once', async () => {
      const dead: string[] = [];
      ann.nodes.onDeath((nodeId) => dead.push(nodeId));
      await pass(DEAD_MS - BEAT_MS, ann);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
      await pass(2 * BEAT_MS, ann);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(false);
      await pass(30_000, ann);
      expect(dead).toEqual([bob.nodes.id]);
    });

    test('[CL-82] tells every node of a death, whoever noticed it', async () => {
      const eve = await world.join();
      await pass(BEAT_MS, ann, bob, eve);
      const told: string[] = [];
      eve.nodes.onDeath((nodeId) => told.push(nodeId));
      const stop = eve.nodes.onDeath(() => told.push('stopped'));
      stop();
      for (let count = 0; count < 6; count++) {
        await pass(BEAT_MS, ann);
        await eve.nodes.tick();
      }
      expect(eve.nodes.isAlive(bob.nodes.id)).toBe(false);
      expect(told).toEqual([bob.nodes.id]);
    });

    test('[CL-83] takes a node that it has not met for alive until it has looked', async () => {
      const eve = await world.join();
      expect(ann.nodes.isAlive(eve.nodes.id)).toBe(true);
      expect(ann.nodes.isAlive('nobody')).toBe(true);
      await pass(BEAT_MS, ann);
      expect(ann.nodes.isAlive(eve.nodes.id)).toBe(true);
      expect(ann.nodes.isAlive('nobody')).toBe(false);
      expect(await ann.nodes.isGone('somebody else')).toBe(true);
      expect(await ann.nodes.isGone(eve.nodes.id)).toBe(false);
    });

    test('[CL-84] lets the others see at once that a node has ended in order', async () => {
      const lease = await acquire(bob);
      await bob.nodes.close();
      await bob.nodes.close();
      expect(lease.lost.aborted).toBe(true);
      await pass(BEAT_MS, ann);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(false);
      expect((await acquire(ann)).fence).toBe(lease.fence + 1);
      await expect(bob.leases.tryAcquire('y')).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('[CL-85] calls nobody dead because it was blind itself', async () => {
      ann.clock.standStill(60_000);
      await ann.nodes.tick();
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
      await pass(DEAD_MS - BEAT_MS, ann, bob);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
    });

    test('[CL-86] gives a free lease to one, and says so to the others', async () => {
      const lease = await acquire(ann);
      expect(lease).toMatchObject({ name: 'x', fence: 1 });
      expect(lease.lost.aborted).toBe(false);
      expect(await bob.leases.tryAcquire('x')).toBeUndefined();
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
      expect((await acquire(bob, 'y')).fence).toBe(1);
    });

    test('[CL-87] gives it to exactly one of many that come at once', async () => {
      for (let round = 1; round <= 5; round++) {
        const taken = await Promise.all(
          Array.from({ length: 12 }, (_, index) => (index % 2 ? ann : bob).leases.tryAcquire('x')),
        );
        const [lease, ...others] = taken.filter((one) => one !== undefined);
        expect(others).toEqual([]);
        expect(lease?.fence).toBe(round);
        await lease?.release();
      }
    });

    test('[CL-88] is free after a release, with a greater fence for the next', async () => {
      const first = await acquire(ann);
      await first.release();
      const second = await acquire(bob);
      expect(second.fence).toBeGreaterThan(first.fence);
      // A second release of the first is nobody's business any more.
      await first.release();
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
      await second.release();
      expect((await acquire(ann)).fence).toBeGreaterThan(second.fence);
    });

    test('[CL-89] passes a dead node’s lease on, and not that of one that lives', async () => {
      const lease = await acquire(bob);
      await pass(60_000, ann, bob);
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
      await pass(DEAD_MS - BEAT_MS, ann);
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
      await pass(2 * BEAT_MS, ann);
      expect((await acquire(ann)).fence).toBe(lease.fence + 1);
    });

    test('[CL-101] tells who has it, and nobody where it is free or its owner is gone', async () => {
      expect(await bob.leases.ownerOf('x')).toBeUndefined();
      const lease = await acquire(ann);
      expect([await ann.leases.ownerOf('x'), await bob.leases.ownerOf('x')]).toEqual([ann.nodes.id, ann.nodes.id]);
      await lease.release();
      expect(await bob.leases.ownerOf('x')).toBeUndefined();
      await acquire(ann);
      await pass(DEAD_MS + BEAT_MS, bob);
      expect(await bob.leases.ownerOf('x')).toBeUndefined();
    });

    test('[CL-90] does not take the lease of a node that it has not met', async () => {
      const eve = await world.join();
      await acquire(eve);
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
    });

    test('[CL-91] is lost to its owner before anybody else can have it', async () => {
      const lease = await acquire(bob);
      // Bob's timers run, but its beats do not reach the database.
      for (let passedMs = 0; !(await ann.leases.tryAcquire('x')); passedMs += 500) {
        expect(passedMs).toBeLessThan(DEAD_MS + 2 * BEAT_MS);
        bob.clock.standStill(500);
        void bob.nodes.epoch;
        ann.clock.advance(500);
        await ann.nodes.tick();
      }
      expect(lease.lost.aborted).toBe(true);
    });

    test('[CL-92] is lost when its node stood still for over 4 s, and not for less', async () => {
      const lease = await acquire(bob);
      let interruptions = 0;
      bob.nodes.onInterruption(() => interruptions++);
      bob.clock.standStill(STILL_MS - 1_000);
      await bob.nodes.tick();
      expect(lease.lost.aborted).toBe(false);
      bob.clock.standStill(STILL_MS + 1);
      await bob.nodes.tick();
      expect(lease.lost.aborted).toBe(true);
      expect(interruptions).toBe(1);
      await pass(10_000, bob);
      expect(interruptions).toBe(1);
    });

    test('[CL-93] can be had again by the node that lost it, with a greater fence', async () => {
      const lost = await acquire(bob);
      bob.clock.standStill(STILL_MS + 1);
      const again = await acquire(bob);
      expect(lost.lost.aborted).toBe(true);
      expect(again.fence).toBeGreaterThan(lost.fence);
      expect(again.lost.aborted).toBe(false);
      await lost.release();
      expect(await ann.leases.tryAcquire('x')).toBeUndefined();
    });

    test('[CL-94] is free for all when a node releases it after it was lost', async () => {
      const lost = await acquire(bob);
      bob.clock.standStill(STILL_MS + 1);
      await bob.nodes.tick();
      await lost.release();
      expect((await acquire(ann)).fence).toBeGreaterThan(lost.fence);
    });

    test('[CL-95] is lost to a node that comes back after it was called dead, and the node is alive again', async () => {
      const lease = await acquire(bob);
      await pass(DEAD_MS + BEAT_MS, ann);
      const taken = await acquire(ann);
      // For Bob no time has passed: only the database tells it.
      await bob.nodes.tick();
      expect(lease.lost.aborted).toBe(true);
      expect(await bob.leases.tryAcquire('x')).toBeUndefined();
      await pass(BEAT_MS, ann);
      expect(ann.nodes.isAlive(bob.nodes.id)).toBe(true);
      await taken.release();
      expect((await acquire(bob)).fence).toBeGreaterThan(taken.fence);
    });

    test('[CL-96] carries a fence that shuts out every earlier owner’s guarded writes', async () => {
      const documents = world.database.connection.collection<{ _id: string; fence?: number; by?: string }>('guarded');
      await documents.insertOne({ _id: 'd' });
      const write = async (lease: { fence: number }, by: string): Promise<boolean> => {
        const filter = { _id: 'd', ...fenceFilter(lease) };
        return (await documents.updateOne(filter, { $set: { by, fence: lease.fence } })).matchedCount === 1;
      };
      const first = await acquire(bob);
      expect(await write(first, 'bob')).toBe(true);
      expect(await write(first, 'bob again')).toBe(true);
      await pass(DEAD_MS + BEAT_MS, ann);
      const second = await acquire(ann);
      expect(await write(second, 'ann')).toBe(true);
      expect(await write(first, 'bob late')).toBe(false);
      expect(await documents.findOne({ _id: 'd' })).toMatchObject({ by: 'ann', fence: second.fence });
    });

    test('[CL-97] waits for a lease until it is free', async () => {
      const lease = await acquire(ann);
      const waiting = ann.leases.acquire('x', 10_000);
      await lease.release();
      expect((await waiting).fence).toBe(lease.fence + 1);
    });

    test('[CL-98] waits on another node too', async () => {
      const lease = await acquire(ann);
      const { timers } = bob.clock;
      let got: number | undefined;
      const waiting = bob.leases.acquire('x', 60_000).then(({ fence }) => (got = fence));
      await lease.release();
      await expect.poll(() => (bob.clock.advance(250), got)).toBe(lease.fence + 1);
      await waiting;
      expect(bob.clock.timers).toBe(timers);
    });

    test('[CL-100] waits no longer than it was told', async () => {
      await acquire(ann);
      const { timers } = bob.clock;
      let refusal: unknown;
      const waiting = bob.leases.acquire('x', 1_000).catch((error: unknown) => (refusal = error));
      await expect.poll(() => (bob.clock.advance(250), refusal)).toMatchObject({ code: 'unavailable' });
      await waiting;
      expect(bob.clock.timers).toBe(timers);
      expect(await bob.leases.tryAcquire('x')).toBeUndefined();
    });

    test('[CL-99] owes nothing to former nodes where a node is alone', async () => {
      const lease = await acquire(bob);
      const alone = await world.join({ alone: true });
      expect(alone.nodes.isAlive(bob.nodes.id)).toBe(false);
      expect((await acquire(alone)).fence).toBe(lease.fence + 1);
    });
  });
}
