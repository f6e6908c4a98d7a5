/**
 * What a program in a container prints, out of the stream in which the engine mixes it with its errors: frames of a kind, a
 * length and as many bytes. Nothing is copied or looked at twice, and what is not read is not taken from the engine either.
 */
import { Transform, type TransformCallback } from 'node:stream';

const HEADER_BYTES = 8;
const LENGTH_AT = 4;
const STDERR = 2;

export class Demultiplexer extends Transform {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of the frame's content, what has not come yet. */
  #leftBytes = 0;
  readonly #onError: (bytes: Buffer) => void;

  constructor(onError: (bytes: Buffer) => void) {
    super();
    this.#onError = onError;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#leftBytes === 0) {
        const copied = chunk.copy(this.#header, this.#headerBytes, at);
        at += copied;
        this.#headerBytes += copied;
        if (this.#headerBytes < HEADER_BYTES) break;
        this.#headerBytes = 0;
        this.#leftBytes = this.#header.readUInt32BE(LENGTH_AT);
        continue;
      }
      const part = chunk.subarray(at, at + this.#leftBytes);
      at += part.length;
      this.#leftBytes -= part.length;
      if (this.#header[0] === STDERR) this.#onError(part);
      else this.push(part);
    }
    done();
  }
}
