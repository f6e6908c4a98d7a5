/**
 * Work that must be done, if not now then later and if not here then elsewhere. A job is a row of the database: once
 * `enqueue` has resolved it survives every crash. It runs at least once: a node that is cut off while it works may have
 * done all of it, so a handler does what it does in steps that may be repeated.
 */
export type JobState = 'queued' | 'running' | 'done' | 'failed';

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  data: unknown;
  /** Not before; of a repeating job the next time. */
  runAt: Date;
  /** Runs begun so far; those that this server cut off itself do not count. */
  attempts: number;
  /** What the handler stored last. */
  progress?: unknown;
  /** Why the last run failed: a code and a name, never an outside text. The log has the rest. */
  lastError?: string;
  /** The node that runs it. */
  nodeId?: string;
  createdAt: Date;
  startedAt?: Date;
  endedAt?: Date;
}

/** What a handler gets of one run. */
export interface JobRun<Data = unknown, Progress = unknown> {
  readonly jobId: string;
  readonly data: Data;
  /** 1 for the first run. */
  readonly attempt: number;
  /** What the run before stored last, so that this one goes on from there. */
  readonly resume: Progress | undefined;
  /** Aborts when the time is up, the server stops, or another node may run the job by now. Work ends soon then. */
  readonly signal: AbortSignal;
  /** Stores how far the work has come. Rejects when the job is not this run's any more. */
  readonly progress: (value: Progress) => Promise<void>;
}

/** Resolves when the work is done. What it throws is a failed run: it goes again after a while. */
export type JobHandler<Data = unknown, Progress = unknown> = (run: JobRun<Data, Progress>) => Promise<void>;

export interface JobOptions {
  /** Runs of this kind at once on one node. */
  concurrency?: number;
  /** Runs until it counts as failed. */
  maxAttempts?: number;
  /** Time for one run. */
  timeoutMs?: number;
}

export interface EnqueueOptions {
  /** The same kind and key are the same job, for as long as its row is kept. */
  key?: string;
  /** Not before. */
  runAt?: Date;
}

export interface JobList {
  state: JobState;
  kind?: string;
  limit?: number;
  cursor?: string;
}

export interface Jobs {
  /** Says how a kind is done; each node takes only kinds that it knows. */
  handle<Data, Progress = unknown>(kind: string, handler: JobHandler<Data, Progress>, options?: JobOptions): void;
  /**
   * As `handle`, for work that comes again by itself: one run per interval over all nodes, at the interval's start
   * (counted from 1970), never two at once. Intervals that passed while nobody could run it are left out.
   */
  every<Progress = unknown>(
    kind: string,
    everyMs: number,
    handler: JobHandler<undefined, Progress>,
    options?: Omit<JobOptions, 'concurrency'>,
  ): void;
  /** Resolves when the job is stored. `isNew` is false when it was there before, whatever has become of it. */
  enqueue(kind: string, data: object, options?: EnqueueOptions): Promise<{ jobId: string; isNew: boolean }>;
  get(jobId: string): Promise<Job | undefined>;
  /** By kind, then by time. */
  list(query: JobList): Promise<{ items: Job[]; next: string | null }>;
  /** Begins to run jobs. To be called when the database has its indexes. */
  start(): Promise<void>;
  /** Aborts what runs here and puts it back for others. `enqueue` still works. */
  close(): Promise<void>;
}
