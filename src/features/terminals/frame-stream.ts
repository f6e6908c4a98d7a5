/**
 * Frames of a terminal as a stream of bytes between nodes: `length u32 | type u8 | offset f64 | …`, where `length`
 * counts what follows it. Both ends are servers of one deployment, which believe each other.
 */
import type { TerminalEnd, TerminalFrame } from './owner.ts';

const OUTPUT = 1;
const SNAPSHOT = 2;
const EXITED = 3;
const HEAD_BYTES = 13;

export function packFrame(frame: TerminalFrame): Uint8Array {
  switch (frame.type) {
    case 'output':
      return pack(OUTPUT, frame.offset, [frame.data]);
    case 'snapshot': {
      const size = Buffer.alloc(4);
      size.writeUInt16BE(frame.size.cols, 0);
      size.writeUInt16BE(frame.size.rows, 2);
      return pack(SNAPSHOT, frame.offset, [size, frame.data]);
    }
    case 'exited':
      return pack(EXITED, 0, [Buffer.from(JSON.stringify(frame.end))]);
  }
}

/** The frames in a stream that is cut anywhere. */
export async function* unpackFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TerminalFrame, void, undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    length += chunk.length;
    while (length >= 4) {
      const rest = parts.length === 1 ? asBuffer(parts[0] as Uint8Array) : Buffer.concat(parts);
      const end = 4 + rest.readUInt32BE(0);
      parts = [rest];
      if (length < end) break;
      yield unpack(rest.subarray(0, end));
      parts = [rest.subarray(end)];
      length -= end;
    }
  }
}

function pack(type: number, offset: number, parts: readonly Uint8Array[]): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  const length = HEAD_BYTES - 4 + parts.reduce((sum, part) => sum + part.length, 0);
  head.writeUInt32BE(length, 0);
  head.writeUInt8(type, 4);
  head.writeDoubleBE(offset, 5);
  return Buffer.concat([head, ...parts]);
}

function unpack(frame: Buffer): TerminalFrame {
  const offset = frame.readDoubleBE(5);
  const body = frame.subarray(HEAD_BYTES);
  switch (frame.readUInt8(4)) {
    case OUTPUT:
      return { type: 'output', offset, data: body };
    case SNAPSHOT: {
      const size = { cols: body.readUInt16BE(0), rows: body.readUInt16BE(2) };
      return { type: 'snapshot', offset, size, data: body.subarray(4) };
    }
    default:
      return { type: 'exited', end: JSON.parse(body.toString()) as TerminalEnd };
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
