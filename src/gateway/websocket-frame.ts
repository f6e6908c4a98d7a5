/** Server-to-client WebSocket frames (RFC 6455 §5.2): unmasked, final, uncompressed. */
const TEXT = 0x81;
const BINARY = 0x82;

/** One text frame with header and payload in one buffer. */
export function textFrame(text: string): Buffer {
  const size = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(headerSize(size) + size);
  frame.write(text, writeHeader(frame, TEXT, size), 'utf8');
  return frame;
}

/** One binary frame; the payload is copied, so that its owner may change it afterwards. */
export function binaryFrame(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerSize(payload.byteLength) + payload.byteLength);
  frame.set(payload, writeHeader(frame, BINARY, payload.byteLength));
  return frame;
}

const headerSize = (payloadSize: number): number => (payloadSize < 126 ? 2 : payloadSize < 65_536 ? 4 : 10);

function writeHeader(frame: Buffer, opcode: number, size: number): number {
  frame[0] = opcode;
  if (size < 126) {
    frame[1] = size;
    return 2;
  }
  if (size < 65_536) {
    frame[1] = 126;
    frame.writeUInt16BE(size, 2);
    return 4;
  }
  frame[1] = 127;
  frame.writeBigUInt64BE(BigInt(size), 2);
  return 10;
}
