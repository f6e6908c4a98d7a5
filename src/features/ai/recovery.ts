/**
 * Ends what nobody runs any more: the streams of dead nodes, with the text that the stream log has. It also brings a
 * stop to the node that runs the stream, when it was asked for on another one.
 */
import type { Leases, Nodes } from '../../cluster/lease.ts';
import type { StreamLog } from '../../cluster/stream-log.ts';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import type { Clock } from './clock.ts';
import type { StreamRow, StreamStore } from './model.ts';
import type { RunningStreams } from './running-streams.ts';
import { INTERRUPTED, type EndStream } from './stream-ending.ts';

export interface RecoveryDeps {
  streams: StreamStore;
  running: RunningStreams;
  streamLog: StreamLog;
  nodes: Nodes;
  leases: Leases;
  end: EndStream;
  log: Log;
  clock: Clock;
}

/** A node counts as dead after 8 s; two more, and its streams have ended. */
const SWEEP_MS = 2_000;

export class Recovery {
  readonly #deps: RecoveryDeps;
  #sweeping: Promise<void> | undefined;
  #again = false;
  #cancelTimer: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #closed = false;

  constructor(deps: RecoveryDeps) {
    this.#deps = deps;
  }

  /** Sweeps once, and from then on by itself. Rejects only if the first sweep fails. */
  async start(): Promise<void> {
    this.#unsubscribe ??= this.#deps.nodes.onDeath(() => void this.#sweepQuietly());
    this.#schedule();
    await this.sweep();
  }

  /** Ends all streams that have nobody; a call during a sweep gets another one after it. */
  sweep(): Promise<void> {
    if (this.#sweeping) {
      this.#again = true;
      return this.#sweeping;
    }
    this.#sweeping = this.#sweepAll().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe?.();
    this.#cancelTimer?.();
    await this.#sweeping?.catch(() => {});
  }

  async #sweepAll(): Promise<void> {
    do {
      this.#again = false;
      await this.#sweepOnce();
    } while (this.#again && !this.#closed);
  }

  async #sweepOnce(): Promise<void> {
    const { streams, running, nodes, leases } = this.#deps;
    const rows = await streams.running();
    for (const row of rows) if (row.stopAsked) void running.get(row.streamId)?.stop('stopped');
    const orphans = rows.filter(({ nodeId, streamId }) =>
      nodeId === nodes.id ? !running.has(streamId) : !nodes.isAlive(nodeId),
    );
    if (orphans.length === 0) return;
    const lease = await leases.tryAcquire('ai:recover');
    if (!lease) return;
    try {
      for (const row of orphans) {
        if (lease.lost.aborted || this.#closed) return;
        await this.#interrupt(row);
      }
    } finally {
      await lease.release();
    }
  }

  async #interrupt(row: StreamRow): Promise<void> {
    const { streamLog, end, log } = this.#deps;
    let kept: Awaited<ReturnType<StreamLog['read']>>;
    try {
      kept = await streamLog.read(row.streamId, 0);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      // Its text is there when the log is in reach again; a later sweep ends it.
      log.warn('The end of a stream waits for its text', { streamId: row.streamId, nodeId: row.nodeId });
      return;
    }
    log.warn('A stream is ended for a node that is gone', { streamId: row.streamId, nodeId: row.nodeId });
    await end(row, kept?.text ?? '', row.usage, INTERRUPTED);
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#cancelTimer = this.#deps.clock.after(SWEEP_MS, () => void this.#sweepQuietly().then(() => this.#schedule()));
  }

  async #sweepQuietly(): Promise<void> {
    try {
      await this.sweep();
    } catch (error) {
      this.#deps.log.warn('Streams without a node could not be looked for', { error });
    }
  }
}
