/**
 * Runs jobs: looks for those whose time has come, at once when the bus tells of a new one and else from time to time;
 * claims them for this node; takes back what dead nodes ran.
 */
import { Types, type Connection } from 'mongoose';
import type { Log } from '../observability/log.ts';
import { Fault, LIMITS } from '../protocol/index.ts';
import type { Bus } from './bus.ts';
import { systemClock, type Clock } from './clock.ts';
import type { EnqueueOptions, Job, JobHandler, JobList, JobOptions, Jobs } from './job.ts';
import { done, failed, givenBack, nextInterval } from './job-outcomes.ts';
import { jobIdOf, JobStore, type Claimed, type JobRow, type Release } from './job-store.ts';
import type { DatabaseNodes } from './nodes.ts';
import { RunningJob, type RunEnd } from './running-job.ts';

export interface JobsDeps {
  connection: Connection;
  nodes: DatabaseNodes;
  bus: Bus;
  log: Log;
  /** Milliseconds since 1970: when jobs are due. Nodes' clocks should agree to a second or so, as NTP keeps them. */
  now?: () => number;
  clock?: Clock;
  random?: () => number;
}

interface Kind {
  readonly name: string;
  readonly handler: JobHandler;
  readonly concurrency: number;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly everyMs: number | undefined;
  readonly running: Set<RunningJob>;
  /** When the database is asked again. */
  lookAtMs: number;
  looking: boolean;
  again: boolean;
}

/** How exactly deadlines and due times are kept. */
const TICK_MS = 250;
/** A notice of the bus may be lost. */
const LOOK_MS = 5_000;
/** Running jobs of nodes that are gone are looked for, besides whenever a death is noticed. */
const SWEEP_MS = 30_000;
/** A look asks for a few more than there is room for: others claim at the same time. */
const SPARE = 8;
/** The outcome of a run is written again after this. */
const RETRY_MS = 1_000;
const TOPIC = 'jobs';

const DEFAULTS = { concurrency: 2, maxAttempts: 8, timeoutMs: 60_000 };

export const createJobs = (deps: JobsDeps): Jobs => new DatabaseJobs(deps);

class DatabaseJobs implements Jobs {
  readonly #store: JobStore;
  readonly #nodes: DatabaseNodes;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #kinds = new Map<string, Kind>();
  /** Rows that this node has claimed or is about to, by id. */
  readonly #mine = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  /** Kinds that are to be told to all nodes in this turn. */
  readonly #toTell = new Set<string>();
  #stops: (() => void)[] = [];
  #sweepAtMs = -Infinity;
  #started = false;
  #closing = new AbortController();

  constructor({ connection, nodes, bus, log, now = Date.now, clock = systemClock, random = Math.random }: JobsDeps) {
    this.#store = new JobStore(connection);
    this.#nodes = nodes;
    this.#bus = bus;
    this.#log = log;
    this.#now = now;
    this.#clock = clock;
    this.#random = random;
  }

  handle<Data, Progress>(kind: string, handler: JobHandler<Data, Progress>, options: JobOptions = {}): void {
    this.#add(kind, handler as JobHandler, options, undefined);
  }

  every<Progress>(
    kind: string,
    everyMs: number,
    handler: JobHandler<undefined, Progress>,
    options: Omit<JobOptions, 'concurrency'> = {},
  ): void {
    this.#add(kind, handler as JobHandler, { ...options, concurrency: 1 }, everyMs);
  }

  async enqueue(kind: string, data: object, { key, runAt }: EnqueueOptions = {}) {
    if (JSON.stringify(data).length > LIMITS.jobDataChars)
      throw new Fault('too_large', `A job of ${kind} is too large`);
    const createdAt = new Date(this.#now());
    const _id = key === undefined ? new Types.ObjectId() : jobIdOf(kind, key);
    const row: JobRow = {
      _id,
      kind,
      state: 'queued',
      data,
      runAt: runAt ?? createdAt,
      attempts: 0,
      fence: 0,
      createdAt,
    };
    const isNew = await this.#store.insert(row);
    if (isNew) this.#tell(kind);
    return { jobId: _id.toHexString(), isNew };
  }

  get(jobId: string): Promise<Job | undefined> {
    return this.#store.get(jobId);
  }

  list(query: JobList): Promise<{ items: Job[]; next: string | null }> {
    return this.#store.list(query);
  }

  async start(): Promise<void> {
    for (const kind of this.#kinds.values()) await this.#repeat(kind);
    this.#started = true;
    this.#stops = [
      this.#bus.subscribe(TOPIC, (kinds) => {
        for (const name of kinds as string[]) this.#lookSoon(name);
      }),
      this.#bus.onReady(() => {
        for (const name of this.#kinds.keys()) this.#lookSoon(name);
      }),
      this.#nodes.onDeath(() => {
        this.#sweepAtMs = -Infinity;
        this.#tick();
      }),
      this.#nodes.onInterruption(() => this.#cutAll(new Fault('unavailable', 'This node may no longer own the job'))),
      this.#clock.every(TICK_MS, () => this.#tick()),
    ];
    this.#tick();
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    this.#started = false;
    this.#closing.abort();
    this.#cutAll(new Fault('unavailable', 'The server stops'));
    // The clock still tells when to give up one that does not listen.
    const stop = this.#clock.every(TICK_MS, () => this.#checkRuns());
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    stop();
  }

  #add(name: string, handler: JobHandler, options: JobOptions, everyMs: number | undefined): void {
    if (this.#kinds.has(name)) throw new Error(`There is a handler of ${name} already`);
    const kind: Kind = {
      ...DEFAULTS,
      ...options,
      name,
      handler,
      everyMs,
      running: new Set(),
      lookAtMs: -Infinity,
      looking: false,
      again: false,
    };
    this.#kinds.set(name, kind);
    if (this.#started) this.#go(this.#repeat(kind));
  }

  async #repeat({ name, everyMs }: Kind): Promise<void> {
    if (everyMs === undefined) return;
    const createdAt = new Date(this.#now());
    const runAt = nextInterval(everyMs, this.#now());
    const _id = jobIdOf(name, 'every');
    await this.#store.repeat({ _id, kind: name, state: 'queued', runAt, everyMs, attempts: 0, fence: 0, createdAt });
  }

  /** One notice for all jobs of a turn. */
  #tell(kind: string): void {
    this.#toTell.add(kind);
    if (this.#toTell.size > 1) return;
    setImmediate(() => {
      const kinds = [...this.#toTell];
      this.#toTell.clear();
      this.#bus.publish(TOPIC, kinds);
    });
  }

  #lookSoon(name: string): void {
    const kind = this.#kinds.get(name);
    if (!kind || this.#closing.signal.aborted) return;
    kind.lookAtMs = -Infinity;
    this.#look(kind);
  }

  #tick(): void {
    if (this.#closing.signal.aborted) return;
    this.#checkRuns();
    const nowMs = this.#clock.now();
    if (nowMs >= this.#sweepAtMs) {
      this.#sweepAtMs = nowMs + SWEEP_MS;
      this.#go(this.#sweep());
    }
    for (const kind of this.#kinds.values()) if (nowMs >= kind.lookAtMs) this.#look(kind);
  }

  #checkRuns(): void {
    const nowMs = this.#clock.now();
    for (const { running } of this.#kinds.values()) for (const run of running) run.check(nowMs);
  }

  #cutAll(reason: Fault): void {
    const nowMs = this.#clock.now();
    for (const { running } of this.#kinds.values()) for (const run of running) run.cut(reason, nowMs);
  }

  /** Fills the free places of a kind. One look at a time; one that is asked for meanwhile follows. */
  #look(kind: Kind): void {
    if (kind.looking) kind.again = true;
    else if (kind.running.size < kind.concurrency) this.#go(this.#lookUntilDone(kind));
  }

  async #lookUntilDone(kind: Kind): Promise<void> {
    kind.looking = true;
    try {
      do {
        kind.again = false;
        await this.#lookOnce(kind);
      } while (kind.again && !this.#closing.signal.aborted && kind.running.size < kind.concurrency);
    } catch (error) {
      kind.lookAtMs = this.#clock.now() + LOOK_MS;
      throw error;
    } finally {
      kind.looking = false;
    }
  }

  async #lookOnce(kind: Kind): Promise<void> {
    const limit = kind.concurrency - kind.running.size + SPARE;
    const rows = await this.#store.queued(kind.name, limit);
    const nowMs = this.#now();
    const due = rows.filter(({ runAt }) => runAt.getTime() <= nowMs);
    // In step, several nodes would all ask for the same rows at the same time.
    const nextInMs = (rows[due.length]?.runAt.getTime() ?? Infinity) - nowMs;
    kind.lookAtMs = this.#clock.now() + Math.min(LOOK_MS * (0.75 + this.#random() / 2), nextInMs);
    for (const row of due) {
      if (this.#closing.signal.aborted || kind.running.size >= kind.concurrency) return;
      await this.#take(kind, row);
    }
    if (due.length === limit) kind.again = true;
  }

  async #take(kind: Kind, row: JobRow): Promise<void> {
    const key = row._id.toHexString();
    if (this.#mine.has(key)) return;
    this.#mine.add(key);
    let run: RunningJob | undefined;
    try {
      await this.#nodes.ensureCertain();
      const { epoch, id } = this.#nodes;
      const claimed = await this.#store.claim(row, id, new Date(this.#now()));
      if (!claimed) return;
      run = new RunningJob(claimed, kind.handler, this.#clock.now() + kind.timeoutMs, (progress) =>
        this.#save(claimed, progress),
      );
      kind.running.add(run);
      if (this.#nodes.epoch !== epoch || this.#closing.signal.aborted) {
        run.cut(new Fault('unavailable', 'This node may no longer own the job'), this.#clock.now());
      }
      this.#go(this.#attend(kind, run));
    } finally {
      // When the answer to a claim was lost, a sweep finds the row.
      if (!run) this.#mine.delete(key);
    }
  }

  /** Waits for the run's end, and writes what becomes of its job. */
  async #attend(kind: Kind, run: RunningJob): Promise<void> {
    const { claimed } = run;
    const end = await run.ended;
    if (end.kind === 'failed') {
      const { _id, attempts: attempt } = claimed;
      this.#log.warn('A job failed', { name: kind.name, jobId: _id.toHexString(), attempt, error: end.error });
    }
    try {
      await this.#release(claimed, this.#outcome(kind, claimed, end));
    } finally {
      kind.running.delete(run);
      this.#mine.delete(claimed._id.toHexString());
      if (!this.#closing.signal.aborted) this.#lookSoon(kind.name);
    }
  }

  #outcome(kind: Kind, claimed: Claimed, end: RunEnd): Release {
    const nowMs = this.#now();
    if (end.kind === 'done') return done(claimed, nowMs);
    if (end.kind === 'cut') return givenBack(nowMs);
    return failed(claimed, end.error, kind.maxAttempts, nowMs, this.#random());
  }

  /** Tries until it is written or somebody else has the job; after the server's end a sweep of another node does it. */
  async #release(claimed: Claimed, release: Release): Promise<void> {
    const jobId = claimed._id.toHexString();
    for (;;) {
      try {
        const isWritten = await this.#store.release(claimed, release);
        if (!isWritten) this.#log.warn('A job was taken over while it ran', { name: claimed.kind, jobId });
        else if (release.set.state === 'queued') this.#tell(claimed.kind);
        return;
      } catch (error) {
        this.#log.warn('The outcome of a job could not be written yet', { name: claimed.kind, jobId, error });
        if (this.#closing.signal.aborted) return;
        await this.#pause(RETRY_MS);
      }
    }
  }

  async #save(claimed: Claimed, progress: unknown): Promise<boolean> {
    if ((JSON.stringify(progress) ?? '').length > LIMITS.jobDataChars) {
      throw new Fault('too_large', `The progress of a job of ${claimed.kind} is too large`);
    }
    return this.#store.progress(claimed, progress);
  }

  /** Puts back what nobody runs: jobs of dead nodes, and of this one those whose claim it never heard of. */
  async #sweep(): Promise<void> {
    for (const row of await this.#store.running()) {
      const { nodeId } = row;
      const isLost =
        nodeId === this.#nodes.id ? !this.#mine.has(row._id.toHexString()) : await this.#nodes.isGone(nodeId);
      if (!isLost || this.#closing.signal.aborted) continue;
      const gone = new Fault('unavailable', 'The node that ran it is gone');
      const maxAttempts = this.#kinds.get(row.kind)?.maxAttempts ?? Infinity;
      await this.#store.release(row, failed(row, gone, maxAttempts, this.#now(), this.#random()));
      this.#tell(row.kind);
    }
  }

  /** Until then or the server's end. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        stop();
        this.#closing.signal.removeEventListener('abort', end);
        resolve();
      };
      const stop = this.#clock.every(ms, end);
      this.#closing.signal.addEventListener('abort', end);
    });
  }

  /** Work of its own; `close` waits for it. */
  #go(work: Promise<void>): void {
    const watched: Promise<void> = work
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted) this.#log.warn('Jobs could not be looked after yet', { error });
      })
      .finally(() => this.#underWay.delete(watched));
    this.#underWay.add(watched);
  }
}
