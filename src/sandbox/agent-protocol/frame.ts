/**
 * Frames: `length u32 | type u8 | channel u32 | payload`, integers big-endian; the length counts all after itself.
 * A connection is nothing but frames, one after the other.
 */
import { AGENT_LIMITS } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';

export interface Frame {
  type: number;
  channel: number;
  payload: Uint8Array;
}

const HEADER_BYTES = 9;
/** What the length counts besides the payload. */
const COUNTED_BYTES = 5;

/** The frame's bytes. */
export function encodeFrame({ type, channel, payload }: Frame): Uint8Array {
  if (payload.length > AGENT_LIMITS.payloadBytes) throw new RangeError(`A payload of ${payload.length} bytes`);
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, COUNTED_BYTES + payload.length);
  view.setUint8(4, type);
  view.setUint32(5, channel);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Cuts a stream of bytes into frames, whatever pieces it comes in. */
export class FrameParser {
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  /** The payload that has begun and is not complete. */
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  #broken: ProtocolError | undefined;

  /**
   * The frames that this piece completes. Payloads may be views of the piece. Throws `frame` at the first length that
   * cannot be, before anything is kept for it, and from then on.
   */
  *push(piece: Uint8Array): Generator<Frame, void> {
    if (this.#broken) throw this.#broken;
    for (let from = 0; from < piece.length;) {
      if (this.#headerBytes < HEADER_BYTES) {
        const taken = Math.min(HEADER_BYTES - this.#headerBytes, piece.length - from);
        this.#header.set(piece.subarray(from, from + taken), this.#headerBytes);
        this.#headerBytes += taken;
        from += taken;
        if (this.#headerBytes >= 4) this.#checkLength();
        if (this.#headerBytes < HEADER_BYTES) return;
      }
      const wanted = this.#view.getUint32(0) - COUNTED_BYTES;
      const taken = Math.min(wanted - this.#payloadBytes, piece.length - from);
      const part = piece.subarray(from, from + taken);
      from += taken;
      if (taken === wanted) {
        yield this.#frame(part);
        continue;
      }
      this.#payload ??= new Uint8Array(wanted);
      this.#payload.set(part, this.#payloadBytes);
      this.#payloadBytes += taken;
      if (this.#payloadBytes === wanted) yield this.#frame(this.#payload);
    }
  }

  #frame(payload: Uint8Array): Frame {
    const frame = { type: this.#view.getUint8(4), channel: this.#view.getUint32(5), payload };
    this.#headerBytes = 0;
    this.#payload = undefined;
    this.#payloadBytes = 0;
    return frame;
  }

  #checkLength(): void {
    const length = this.#view.getUint32(0);
    if (length >= COUNTED_BYTES && length <= COUNTED_BYTES + AGENT_LIMITS.payloadBytes) return;
    this.#broken = new ProtocolError('frame', `A frame of ${length} bytes`);
    throw this.#broken;
  }
}
