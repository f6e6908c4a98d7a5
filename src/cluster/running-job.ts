/** One run of a job: its deadline, its abort, and what its handler may store meanwhile. */
import { Fault } from '../protocol/index.ts';
import type { JobHandler } from './job.ts';
import type { Claimed } from './job-store.ts';

/** How a run ended. `cut`: this server aborted it, and the job is not to blame. */
export type RunEnd = { kind: 'done' } | { kind: 'failed'; error: unknown } | { kind: 'cut' };

/** A handler that does not end so long after its abort is given up: its slot is free, its writes are refused. */
export const ABORT_GRACE_MS = 5_000;

export class RunningJob {
  readonly claimed: Claimed;
  readonly #controller = new AbortController();
  readonly #deadlineMs: number;
  readonly #ended: Promise<RunEnd>;
  #giveUp: (error: unknown) => void = () => {};
  #abortedAtMs: number | undefined;
  #cut = false;
  #over = false;

  /** Begins at once. `save` stores progress; false when the row is not this run's any more. */
  constructor(
    claimed: Claimed,
    handler: JobHandler,
    deadlineMs: number,
    save: (progress: unknown) => Promise<boolean>,
  ) {
    this.claimed = claimed;
    this.#deadlineMs = deadlineMs;
    this.#ended = this.#run(handler, save);
  }

  /** Never rejects. */
  get ended(): Promise<RunEnd> {
    return this.#ended;
  }

  /** Looks at the time: ends what takes too long, and gives up what does not listen to that. */
  check(nowMs: number): void {
    if (this.#abortedAtMs === undefined) {
      if (nowMs >= this.#deadlineMs) this.#abort(new Fault('timeout', 'The job took too long'), nowMs);
    } else if (nowMs - this.#abortedAtMs >= ABORT_GRACE_MS) this.#giveUp(this.#controller.signal.reason);
  }

  /** The server stops, or is not sure any more that the job is its own. */
  cut(reason: Fault, nowMs: number): void {
    this.#cut = true;
    this.#abort(reason, nowMs);
  }

  #abort(reason: Fault, nowMs: number): void {
    this.#abortedAtMs ??= nowMs;
    this.#controller.abort(reason);
  }

  async #run(handler: JobHandler, save: (progress: unknown) => Promise<boolean>): Promise<RunEnd> {
    const { _id, data, attempts, progress } = this.claimed;
    const { signal } = this.#controller;
    const givenUp = new Promise<never>((_resolve, reject) => {
      this.#giveUp = reject;
    });
    // The claimer has not noted this run yet.
    await Promise.resolve();
    try {
      signal.throwIfAborted();
      const work = handler({
        jobId: _id.toHexString(),
        data,
        attempt: attempts,
        resume: progress,
        signal,
        progress: async (value) => {
          signal.throwIfAborted();
          if (this.#over || !(await save(value))) throw new Fault('conflict', 'The job is not this run’s any more');
        },
      });
      await Promise.race([work, givenUp]);
      return { kind: 'done' };
    } catch (error) {
      return this.#cut ? { kind: 'cut' } : { kind: 'failed', error };
    } finally {
      this.#over = true;
    }
  }
}
