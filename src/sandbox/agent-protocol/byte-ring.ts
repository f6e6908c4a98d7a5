/** The last bytes of a stream, addressed by their position in all of it. */
export class ByteRing {
  readonly #bytes: Uint8Array;
  #end = 0;

  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  /** The position after the last byte: how many there have been. */
  get end(): number {
    return this.#end;
  }

  /** The position of the oldest byte that is still there. */
  get start(): number {
    return Math.max(0, this.#end - this.#bytes.length);
  }

  /** Appends; what no longer fits is forgotten, the oldest first. */
  push(bytes: Uint8Array): void {
    const kept = bytes.subarray(Math.max(0, bytes.length - this.#bytes.length));
    const at = (this.#end + bytes.length - kept.length) % this.#bytes.length;
    const first = kept.subarray(0, this.#bytes.length - at);
    this.#bytes.set(first, at);
    this.#bytes.set(kept.subarray(first.length), 0);
    this.#end += bytes.length;
  }

  /** A copy of at most `maxBytes` from that position on; empty at the end. Undefined where there is nothing (any more). */
  read(from: number, maxBytes: number): Uint8Array | undefined {
    if (from < this.start || from > this.#end) return undefined;
    const copy = new Uint8Array(Math.min(maxBytes, this.#end - from));
    const at = from % this.#bytes.length;
    const first = this.#bytes.subarray(at, at + copy.length);
    copy.set(first);
    copy.set(this.#bytes.subarray(0, copy.length - first.length), first.length);
    return copy;
  }
}
