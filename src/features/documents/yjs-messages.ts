/**
 * y-websocket's messages: sync (0), awareness (1), auth (2), a question for awareness (3). What goes out is a whole
 * WebSocket frame, made once for all who get it.
 */
import { createDecoder, readVarUint, readVarUint8Array } from 'lib0/decoding';
import { createEncoder, toUint8Array, writeVarUint } from 'lib0/encoding';
import { NO_AWARENESS } from './awareness-codec.ts';

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;
const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;
const PERMISSION_DENIED = 0;
/** Of a WebSocket frame. */
const BINARY_FINAL = 0x82;
/** Larger ones are not kept for the next who gets them. */
const KEPT_BYTES = 64 * 1024;

export type YjsMessage =
  | { kind: 'step1' | 'step2' | 'update' | 'awareness'; bytes: Uint8Array }
  | { kind: 'query' }
  /** Of no kind that is known here. */
  | { kind: 'other' };

/** Throws for what cannot be read. */
export function readMessage(message: Uint8Array): YjsMessage {
  const decoder = createDecoder(message);
  switch (readVarUint(decoder)) {
    case SYNC: {
      const kind = (['step1', 'step2', 'update'] as const)[readVarUint(decoder)];
      return kind ? { kind, bytes: readVarUint8Array(decoder) } : { kind: 'other' };
    }
    case AWARENESS:
      return { kind: 'awareness', bytes: readVarUint8Array(decoder) };
    case QUERY_AWARENESS:
      return { kind: 'query' };
    default:
      return { kind: 'other' };
  }
}

/** Of a Yjs update that says nothing: no structs, no deletions. */
const EMPTY_UPDATE = new Uint8Array([0, 0]);

export const isEmptyUpdate = (update: Uint8Array): boolean =>
  update.length === EMPTY_UPDATE.length && update.every((byte) => byte === 0);

/** What the server has: the other side answers with the rest. */
export const step1Frame = (stateVector: Uint8Array): Buffer => framed([SYNC, STEP_1], stateVector);
/** Nothing more belongs to the opening: stock providers call themselves synced at it. */
export const SYNCED_FRAME: Buffer = framed([SYNC, STEP_2], EMPTY_UPDATE);
/** What stands before an update in its frame: a large one is sent after it as it is, not copied. */
export const updateHead = (update: Uint8Array): Buffer => headOf([SYNC, UPDATE], update.byteLength);
export const updateFrame = onceForAll((update) => framed([SYNC, UPDATE], update));
export const awarenessFrame = onceForAll((update) => framed([AWARENESS], update));
/** To be heard, and nothing else. */
export const QUIET_FRAME: Buffer = awarenessFrame(NO_AWARENESS);

export function deniedFrame(reason: string): Buffer {
  return framed([AUTH, PERMISSION_DENIED], Buffer.from(reason));
}

function framed(kind: readonly number[], bytes: Uint8Array): Buffer {
  return Buffer.concat([headOf(kind, bytes.byteLength), bytes]);
}

/** The frame's own header (RFC 6455 §5.2: binary, final, unmasked, not compressed), the message's kind, and its length. */
function headOf(kind: readonly number[], sizeBytes: number): Buffer {
  const message = createEncoder();
  for (const number of kind) writeVarUint(message, number);
  writeVarUint(message, sizeBytes);
  const start = toUint8Array(message);
  const payloadBytes = start.byteLength + sizeBytes;
  const headerBytes = payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
  const head = Buffer.allocUnsafe(headerBytes + start.byteLength);
  head[0] = BINARY_FINAL;
  if (headerBytes === 2) head[1] = payloadBytes;
  else if (headerBytes === 4) {
    head[1] = 126;
    head.writeUInt16BE(payloadBytes, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payloadBytes), 2);
  }
  head.set(start, headerBytes);
  return head;
}

/** Everybody in a document gets the same bytes, one after the other. */
function onceForAll(make: (bytes: Uint8Array) => Buffer): (bytes: Uint8Array) => Buffer {
  let last: { bytes: Uint8Array; frame: Buffer } | undefined;
  return (bytes) => {
    if (last?.bytes === bytes) return last.frame;
    const frame = make(bytes);
    last = frame.length > KEPT_BYTES ? undefined : { bytes, frame };
    return frame;
  };
}
