/** The end of a tunnel where it was opened: one stream that it reads, and another that its other end reads. */
import { Duplex } from 'node:stream';
import { Fault, withResolvers } from '../protocol/index.ts';
import type { ByteSink } from './pulled-stream.ts';

export class TunnelStream extends Duplex {
  readonly #output: AsyncIterator<Uint8Array>;
  /** Where what is written goes, once the other end asks for it. */
  readonly #sink = withResolvers<ByteSink>();
  /** Nothing more is written. */
  readonly #finished = withResolvers();
  #onWritten: ((error?: Error | null) => void) | undefined;

  constructor(output: AsyncIterator<Uint8Array>) {
    super();
    this.#output = output;
    for (const { promise } of [this.#sink, this.#finished]) promise.catch(() => {});
  }

  /** Gives the sink all that is written, to the end. */
  pour(sink: ByteSink, signal: AbortSignal): Promise<void> {
    // What it has said before can still be read.
    const onRefused = (): void => {
      if (this.readableEnded) this.destroy(gone());
      else this.once('end', () => this.destroy(gone()));
    };
    signal.addEventListener('abort', onRefused, { once: true });
    this.#sink.resolve(sink);
    return this.#finished.promise;
  }

  override _read(): void {
    this.#output.next().then(
      ({ done, value }) => this.push(done ? null : value),
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, onWritten: (error?: Error | null) => void): void {
    this.#onWritten = onWritten;
    this.#sink.promise
      .then((sink) => sink.write(chunk))
      .then(
        () => this.#written(),
        (error: Error) => this.#written(error),
      );
  }

  override _final(onFinished: (error?: Error | null) => void): void {
    this.#sink.promise.then(
      () => {
        this.#finished.resolve();
        onFinished();
      },
      (error: Error) => onFinished(error),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const closed = new Fault('unavailable', 'The tunnel was closed');
    this.#sink.reject(closed);
    this.#finished.reject(closed);
    this.#written(error ?? closed);
    void this.#output.return?.();
    callback(error);
  }

  #written(error?: Error): void {
    const onWritten = this.#onWritten;
    this.#onWritten = undefined;
    onWritten?.(error);
  }
}

const gone = (): Fault => new Fault('unavailable', 'The other end is gone');
