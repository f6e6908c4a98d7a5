/** What a run has written: text with offsets over both streams, of which the end is kept. */
import { StringDecoder } from 'node:string_decoder';
import type { Piece } from './contract.ts';

export type StreamName = Piece['stream'];

export class Output {
  readonly #keptChars: number;
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  #pieces: Piece[] = [];
  #chars = 0;
  #end = 0;

  constructor(keptChars: number) {
    this.#keptChars = keptChars;
  }

  /** UTF-16 units of all that was written. */
  get end(): number {
    return this.#end;
  }

  /** Undefined where the bytes are the beginning of a character only. */
  add(stream: StreamName, bytes: Uint8Array): Piece | undefined {
    return this.#push(stream, this.#decoders[stream].write(Buffer.from(bytes)));
  }

  /** What was left of a character when the stream ended. */
  close(stream: StreamName): Piece | undefined {
    return this.#push(stream, this.#decoders[stream].end());
  }

  /** What is kept, from an offset on. */
  after(offset: number): Piece[] {
    return this.#pieces
      .filter((piece) => piece.offset + piece.data.length > offset)
      .map((piece) => {
        const from = Math.max(offset, piece.offset);
        return { ...piece, offset: from, data: piece.data.slice(from - piece.offset) };
      });
  }

  /** All that is kept of one stream. */
  text(stream: StreamName): string {
    return this.#pieces
      .filter((piece) => piece.stream === stream)
      .map(({ data }) => data)
      .join('');
  }

  #push(stream: StreamName, data: string): Piece | undefined {
    if (data === '') return undefined;
    const piece = { stream, offset: this.#end, data };
    this.#pieces.push(piece);
    this.#end += data.length;
    this.#chars += data.length;
    while (this.#chars - (this.#pieces[0]?.data.length ?? 0) >= this.#keptChars) {
      this.#chars -= this.#pieces.shift()?.data.length ?? 0;
    }
    return piece;
  }
}
