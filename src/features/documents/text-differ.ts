/** Owns the thread in which texts are compared that differ in more than a little: one, when needed. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Log } from '../../observability/log.ts';
import { QUICK, tryDiff } from './text-diff.ts';
import type { DiffJob } from './text-diff-worker.ts';
import { trimmed, type TextSplice } from './text-splice.ts';

/** The diff itself takes at most 60 ms; the rest is for reading long lines on a busy machine. */
const JOB_MS = 2_000;
/** After this without work the thread is ended, and its memory with it. */
const IDLE_MS = 60_000;
/** Of both texts between their equal ends; more is not even tried on the main thread. */
const QUICK_CHARS = 64 * 1024;
/** Each waiting pair of texts holds up to 4 MiB; beyond, texts are replaced as a whole between their equal ends. */
const MOST_WAITING = 16;

export class TextDiffer {
  readonly #log: Log;
  #thread: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Ascending splices that make `before` into `after`. Never rejects. */
  async diff(before: string, after: string): Promise<TextSplice[]> {
    const [middle] = trimmed(before, after);
    if (!middle) return [];
    const { index, deleteCount, insert } = middle;
    if (deleteCount === 0 || insert === '') return [middle];
    const quick = deleteCount + insert.length <= QUICK_CHARS ? tryDiff(before, after, QUICK) : undefined;
    if (quick) return quick;
    if (this.#closed || this.#waiting >= MOST_WAITING) return [middle];
    // Only what differs travels.
    const old = before.slice(index, index + deleteCount);
    const splices = await this.#ask({ before: old, after: insert });
    return splices?.map((one) => ({ ...one, index: one.index + index })) ?? [middle];
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#end();
  }

  /** One after another. Undefined when the thread could not do it. */
  #ask(job: DiffJob): Promise<TextSplice[] | undefined> {
    this.#waiting++;
    clearTimeout(this.#idle);
    const answer = this.#last.then(() => this.#run(job)).catch((error: unknown) => this.#lost(error));
    this.#last = answer.finally(() => {
      this.#waiting--;
      if (this.#waiting === 0 && !this.#closed) this.#idle = setTimeout(() => void this.#end(), IDLE_MS).unref();
    });
    return answer;
  }

  async #run(job: DiffJob): Promise<TextSplice[]> {
    if (this.#closed) throw new Error('The server is stopping');
    this.#thread ??= this.#start();
    const thread = this.#thread;
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(new Error('It took too long')), JOB_MS);
    const onExit = (code: number): void => ended.abort(new Error(`The thread ended with code ${code}`));
    thread.once('exit', onExit);
    try {
      const answered = once(thread, 'message', { signal: ended.signal });
      thread.postMessage(job);
      const [splices] = (await answered) as [TextSplice[]];
      return splices;
    } finally {
      clearTimeout(timer);
      thread.off('exit', onExit);
    }
  }

  #start(): Worker {
    // The same suffix as this module's: .ts in development and tests, .js once built.
    const thread = new Worker(new URL(`./text-diff-worker${import.meta.url.slice(-3)}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    });
    thread.unref();
    // Between jobs nobody else listens; the next job starts another.
    const forget = (): void => {
      if (this.#thread === thread) this.#thread = undefined;
    };
    thread.on('error', forget).on('exit', forget);
    return thread;
  }

  async #lost(error: unknown): Promise<undefined> {
    await this.#end();
    if (!this.#closed) this.#log.warn('Two texts could not be compared; one replaces the other', { error });
    return undefined;
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }
}
