/** Random access to an archive's file for yauzl, which by itself would ask the system for positions that it throws at. */
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { RandomAccessReader } from 'yauzl';

const CHUNK_BYTES = 64 * 1_024;

/** The handle stays the caller's, to be closed after the last stream. */
export class ArchiveReader extends RandomAccessReader {
  readonly #handle: FileHandle;
  readonly #sizeBytes: number;

  constructor(handle: FileHandle, sizeBytes: number) {
    super();
    this.#handle = handle;
    this.#sizeBytes = sizeBytes;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    // An archive may claim any 64-bit position; `fs` throws where it should reject, and nobody could catch that.
    if (!this.#holds(position, position + length)) {
      setImmediate(callback, new Error('unexpected EOF'));
      return;
    }
    this.#handle.read(buffer, offset, length, position).then(
      ({ bytesRead }) => setImmediate(callback, bytesRead === length ? null : new Error('unexpected EOF')),
      (error: Error) => setImmediate(callback, error),
    );
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.#chunks(start, end), { objectMode: false });
  }

  /** A stream of the handle's own would close it. */
  async *#chunks(start: number, end: number): AsyncGenerator<Uint8Array> {
    if (!this.#holds(start, end)) throw new RangeError('unexpected EOF');
    for (let at = start; at < end;) {
      const size = Math.min(CHUNK_BYTES, end - at);
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(size), 0, size, at);
      if (bytesRead === 0) throw new RangeError('unexpected EOF');
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  #holds(start: number, end: number): boolean {
    return Number.isSafeInteger(start) && start >= 0 && end <= this.#sizeBytes;
  }
}
