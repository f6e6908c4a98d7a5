/** The sending end of one stream: sends what its reader has granted, and waits for more. */
import { Fault, LIMITS, withResolvers } from '../protocol/index.ts';
import { SILENT_MS, type ByteSink, type SendMessage, type StreamSource } from './pulled-stream.ts';

export interface SourceDeps {
  id: string;
  /** The node that reads. */
  readerId: string;
  send: SendMessage;
}

export class PulledSource implements ByteSink {
  readonly #deps: SourceDeps;
  readonly #controller = new AbortController();
  #upTo: number;
  #sent = 0;
  #heardAtMs: number;
  #granted = withResolvers();
  /** Writes that were not awaited still go one after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: SourceDeps, upTo: number, nowMs: number) {
    this.#deps = deps;
    this.#upTo = upTo;
    this.#heardAtMs = nowMs;
  }

  /** Runs the source to its end. Never rejects; gives what is no Fault and so is a bug. */
  async run(source: StreamSource, request: unknown): Promise<unknown> {
    const { id, readerId, send } = this.#deps;
    const { signal } = this.#controller;
    // Tells the reader at once that it is served.
    this.#alive();
    try {
      await source(request, this, signal);
      await this.#writing;
      if (!signal.aborted) send(readerId, { type: 'end', id, offset: this.#sent });
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      const fault = error instanceof Fault ? error : new Fault('internal', 'Something went wrong on our side');
      send(readerId, { type: 'failed', id, code: fault.code, message: fault.message });
      return error instanceof Fault ? undefined : error;
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    const written = this.#writing.then(() => this.#write(chunk));
    this.#writing = written.catch(() => {});
    return written;
  }

  pull(upTo: number, nowMs: number): void {
    this.#heardAtMs = nowMs;
    this.#upTo = Math.max(this.#upTo, upTo);
    this.#wake();
  }

  /** Gives a sign of life, or up when the other side gave none. */
  check(nowMs: number): void {
    if (this.#controller.signal.aborted) return;
    if (nowMs - this.#heardAtMs >= SILENT_MS) this.abort(new Fault('unavailable', 'The reader is not heard of'));
    else this.#alive();
  }

  /** The reader does not want it any more, or is gone. */
  abort(reason: Fault): void {
    this.#controller.abort(reason);
    this.#wake();
  }

  /** As `abort`, but the reader is told. */
  fail(fault: Fault): void {
    const { id, readerId, send } = this.#deps;
    send(readerId, { type: 'failed', id, code: fault.code, message: fault.message });
    this.abort(fault);
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const { id, readerId, send } = this.#deps;
    for (let from = 0; ;) {
      this.#controller.signal.throwIfAborted();
      if (from === chunk.length) return;
      const length = Math.min(chunk.length - from, this.#upTo - this.#sent, LIMITS.pulledChunkBytes);
      if (length > 0) {
        // A copy: the caller may use its buffer again, and a node would send the whole buffer behind a view.
        const data = new Uint8Array(chunk.subarray(from, from + length));
        send(readerId, { type: 'data', id, offset: this.#sent, data });
        this.#sent += length;
        from += length;
      } else await this.#granted.promise;
    }
  }

  #wake(): void {
    const { resolve } = this.#granted;
    this.#granted = withResolvers();
    resolve();
  }

  #alive(): void {
    const { id, readerId, send } = this.#deps;
    send(readerId, { type: 'alive', id, offset: this.#sent });
  }
}
