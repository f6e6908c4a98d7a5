/**
 * Leases as rows of the database. A claim names the owner and the fence that it has read, so of many that come at once
 * one succeeds; the rows are never deleted, so a fence never starts again.
 */
import type { Connection, mongo } from 'mongoose';
import type { Log } from '../observability/log.ts';
import { Fault } from '../protocol/index.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Lease, Leases } from './lease.ts';
import { BEAT_MS, type DatabaseNodes } from './nodes.ts';

export interface LeasesDeps {
  connection: Connection;
  nodes: DatabaseNodes;
  log: Log;
  clock?: Clock;
}

interface LeaseRow {
  _id: string;
  owner: string | null;
  fence: number;
}

/** How often a waiter looks, while nobody wakes it. */
const LOOK_MS = 250;
const DUPLICATE_KEY = 11_000;

export const createLeases = (deps: LeasesDeps): Leases => new DatabaseLeases(deps);

class DatabaseLeases implements Leases {
  readonly #rows: mongo.Collection<LeaseRow>;
  readonly #nodes: DatabaseNodes;
  readonly #log: Log;
  readonly #clock: Clock;
  /** What this node owns for certain. */
  readonly #held = new Map<string, AbortController>();
  /** One attempt for each name at a time: a second one has to see what the first one got. */
  readonly #taking = new Map<string, Promise<Lease | undefined>>();
  readonly #waiters = new Set<() => void>();

  constructor({ connection, nodes, log, clock = systemClock }: LeasesDeps) {
    this.#rows = connection.collection<LeaseRow>('leases');
    this.#nodes = nodes;
    this.#log = log;
    this.#clock = clock;
    nodes.onInterruption(() => this.#lose());
    nodes.onDeath(() => this.#wake());
  }

  tryAcquire(name: string): Promise<Lease | undefined> {
    const before = this.#taking.get(name) ?? Promise.resolve(undefined);
    const attempt = before
      .catch(() => undefined)
      .then(() => this.#take(name))
      .finally(() => {
        if (this.#taking.get(name) === attempt) this.#taking.delete(name);
      });
    this.#taking.set(name, attempt);
    return attempt;
  }

  async acquire(name: string, timeoutMs: number): Promise<Lease> {
    const endMs = this.#clock.now() + timeoutMs;
    for (;;) {
      const woken = this.#nextWake();
      try {
        const lease = await this.tryAcquire(name);
        if (lease) return lease;
        const leftMs = endMs - this.#clock.now();
        if (leftMs <= 0) throw new Fault('unavailable', `Another node still owns ${name}`, { retryAfterMs: 1_000 });
        await woken.within(Math.min(leftMs, LOOK_MS));
      } finally {
        woken.forget();
      }
    }
  }

  async ownerOf(name: string): Promise<string | undefined> {
    const owner = (await this.#rows.findOne({ _id: name }))?.owner;
    return owner && !(await this.#nodes.isGone(owner)) ? owner : undefined;
  }

  async #take(name: string): Promise<Lease | undefined> {
    await this.#nodes.ensureCertain();
    const { epoch } = this.#nodes;
    if (this.#held.has(name)) return undefined;
    const fence = await this.#claim(name);
    return fence === undefined ? undefined : this.#hold(name, fence, epoch);
  }

  /** The new fence, or undefined when somebody else has the lease or was faster. */
  async #claim(name: string): Promise<number | undefined> {
    const { id } = this.#nodes;
    const row = await this.#rows.findOne({ _id: name });
    if (!row) {
      try {
        await this.#rows.insertOne({ _id: name, owner: id, fence: 1 });
        return 1;
      } catch (error) {
        if (isDuplicate(error)) return undefined;
        throw error;
      }
    }
    const { owner, fence } = row;
    // One that is this node's, but not held, was lost, or the answer to its claim was.
    if (owner !== null && owner !== id && !(await this.#nodes.isGone(owner))) return undefined;
    const { matchedCount } = await this.#rows.updateOne(
      { _id: name, owner, fence },
      { $set: { owner: id, fence: fence + 1 } },
    );
    return matchedCount === 1 ? fence + 1 : undefined;
  }

  #hold(name: string, fence: number, epoch: number): Lease {
    const controller = new AbortController();
    // Reading the epoch is also a look at the clock.
    if (this.#nodes.epoch === epoch) this.#held.set(name, controller);
    else controller.abort(lostReason(name));
    return {
      name,
      fence,
      lost: controller.signal,
      release: async () => {
        if (this.#held.get(name) === controller) this.#held.delete(name);
        await this.#free(name, fence);
      },
    };
  }

  async #free(name: string, fence: number): Promise<void> {
    try {
      await this.#rows.updateOne({ _id: name, owner: this.#nodes.id, fence }, { $set: { owner: null } });
      this.#wake();
    } catch (error) {
      // Once the node has ended, the lease is free by that.
      if (this.#nodes.closed) return;
      this.#log.warn('A lease could not be released yet', { lease: name, error });
      const stop = this.#clock.every(BEAT_MS, () => {
        stop();
        void this.#free(name, fence);
      });
    }
  }

  #lose(): void {
    const lost = [...this.#held];
    this.#held.clear();
    for (const [name, controller] of lost) controller.abort(lostReason(name));
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
  }

  /** Listens from now on, so that a wake between an attempt and the wait after it is not missed. */
  #nextWake() {
    let wake = (): void => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#waiters.add(wake);
    return {
      within: async (ms: number): Promise<void> => {
        const stop = this.#clock.every(ms, wake);
        await woken;
        stop();
      },
      forget: () => void this.#waiters.delete(wake),
    };
  }
}

const lostReason = (name: string): Fault => new Fault('unavailable', `This node may no longer own ${name}`);

const isDuplicate = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === DUPLICATE_KEY;
