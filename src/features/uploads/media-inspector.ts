/** Says what an upload is, by its content. Owns the thread in which that is found out: one, when needed. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Log } from '../../observability/log.ts';
import { Fault, withResolvers } from '../../protocol/index.ts';
import type { MediaFacts, MediaJob, MediaMessage, Picture } from './media-worker.ts';
import type { Recording } from './webm.ts';

/** Ordinary files take milliseconds. */
const JOB_MS = 5_000;
/** After this without work the thread is ended, and its memory with it. */
const IDLE_MS = 60_000;
/** What waits holds no bytes yet, but a connection. */
const MOST_WAITING = 200;

type Facts = MediaFacts[MediaJob['what']];

interface Waiting {
  /** Makes the job when its turn has come, so that only one job's bytes are in memory. */
  job: () => Promise<MediaJob>;
  resolve: (facts: Facts) => void;
  reject: (error: unknown) => void;
}

/** Reads the content; asked when its turn has come. */
type ReadBytes = () => Promise<Uint8Array>;

export interface MediaInspectorOptions {
  log: Log;
  jobMs?: number;
}

export class MediaInspector {
  readonly #log: Log;
  readonly #jobMs: number;
  readonly #queue: Waiting[] = [];
  #thread: Worker | undefined;
  #starting: Promise<Worker> | undefined;
  #working = false;
  #closed = false;
  #idle: NodeJS.Timeout | undefined;

  constructor({ log, jobMs = JOB_MS }: MediaInspectorOptions) {
    this.#log = log;
    this.#jobMs = jobMs;
  }

  /** The MIME type that the beginning of a file tells. */
  typeOf(head: Uint8Array): Promise<string | undefined> {
    return this.#inspect(async () => ({ what: 'type', bytes: head }));
  }

  pictureOf(read: ReadBytes): Promise<Picture | undefined> {
    return this.#inspect(async () => ({ what: 'picture', bytes: await read() }));
  }

  soundOf(mime: string, read: ReadBytes): Promise<Recording | undefined> {
    return this.#inspect(async () => ({ what: 'sound', mime, bytes: await read() }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    for (const { reject } of this.#queue.splice(0)) reject(stopping());
    await this.#end();
    await this.#starting?.catch(() => {});
  }

  /**
   * Undefined where the content cannot be read, or not in time. Rejects with what making the job rejects with, and with
   * `unavailable` when too many wait or the server stops.
   */
  #inspect<F extends Facts>(job: Waiting['job']): Promise<F> {
    if (this.#closed || this.#queue.length >= MOST_WAITING) {
      return Promise.reject(new Fault('unavailable', 'Too many uploads are waiting', { retryAfterMs: 2_000 }));
    }
    const { promise, resolve, reject } = withResolvers<F>();
    this.#queue.push({ job, resolve: resolve as Waiting['resolve'], reject });
    void this.#work();
    return promise;
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    clearTimeout(this.#idle);
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const { job, resolve, reject } = next;
      try {
        resolve(await this.#ask(await job()));
      } catch (error) {
        reject(error);
      }
    }
    this.#working = false;
    if (!this.#closed) this.#idle = setTimeout(() => void this.#end(), IDLE_MS).unref();
  }

  async #ask(job: MediaJob): Promise<Facts> {
    this.#starting = this.#thread ? undefined : this.#start();
    this.#thread ??= await this.#starting;
    const thread = this.#thread;
    if (!thread) throw stopping();
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort('timeout'), this.#jobMs);
    const onError = (): void => ended.abort('error');
    const onExit = (): void => ended.abort('exit');
    thread.once('error', onError).once('exit', onExit);
    try {
      const answered = once(thread, 'message', { signal: ended.signal });
      // A copy of just these bytes: what shares their memory with others does not go along.
      const bytes = new Uint8Array(job.bytes);
      thread.postMessage({ ...job, bytes }, [bytes.buffer]);
      const [{ facts }] = (await answered) as [Exclude<MediaMessage, string>];
      return facts;
    } catch (error) {
      if (!ended.signal.aborted) throw error;
      await this.#end();
      if (this.#closed) throw stopping();
      const reason = String(ended.signal.reason);
      this.#log.warn('An upload could not be read', { reason, action: job.what, bytes: job.bytes.length });
      return undefined;
    } finally {
      clearTimeout(timer);
      thread.off('error', onError).off('exit', onExit);
    }
  }

  async #start(): Promise<Worker> {
    if (this.#closed) throw stopping();
    // The same suffix as this module's: .ts in development and tests, .js once built.
    const thread = new Worker(new URL(`./media-worker${import.meta.url.slice(-3)}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    });
    thread.unref();
    // Between jobs nobody else listens; the next job starts another.
    const ended = new AbortController();
    const forget = (): void => {
      if (this.#thread === thread) this.#thread = undefined;
      ended.abort(new Error('The thread for uploads did not start'));
    };
    thread.on('error', forget).on('exit', forget);
    // It loads its parsers first, and that is not to be counted.
    await once(thread, 'message', { signal: ended.signal });
    if (!this.#closed) return thread;
    await thread.terminate();
    throw stopping();
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }
}

const stopping = (): Fault => new Fault('unavailable', 'The server is stopping');
