/**
 * The nodes of a deployment, each with a beat in the database that it raises every 2 s. Whoever sees a beat unchanged
 * for 8 s of their own monotonic clock calls its node dead and removes its row; no clocks are compared. The other side
 * of the bargain: a node is sure of itself only while a beat that it sent less than 6 s ago is known to be stored and
 * its own event loop has not stood still for 4 s. Otherwise it is interrupted, and what it owned counts as lost.
 */
import { Types, type Connection, type mongo } from 'mongoose';
import type { Log } from '../observability/log.ts';
import { Fault } from '../protocol/index.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Nodes } from './lease.ts';

export const BEAT_MS = 2_000;
export const DEAD_MS = 8_000;
/** A loop that stood still for longer may not have noticed that its node was called dead. */
export const STILL_MS = 4_000;
/** Less than `DEAD_MS`, for the time between the check and what is done then. */
export const CERTAIN_MS = 6_000;
/** How often a node looks at its own clock. */
const WATCH_MS = 500;
/** Ids of former nodes that are remembered as gone. */
const MAX_GONE = 1_000;
/** In place of a time: until a new beat is stored. */
const INTERRUPTED = Number.NEGATIVE_INFINITY;

export interface DatabaseNodes extends Nodes {
  /** Changes whenever this node was interrupted. What was owned in another epoch is lost. */
  readonly epoch: number;
  readonly closed: boolean;
  /** Called when this node is no longer sure to be taken for alive. */
  onInterruption(listener: () => void): () => void;
  /** Whether a node is dead or was never there, by a look in the database where it is not known. */
  isGone(nodeId: string): Promise<boolean>;
  /** Resolves when this node is sure of itself; rejects when the database is out of reach or the node has closed. */
  ensureCertain(): Promise<void>;
  /** Raises the beat and looks at the others; the clock does it every 2 s. Never rejects. */
  tick(): Promise<void>;
}

export interface NodesOptions {
  connection: Connection;
  log: Log;
  clock?: Clock;
  /** No other process can use this database: what former nodes left is removed at once. */
  alone?: boolean;
}

interface NodeRow {
  _id: string;
  beat: number;
  startedAt: Date;
  /** For people only. */
  beatAt: Date;
}

/** Resolves when this node's first beat is stored. */
export async function createNodes(options: NodesOptions): Promise<DatabaseNodes> {
  const nodes = new BeatingNodes(options);
  await nodes.start();
  return nodes;
}

class BeatingNodes implements DatabaseNodes {
  readonly id = new Types.ObjectId().toHexString();
  readonly #rows: mongo.Collection<NodeRow>;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #alone: boolean;
  readonly #startedAt = new Date();
  /** The others: their beats, and when each was first seen. */
  readonly #others = new Map<string, { beat: number; atMs: number }>();
  /** Ids that were asked about but are not known; the next look tells. */
  readonly #asked = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #deathListeners = new Set<{ call: (nodeId: string) => void }>();
  readonly #interruptionListeners = new Set<{ call: () => void }>();
  #epoch = 0;
  #beat = 0;
  /** When the newest beat that is known to be stored was sent. */
  #certainFromMs: number;
  #watchedAtMs: number;
  #lookedAtMs: number;
  #ticking: Promise<void> | undefined;
  /** Looks come one after the other: an older one must not correct a newer one. */
  #looks: Promise<void> = Promise.resolve();
  #stopTimers: (() => void)[] = [];
  #closed = false;

  constructor({ connection, log, clock = systemClock, alone = false }: NodesOptions) {
    this.#rows = connection.collection<NodeRow>('nodes');
    this.#log = log;
    this.#clock = clock;
    this.#alone = alone;
    this.#certainFromMs = this.#watchedAtMs = this.#lookedAtMs = clock.now();
  }

  get epoch(): number {
    this.#watch();
    return this.#epoch;
  }

  get closed(): boolean {
    return this.#closed;
  }

  async start(): Promise<void> {
    if (this.#alone) await this.#rows.deleteMany({});
    const sentAtMs = this.#clock.now();
    await this.#rows.insertOne(this.#row());
    await this.#look();
    this.#certainFromMs = sentAtMs;
    this.#watchedAtMs = this.#clock.now();
    this.#stopTimers = [
      this.#clock.every(BEAT_MS, () => void this.tick()),
      this.#clock.every(WATCH_MS, () => this.#watch()),
    ];
  }

  isAlive(nodeId: string): boolean {
    if (nodeId === this.id || this.#others.has(nodeId)) return true;
    if (this.#alone || this.#gone.has(nodeId)) return false;
    this.#asked.add(nodeId);
    return true;
  }

  async isGone(nodeId: string): Promise<boolean> {
    if (nodeId !== this.id && !this.#others.has(nodeId) && !this.#gone.has(nodeId)) {
      this.#asked.add(nodeId);
      await this.#look();
    }
    return !this.isAlive(nodeId);
  }

  onDeath(call: (nodeId: string) => void): () => void {
    return register(this.#deathListeners, { call });
  }

  onInterruption(call: () => void): () => void {
    return register(this.#interruptionListeners, { call });
  }

  async ensureCertain(): Promise<void> {
    this.#watch();
    if (!this.#isCertain() && !this.#closed) await this.#beatOnce();
    if (!this.#isCertain()) throw new Fault('unavailable', 'This node is not sure of itself');
  }

  tick(): Promise<void> {
    this.#watch();
    if (this.#closed) return Promise.resolve();
    return (this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stopTimers) stop();
    await this.#ticking;
    // The others need not wait to see that this node has gone. Without a database they will see it by themselves.
    await this.#rows.deleteOne({ _id: this.id }).catch(() => {});
    this.#interrupt('closed');
  }

  async #tick(): Promise<void> {
    try {
      await this.#beatOnce();
      await this.#look();
    } catch (error) {
      this.#log.warn('The beat of this node could not be stored', { nodeId: this.id, error });
    }
  }

  async #beatOnce(): Promise<void> {
    const sentAtMs = this.#clock.now();
    const { beat, beatAt } = this.#row();
    const { matchedCount } = await this.#rows.updateOne({ _id: this.id }, { $set: { beat, beatAt } });
    if (matchedCount === 0 && !this.#closed) {
      this.#interrupt('called dead by another node');
      await this.#rows.insertOne(this.#row());
    }
    this.#watch();
    this.#certainFromMs = Math.max(this.#certainFromMs, sentAtMs);
  }

  #row(): NodeRow {
    return { _id: this.id, beat: ++this.#beat, startedAt: this.#startedAt, beatAt: new Date() };
  }

  /** Compares the beats of all nodes with those of before. */
  #look(): Promise<void> {
    const look = this.#looks.then(() => this.#lookOnce());
    this.#looks = look.catch(() => {});
    return look;
  }

  async #lookOnce(): Promise<void> {
    const asked = [...this.#asked];
    const rows = await this.#rows.find({}, { projection: { beat: 1 } }).toArray();
    const nowMs = this.#clock.now();
    // Who could not look has not seen a beat stand still; and when nobody could beat, nobody is dead.
    const blind = nowMs - this.#lookedAtMs > STILL_MS;
    this.#lookedAtMs = nowMs;
    const found = new Set<string>();
    for (const { _id: nodeId, beat } of rows) {
      if (nodeId === this.id) continue;
      found.add(nodeId);
      const known = this.#others.get(nodeId);
      if (!known || known.beat !== beat || blind) {
        this.#others.set(nodeId, { beat, atMs: nowMs });
        this.#gone.delete(nodeId);
      } else if (nowMs - known.atMs >= DEAD_MS) {
        // Only if it has still not moved. If it has, the next look will see that.
        const { deletedCount } = await this.#rows.deleteOne({ _id: nodeId, beat });
        if (deletedCount === 1) this.#bury(nodeId);
      }
    }
    for (const nodeId of this.#others.keys()) if (!found.has(nodeId)) this.#bury(nodeId);
    for (const nodeId of asked) {
      this.#asked.delete(nodeId);
      if (!found.has(nodeId)) this.#remember(nodeId);
    }
  }

  #bury(nodeId: string): void {
    if (!this.#others.delete(nodeId)) return;
    this.#remember(nodeId);
    this.#log.warn('A node is gone', { nodeId });
    this.#call(this.#deathListeners, (listener) => listener.call(nodeId));
  }

  #remember(nodeId: string): void {
    this.#gone.add(nodeId);
    if (this.#gone.size <= MAX_GONE) return;
    const [oldest] = this.#gone;
    if (oldest !== undefined) this.#gone.delete(oldest);
  }

  #isCertain(): boolean {
    return !this.#closed && this.#clock.now() - this.#certainFromMs < CERTAIN_MS;
  }

  /** Notices that this node stood still, or has no fresh beat in the database. */
  #watch(): void {
    const nowMs = this.#clock.now();
    const stillMs = nowMs - this.#watchedAtMs;
    this.#watchedAtMs = nowMs;
    if (this.#closed || this.#certainFromMs === INTERRUPTED) return;
    if (stillMs > STILL_MS) this.#interrupt('stood still', stillMs);
    else if (!this.#isCertain()) this.#interrupt('without a fresh beat', nowMs - this.#certainFromMs);
  }

  #interrupt(reason: string, durationMs?: number): void {
    this.#epoch++;
    this.#certainFromMs = INTERRUPTED;
    if (reason !== 'closed' && this.#interruptionListeners.size > 0) {
      this.#log.warn('This node is no longer sure of what it owns', { nodeId: this.id, reason, durationMs });
    }
    this.#call(this.#interruptionListeners, (listener) => listener.call());
  }

  #call<T>(listeners: ReadonlySet<T>, call: (listener: T) => void): void {
    for (const listener of listeners) {
      try {
        call(listener);
      } catch (error) {
        this.#log.error('A listener of the nodes broke', { nodeId: this.id, error });
      }
    }
  }
}

function register<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
