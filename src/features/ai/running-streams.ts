/** The streams that this node runs: begins them, finds them, and ends them all when the server stops. */
import { Fault } from '../../protocol/index.ts';
import type { NewStream, StreamRow, StreamStore } from './model.ts';
import type { AiRequest } from './provider.ts';
import { StreamRunner, type RunnerDeps } from './stream-runner.ts';

export class RunningStreams {
  readonly #streams: StreamStore;
  readonly #runnerDeps: RunnerDeps;
  readonly #runners = new Map<string, StreamRunner>();
  /** Rows that are being written; their runners follow. */
  readonly #starting = new Map<string, Promise<unknown>>();
  #closing = false;

  constructor(streams: StreamStore, runnerDeps: RunnerDeps) {
    this.#streams = streams;
    this.#runnerDeps = runnerDeps;
  }

  /** The runner of a stream that has not ended, if it runs here. */
  get(streamId: string): StreamRunner | undefined {
    const runner = this.#runners.get(streamId);
    return runner?.ended ? undefined : runner;
  }

  /** Whether this node answers for the stream, though it may not have begun yet. */
  has(streamId: string): boolean {
    return this.#runners.has(streamId) || this.#starting.has(streamId);
  }

  /** Rejects with `Fault('unavailable')` once the server stops. */
  requireOpen(): void {
    if (this.#closing) throw new Fault('unavailable', 'This server is stopping; connect again');
  }

  /** Makes the stream durable and begins it; a stream that exists already is left as it is. */
  async start(stream: NewStream, request: () => Promise<AiRequest>): Promise<{ row: StreamRow; isNew: boolean }> {
    this.requireOpen();
    const { streamId } = stream;
    // A twin of this prompt may be on its way too: only one of them inserts.
    const inserted = this.#streams.start(stream).then((started) => {
      if (started.isNew) this.#run(started.row, request);
      return started;
    });
    this.#starting.set(streamId, inserted);
    try {
      return await inserted;
    } finally {
      if (this.#starting.get(streamId) === inserted) this.#starting.delete(streamId);
    }
  }

  /** Interrupts every stream and resolves when their ends are stored. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled(this.#starting.values());
    await Promise.all([...this.#runners.values()].map((runner) => runner.stop('interrupted')));
  }

  #run(row: StreamRow, request: () => Promise<AiRequest>): void {
    const runner = new StreamRunner(this.#runnerDeps, row, request);
    this.#runners.set(row.streamId, runner);
    void runner.done.then(() => this.#runners.delete(row.streamId));
  }
}
