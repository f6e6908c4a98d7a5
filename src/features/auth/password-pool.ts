/** One or two threads that start with the first password and take jobs one at a time, in order. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Fault, withResolvers } from '../../protocol/index.ts';
import type { PasswordJob, PasswordResult } from './password-worker.ts';

/** One core stays for the main loop. */
const THREADS = Math.min(2, Math.max(1, availableParallelism() - 1));
/** At about three jobs a second and thread, more could not be answered before an operation's deadline of 10 s. */
const MOST_WAITING = 20 * THREADS;

interface Waiting {
  job: PasswordJob;
  resolve: (value: string | boolean) => void;
  reject: (error: unknown) => void;
}

export class PasswordPool {
  readonly #queue: Waiting[] = [];
  readonly #idle: Worker[] = [];
  /** What each thread works at. */
  readonly #busy = new Map<Worker, Waiting>();
  #closed = false;

  /** Rejects with `unavailable` when too many jobs wait or the pool has been closed. */
  run(job: PasswordJob): Promise<string | boolean> {
    if (this.#closed || this.#queue.length >= MOST_WAITING) {
      return Promise.reject(new Fault('unavailable', 'Too many sign-ins are waiting', { retryAfterMs: 2_000 }));
    }
    const { promise, resolve, reject } = withResolvers<string | boolean>();
    this.#queue.push({ job, resolve, reject });
    this.#assign();
    return promise;
  }

  /** Ends the threads; jobs that have not been answered are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    const threads = [...this.#idle.splice(0), ...this.#busy.keys()];
    const unanswered = [...this.#queue.splice(0), ...this.#busy.values()];
    this.#busy.clear();
    for (const { reject } of unanswered) reject(new Fault('unavailable', 'The server is stopping'));
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  #assign(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idle.pop() ?? (this.#busy.size < THREADS ? this.#start() : undefined);
      const next = thread && this.#queue.shift();
      if (!next) return;
      this.#busy.set(thread, next);
      thread.postMessage(next.job);
    }
  }

  #start(): Worker {
    // The same suffix as this module's: .ts in development and tests, .js once built.
    const thread = new Worker(new URL(`./password-worker${import.meta.url.slice(-3)}`, import.meta.url));
    thread.unref();
    thread.on('message', (result: PasswordResult) => {
      const done = this.#busy.get(thread);
      this.#busy.delete(thread);
      this.#idle.push(thread);
      if ('error' in result) done?.reject(new Error(`bcrypt failed: ${result.error}`));
      else done?.resolve(result.value);
      this.#assign();
    });
    // A thread that dies takes its job along; the next job starts another.
    thread.once('error', (error) => this.#lose(thread, error));
    thread.once('exit', (code) => this.#lose(thread, new Error(`a password thread ended with code ${code}`)));
    return thread;
  }

  #lose(thread: Worker, error: unknown): void {
    const lost = this.#busy.get(thread);
    this.#busy.delete(thread);
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
    lost?.reject(error);
    if (!this.#closed) this.#assign();
  }
}
