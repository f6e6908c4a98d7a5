/** The last bytes of a terminal's output, from wherever their reader began. */
import { ByteRing } from '../../sandbox/agent-protocol/index.ts';
import { LIMITS } from '../../protocol/index.ts';

export class OutputRing {
  #base: number;
  #ring = new ByteRing(LIMITS.terminalRingBytes);

  constructor(base: number) {
    this.#base = base;
  }

  /** The position of the oldest byte that is kept. */
  get start(): number {
    return this.#base + this.#ring.start;
  }

  /** The position after the last byte. */
  get end(): number {
    return this.#base + this.#ring.end;
  }

  covers(position: number): boolean {
    return position >= this.start && position <= this.end;
  }

  push(data: Uint8Array): void {
    this.#ring.push(data);
  }

  /** Begins anew elsewhere. */
  reset(base: number): void {
    this.#base = base;
    this.#ring = new ByteRing(LIMITS.terminalRingBytes);
  }

  /** A copy of what is at `position`, empty at the end; undefined where nothing is kept. */
  read(position: number, maxBytes: number): Uint8Array | undefined {
    return this.#ring.read(position - this.#base, maxBytes);
  }
}
