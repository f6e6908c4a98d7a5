import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Job, JobRun, Jobs } from '../../src/cluster/job.ts';
import { FIRST_PAUSE_MS, KEEP_DONE_MS, KEEP_FAILED_MS, LONGEST_PAUSE_MS } from '../../src/cluster/job-outcomes.ts';
import { BEAT_MS, DEAD_MS, STILL_MS, type DatabaseNodes } from '../../src/cluster/nodes.ts';
import { Fault, HOUR_MS } from '../../src/protocol/index.ts';
import type { Database } from '../../src/storage/database.ts';
import type { FakeClock } from './fake-clock.ts';

/** One node with a clock of its own. */
export interface Worker {
  nodes: DatabaseNodes;
  jobs: Jobs;
  clock: FakeClock;
}

export interface JobsWorld {
  database: Database;
  /** What the nodes take for the time of day. */
  wall: { nowMs: number };
  /** Another node on the same database and bus. */
  join(options?: { alone?: boolean }): Promise<Worker>;
  /** Errors and warnings of all nodes. */
  complaints: string[];
  close(): Promise<void>;
}

/** Waits as long as a busy machine may need. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 10_000, interval: 10 });

/** What every form of jobs promises. */
export function describeJobs(name: string, open: () => Promise<JobsWorld>): void {
  describe(`jobs (${name})`, () => {
    let world: JobsWorld;
    let ann: Worker;
    let bob: Worker;
    beforeEach(async () => {
      world = await open();
      ann = await world.join();
      bob = await world.join();
      await pass(BEAT_MS, ann, bob);
    });
    afterEach(() => world.close());

    /** Time passes for these nodes, and for the others as little as if they had been stopped. */
    async function pass(ms: number, ...workers: Worker[]): Promise<void> {
      for (let leftMs = ms; leftMs > 0; leftMs -= BEAT_MS) {
        const stepMs = Math.min(leftMs, BEAT_MS);
        world.wall.nowMs += stepMs;
        for (const { clock } of workers) clock.advance(stepMs);
        for (const { nodes } of workers) await nodes.tick();
      }
    }
    const stateOf = async (jobId: string) => (await ann.jobs.get(jobId))?.state;
    const jobOf = async (jobId: string): Promise<Job> => {
      const job = await ann.jobs.get(jobId);
      if (!job) throw new Error('There is no such job');
      return job;
    };
    const rows = () => world.database.connection.collection('jobs');
    const startAll = async (...workers: Worker[]) => {
      for (const { jobs } of workers) await jobs.start();
    };
    /** A handler that ends when it is told to, and what it was given. */
    const held = () => {
      const runs: { run: JobRun<{ n?: number }>; end: () => void; fail: (error: unknown) => void }[] = [];
      const handler = (run: JobRun<{ n?: number }>) =>
        new Promise<void>((end, fail) => {
          run.signal.addEventListener('abort', () => fail(run.signal.reason));
          runs.push({ run, end, fail });
        });
      return { runs, handler };
    };

    test('[CL-200] runs a job once, at once, on one of the nodes', async () => {
      const ran: unknown[] = [];
      for (const { jobs } of [ann, bob]) jobs.handle('mail', async ({ data }) => void ran.push(data));
      await startAll(ann, bob);
      const { jobId, isNew } = await ann.jobs.enqueue('mail', { to: 'somebody' });
      expect(isNew).toBe(true);
      await eventually(() => stateOf(jobId)).toBe('done');
      expect(ran).toEqual([{ to: 'somebody' }]);
      const job = await jobOf(jobId);
      expect(job).toMatchObject({ id: jobId, kind: 'mail', attempts: 1, data: { to: 'somebody' } });
      expect(job.nodeId).toBeUndefined();
      expect(job.endedAt).toBeInstanceOf(Date);
    });

    test('[CL-201] runs each of many exactly once when several nodes take them', async () => {
      const ran: number[] = [];
      for (const { jobs } of [ann, bob]) {
        jobs.handle<{ n: number }>('many', async ({ data }) => void ran.push(data.n), { concurrency: 4 });
      }
      await startAll(ann, bob);
      const all = Array.from({ length: 60 }, (_, n) => n);
      await Promise.all(all.map((n) => (n % 2 ? ann : bob).jobs.enqueue('many', { n })));
      await eventually(() => rows().countDocuments({ state: 'done' })).toBe(60);
      expect(ran.toSorted((a, b) => a - b)).toEqual(all);
    });

    test('[CL-202] takes the same kind and key for the same job, on any node, also when it is done', async () => {
      const ran: unknown[] = [];
      ann.jobs.handle('once', async ({ data }) => void ran.push(data));
      await startAll(ann);
      const tries = await Promise.all(
        [1, 2, 3, 4].map((n) => (n % 2 ? ann : bob).jobs.enqueue('once', { n }, { key: 'k' })),
      );
      expect(tries.filter(({ isNew }) => isNew)).toHaveLength(1);
      const [first] = tries;
      expect(new Set(tries.map(({ jobId }) => jobId)).size).toBe(1);
      await eventually(() => stateOf(first?.jobId ?? '')).toBe('done');
      expect((await bob.jobs.enqueue('once', {}, { key: 'k' })).isNew).toBe(false);
      expect((await bob.jobs.enqueue('once', {}, { key: 'other' })).isNew).toBe(true);
      expect((await bob.jobs.enqueue('other kind', {}, { key: 'k' })).isNew).toBe(true);
      await eventually(() => ran).toHaveLength(2);
    });

    test('[CL-203] runs at most so many of a kind on a node at once', async () => {
      const { runs, handler } = held();
      ann.jobs.handle('slow', handler, { concurrency: 3 });
      await startAll(ann);
      for (let n = 0; n < 5; n++) await ann.jobs.enqueue('slow', { n });
      await eventually(() => runs.length).toBe(3);
      expect(await rows().countDocuments({ state: 'running' })).toBe(3);
      runs[0]?.end();
      await eventually(() => runs.length).toBe(4);
      expect(await rows().countDocuments({ state: 'running' })).toBe(3);
      for (const { end } of runs) end();
      await eventually(() => runs.length).toBe(5);
      runs[4]?.end();
      await eventually(() => rows().countDocuments({ state: 'done' })).toBe(5);
    });

    test('[CL-204] leaves a kind to the nodes that know it', async () => {
      const ran: string[] = [];
      bob.jobs.handle('new kind', async () => void ran.push('bob'));
      await startAll(ann, bob);
      const { jobId } = await ann.jobs.enqueue('new kind', {});
      await eventually(() => stateOf(jobId)).toBe('done');
      expect(ran).toEqual(['bob']);
    });

    test('[CL-205] does not run a job before its time', async () => {
      const ran: unknown[] = [];
      ann.jobs.handle('later', async ({ data }) => void ran.push(data));
      await startAll(ann);
      const at = (inMs: number) => ({ runAt: new Date(world.wall.nowMs + inMs) });
      const { jobId } = await ann.jobs.enqueue('later', { in: 'an hour' }, at(3_600_000));
      const soon = await ann.jobs.enqueue('later', { in: 'a minute' }, at(60_000));
      await pass(59_000, ann, bob);
      expect(ran).toEqual([]);
      await pass(2_000, ann, bob);
      await eventually(() => stateOf(soon.jobId)).toBe('done');
      expect(await stateOf(jobId)).toBe('queued');
    });

    test('[CL-206] finds what it was not told of', async () => {
      const ran: unknown[] = [];
      ann.jobs.handle('quiet', async ({ data }) => void ran.push(data));
      const before = await ann.jobs.enqueue('quiet', { n: 1 });
      await startAll(ann);
      await eventually(() => stateOf(before.jobId)).toBe('done');
      // As one whose notice was lost.
      const runAt = new Date(world.wall.nowMs);
      const row = { kind: 'quiet', state: 'queued', data: { n: 2 }, runAt, attempts: 0, fence: 0, createdAt: runAt };
      await rows().insertOne(row);
      await eventually(async () => (await pass(BEAT_MS, ann, bob), ran.length)).toBe(2);
      expect(ran).toEqual([{ n: 1 }, { n: 2 }]);
    });

    test('[CL-207] runs a job that broke again after pauses that grow, and says why', async () => {
      let fails = 0;
      ann.jobs.handle('shaky', async () => {
        if (++fails <= 3) throw new Fault('upstream', 'The mail service refused it');
      });
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('shaky', {});
      for (let attempt = 1; attempt <= 3; attempt++) {
        await eventually(async () => (await pass(250, ann, bob), (await jobOf(jobId)).attempts)).toBe(attempt);
        await eventually(() => stateOf(jobId)).toBe('queued');
        const { runAt, startedAt, lastError } = await jobOf(jobId);
        expect(lastError).toBe('upstream: The mail service refused it');
        const longestMs = FIRST_PAUSE_MS * 2 ** (attempt - 1);
        expect(runAt.getTime() - (startedAt?.getTime() ?? 0)).toBeGreaterThanOrEqual(longestMs / 2);
        expect(runAt.getTime() - world.wall.nowMs).toBeLessThanOrEqual(longestMs);
      }
      await eventually(async () => (await pass(BEAT_MS, ann, bob), await stateOf(jobId))).toBe('done');
      expect((await jobOf(jobId)).lastError).toBeUndefined();
    });

    test('[CL-208] never pauses longer than the cap, and as long as the failure asks for', async () => {
      ann.jobs.handle('asking', async () => {
        throw new Fault('rate_limited', 'Too many', { retryAfterMs: 120_000 });
      });
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('asking', {});
      const tired = await rows().insertOne({
        kind: 'asking',
        state: 'queued',
        runAt: new Date(world.wall.nowMs),
        attempts: 6,
        fence: 6,
        createdAt: new Date(world.wall.nowMs),
      });
      await eventually(async () => (await jobOf(jobId)).attempts).toBe(1);
      await eventually(() => stateOf(jobId)).toBe('queued');
      expect((await jobOf(jobId)).runAt.getTime()).toBe(world.wall.nowMs + 120_000);
      await pass(BEAT_MS, ann, bob);
      const other = tired.insertedId.toHexString();
      await eventually(async () => (await pass(BEAT_MS, ann, bob), (await jobOf(other)).attempts)).toBe(7);
      await eventually(() => stateOf(other)).toBe('queued');
      expect((await jobOf(other)).runAt.getTime()).toBeLessThanOrEqual(world.wall.nowMs + LONGEST_PAUSE_MS);
    });

    test('[CL-209] gives up after so many runs, and keeps the job for people to see', async () => {
      let runs = 0;
      const fail = async () => {
        runs++;
        throw Object.assign(new Error('mongodb://user:secret@host'), { code: 'ECONNREFUSED' });
      };
      ann.jobs.handle('hopeless', fail, { maxAttempts: 2 });
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('hopeless', {});
      await eventually(async () => (await pass(BEAT_MS, ann, bob), await stateOf(jobId))).toBe('failed');
      expect(runs).toBe(2);
      const job = await jobOf(jobId);
      // Not the text, which holds a password.
      expect(job.lastError).toBe('Error ECONNREFUSED');
      const row = await rows().findOne({ kind: 'hopeless' });
      expect(row?.['expiresAt'].getTime() - (job.endedAt?.getTime() ?? 0)).toBe(KEEP_FAILED_MS);
      await pass(60_000, ann, bob);
      expect(runs).toBe(2);
    });

    test('[CL-210] has a done job removed after 7 days', async () => {
      ann.jobs.handle('short', async () => {});
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('short', {});
      await eventually(() => stateOf(jobId)).toBe('done');
      const row = await rows().findOne({ kind: 'short' });
      expect(row?.['expiresAt'].getTime() - row?.['endedAt'].getTime()).toBe(KEEP_DONE_MS);
      const indexes = await rows().indexes();
      expect(indexes.find(({ expireAfterSeconds }) => expireAfterSeconds === 0)?.key).toEqual({ expiresAt: 1 });
    });

    test('[CL-211] runs the job of a dead node elsewhere, from where it stood', async () => {
      const annHas = held();
      ann.jobs.handle('long', annHas.handler);
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('long', {});
      await eventually(() => annHas.runs.length).toBe(1);
      await annHas.runs[0]?.run.progress({ done: 40 });
      const bobHas = held();
      bob.jobs.handle('long', bobHas.handler);
      await startAll(bob);
      await pass(DEAD_MS - 2 * BEAT_MS, bob);
      expect(bobHas.runs).toEqual([]);
      await eventually(async () => (await pass(BEAT_MS, bob), bobHas.runs.length)).toBe(1);
      expect(bobHas.runs[0]?.run).toMatchObject({ attempt: 2, resume: { done: 40 } });
      expect((await jobOf(jobId)).nodeId).toBe(bob.nodes.id);

      // Who was thought dead comes back: nothing that it does counts any more.
      await expect(annHas.runs[0]?.run.progress({ done: 41 })).rejects.toMatchObject({ code: 'conflict' });
      annHas.runs[0]?.end();
      await eventually(() => world.complaints).toContain('A job was taken over while it ran');
      expect(await jobOf(jobId)).toMatchObject({ state: 'running', progress: { done: 40 } });
      bobHas.runs[0]?.end();
      await eventually(() => stateOf(jobId)).toBe('done');
    });

    test('[CL-212] counts the runs that a node’s death cut off: a job that kills nodes is given up', async () => {
      const annHas = held();
      ann.jobs.handle('deadly', annHas.handler, { maxAttempts: 1 });
      bob.jobs.handle('deadly', async () => {}, { maxAttempts: 1 });
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('deadly', {});
      await eventually(() => annHas.runs.length).toBe(1);
      await startAll(bob);
      await eventually(async () => (await pass(BEAT_MS, bob), await stateOf(jobId))).toBe('failed');
      expect((await jobOf(jobId)).lastError).toBe('unavailable: The node that ran it is gone');
    });

    test('[CL-213] is aborted when its node is not sure of itself any more, and is not to blame for that', async () => {
      const { runs, handler } = held();
      ann.jobs.handle('long', handler);
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('long', {});
      await eventually(() => runs.length).toBe(1);
      ann.clock.standStill(STILL_MS + 1);
      await ann.nodes.tick();
      expect(runs[0]?.run.signal.aborted).toBe(true);
      await eventually(() => runs.length).toBe(2);
      expect(runs[1]?.run.attempt).toBe(1);
      runs[1]?.end();
      await eventually(() => stateOf(jobId)).toBe('done');
    });

    test('[CL-214] runs again at once elsewhere when its node stops in order', async () => {
      const [annHas, bobHas] = [held(), held()];
      ann.jobs.handle('long', annHas.handler);
      bob.jobs.handle('long', bobHas.handler);
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('long', {});
      await eventually(() => annHas.runs.length).toBe(1);
      await annHas.runs[0]?.run.progress(['half']);
      await startAll(bob);
      await ann.jobs.close();
      expect(annHas.runs[0]?.run.signal.aborted).toBe(true);
      await eventually(() => bobHas.runs.length).toBe(1);
      expect(bobHas.runs[0]?.run).toMatchObject({ attempt: 1, resume: ['half'] });
      bobHas.runs[0]?.end();
      await eventually(() => stateOf(jobId)).toBe('done');
      // Others may still need it for what they leave behind.
      expect((await ann.jobs.enqueue('long', {})).isNew).toBe(true);
    });

    test('[CL-215] ends a run that takes too long, and gives it up if it does not listen', async () => {
      let calls = 0;
      ann.jobs.handle(
        'endless',
        () => {
          calls++;
          return new Promise(() => {});
        },
        { timeoutMs: 10_000, maxAttempts: 1 },
      );
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('endless', {});
      await eventually(() => calls).toBe(1);
      await pass(8_000, ann, bob);
      expect(await stateOf(jobId)).toBe('running');
      await pass(10_000, ann, bob);
      await eventually(() => stateOf(jobId)).toBe('failed');
      expect((await jobOf(jobId)).lastError).toBe('timeout: The job took too long');
    });

    test('[CL-216] goes on after a failure from what it had stored, within one job', async () => {
      const steps: number[] = [];
      ann.jobs.handle<object, number>('steps', async ({ resume = 0, progress, attempt }) => {
        for (let step = resume; step < 6; step++) {
          steps.push(step);
          await progress(step + 1);
          if (step === 2 && attempt === 1) throw new Error('a broken step');
        }
      });
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('steps', {});
      await eventually(async () => (await pass(BEAT_MS, ann, bob), await stateOf(jobId))).toBe('done');
      expect(steps).toEqual([0, 1, 2, 3, 4, 5]);
      expect((await jobOf(jobId)).progress).toBeUndefined();
    });

    test('[CL-217] runs a repeating job once per interval over all nodes', async () => {
      const hours = Math.ceil(world.wall.nowMs / HOUR_MS);
      const ran: number[] = [];
      for (const { jobs } of [ann, bob]) jobs.every('hourly', HOUR_MS, async () => void ran.push(world.wall.nowMs));
      world.wall.nowMs = hours * HOUR_MS + 10_000;
      await startAll(ann, bob);
      const due = () => rows().findOne({ kind: 'hourly' });
      expect(await rows().countDocuments({ kind: 'hourly' })).toBe(1);
      for (let hour = 1; hour <= 3; hour++) {
        world.wall.nowMs = (hours + hour) * HOUR_MS - 5_000;
        await pass(4_000, ann, bob);
        expect(ran).toHaveLength(hour - 1);
        await eventually(async () => (await pass(BEAT_MS, ann, bob), ran.length)).toBe(hour);
        await eventually(async () => (await due())?.['runAt'].getTime()).toBe((hours + 1 + hour) * HOUR_MS);
      }
      // Nobody was there for a day: it runs once, not 24 times.
      world.wall.nowMs += 24 * HOUR_MS;
      await eventually(async () => (await pass(BEAT_MS, ann, bob), ran.length)).toBe(4);
      await pass(20_000, ann, bob);
      expect(ran).toHaveLength(4);
    });

    test('[CL-218] leaves a repeating job that broke to the next interval, with what it had done', async () => {
      const hours = Math.ceil(world.wall.nowMs / HOUR_MS);
      const resumed: unknown[] = [];
      ann.jobs.every<number>(
        'hourly',
        HOUR_MS,
        async ({ resume, progress }) => {
          resumed.push(resume);
          await progress(resumed.length);
          if (resumed.length <= 2) throw new Error('a broken run');
        },
        { maxAttempts: 2 },
      );
      world.wall.nowMs = hours * HOUR_MS + 1;
      await startAll(ann);
      const row = () => rows().findOne({ kind: 'hourly' });
      world.wall.nowMs = (hours + 1) * HOUR_MS;
      await eventually(async () => (await pass(BEAT_MS, ann, bob), resumed.length)).toBe(2);
      await eventually(async () => (await row())?.['runAt'].getTime()).toBe((hours + 2) * HOUR_MS);
      expect(await row()).toMatchObject({ state: 'queued', lastError: 'Error' });
      world.wall.nowMs = (hours + 2) * HOUR_MS;
      await eventually(async () => (await pass(BEAT_MS, ann, bob), resumed.length)).toBe(3);
      expect(resumed).toEqual([undefined, 1, 2]);
      await eventually(async () => (await row())?.['runAt'].getTime()).toBe((hours + 3) * HOUR_MS);
      expect(await row()).not.toHaveProperty('lastError');
      expect(await row()).not.toHaveProperty('progress');
    });

    test('[CL-219] lists by state and kind, in pages', async () => {
      for (const kind of ['b', 'a']) {
        for (let n = 0; n < 5; n++) await ann.jobs.enqueue(kind, { n }, { runAt: new Date(n * 1_000) });
      }
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await bob.jobs.list({ state: 'queued', limit: 3, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...page.items.map(({ kind, data }) => `${kind}${(data as { n: number }).n}`));
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      expect(seen).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'b2', 'b3', 'b4']);
      expect((await bob.jobs.list({ state: 'queued', kind: 'b' })).items).toHaveLength(5);
      expect(await bob.jobs.list({ state: 'failed' })).toEqual({ items: [], next: null });
    });

    test('[CL-220] refuses data and progress that are too large', async () => {
      const text = 'x'.repeat(70_000);
      await expect(ann.jobs.enqueue('large', { text })).rejects.toMatchObject({ code: 'too_large' });
      let refusal: unknown;
      ann.jobs.handle('large', async ({ progress }) => {
        refusal = await progress(text).catch((error: unknown) => error);
      });
      await startAll(ann);
      await ann.jobs.enqueue('large', {});
      await eventually(() => refusal).toMatchObject({ code: 'too_large' });
    });

    test('[CL-221] owes nothing to former nodes where a node is alone', async () => {
      const { runs, handler } = held();
      ann.jobs.handle('long', handler);
      await startAll(ann);
      const { jobId } = await ann.jobs.enqueue('long', {});
      await eventually(() => runs.length).toBe(1);
      const alone = await world.join({ alone: true });
      const next = held();
      alone.jobs.handle('long', next.handler);
      await startAll(alone);
      await eventually(async () => (await pass(250, alone), next.runs.length)).toBe(1);
      next.runs[0]?.end();
      await eventually(() => stateOf(jobId)).toBe('done');
      expect(runs[0]?.run.attempt).toBe(1);
      expect(next.runs[0]?.run.attempt).toBe(2);
    });

    test('[CL-222] leaves no timer and no listener behind', async () => {
      const { runs, handler } = held();
      ann.jobs.handle('long', handler);
      const before = ann.clock.timers;
      await startAll(ann);
      await ann.jobs.enqueue('long', {});
      await eventually(() => runs.length).toBe(1);
      await ann.jobs.close();
      await ann.jobs.close();
      expect(ann.clock.timers).toBe(before);
    });
  });
}
