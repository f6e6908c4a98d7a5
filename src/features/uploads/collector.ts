/** Looks at stored bytes whose time has come, and removes what nobody needs any more. */
import type { Log } from '../../observability/log.ts';

const BATCH = 100;
/** One that cannot be dealt with must not hold up the others. */
const TRY_AGAIN_MS = 3_600_000;

export interface CollectorDeps<Row> {
  /** What is collected, for the log. */
  what: string;
  /** Those whose time has come, longest due first. */
  due: (limit: number) => Promise<Row[]>;
  /** Removes it, or says when it is to be looked at again; either way it is not due any more. */
  look: (row: Row) => Promise<void>;
  /** Looked at again later, whatever its state has become. */
  postpone: (row: Row, ms: number) => Promise<void>;
  log: Log;
}

export class Collector<Row> {
  readonly #deps: CollectorDeps<Row>;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;

  constructor(deps: CollectorDeps<Row>) {
    this.#deps = deps;
  }

  /** Until nothing is due. Several nodes may do it at once. */
  async collect(signal?: AbortSignal): Promise<void> {
    const { what, due, look, postpone, log } = this.#deps;
    for (;;) {
      const rows = await due(BATCH);
      for (const row of rows) {
        if (signal?.aborted) return;
        try {
          await look(row);
        } catch (error) {
          log.warn(`One of the ${what} could not be collected`, { error });
          await postpone(row, TRY_AGAIN_MS);
        }
      }
      if (rows.length < BATCH) return;
    }
  }

  /** In the background, one at a time; what happens meanwhile makes it begin again. */
  soon(): void {
    if (this.#closing.signal.aborted) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = this.collect(this.#closing.signal)
      .catch((error: unknown) => this.#deps.log.warn(`The ${this.#deps.what} could not be collected`, { error }))
      .finally(() => {
        this.#running = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.soon();
      });
  }

  /** Ends after the one that is being removed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }
}
