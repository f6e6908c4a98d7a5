import { Long } from 'bson';
import { fromBson, toBson, type Doc } from '../bson/values.ts';
import type { Reply, Request } from '../commands/command.ts';
import type { CursorReply } from '../commands/cursors.ts';
import { fail } from '../errors.ts';

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const HEADER = 16;
const MORE_TO_COME = 2;
const TYPE_DOCUMENT = 3;
const TYPE_ARRAY = 4;

/** A message that asks for something. */
export interface Message {
  id: number;
  /** Whether it came as the legacy OP_QUERY, which drivers use for their first handshake. */
  legacy: boolean;
  /** Whether the client wants no answer. */
  silent: boolean;
  request: Request;
}

/** Reads a whole message, header included; throws if it is not one that this server understands. */
export function parseMessage(bytes: Buffer): Message {
  const id = bytes.readInt32LE(4);
  const operation = bytes.readInt32LE(12);
  if (operation === OP_QUERY) {
    const query = bytes.indexOf(0, 20) + 9;
    const command = { ...fromBson(bytes.subarray(query)), $db: 'admin' };
    return { id, legacy: true, silent: false, request: { command, sequences: new Map() } };
  }
  if (operation !== OP_MSG) fail(17, `unknown operation ${operation}`);
  const flags = bytes.readUInt32LE(HEADER);
  return { id, legacy: false, silent: (flags & MORE_TO_COME) !== 0, request: readSections(bytes) };
}

function readSections(bytes: Buffer): Request {
  const sequences = new Map<string, Buffer[]>();
  let command: Doc | undefined;
  for (let at = HEADER + 4; at < bytes.length;) {
    const kind = bytes[at++];
    const section = sized(bytes, at);
    at += section.length;
    if (kind === 0) command = fromBson(section, true);
    else if (kind === 1) {
      const nameEnd = section.indexOf(0, 4);
      const documents: Buffer[] = [];
      for (let from = nameEnd + 1; from < section.length;) {
        const document = sized(section, from);
        documents.push(document);
        from += document.length;
      }
      sequences.set(section.toString('utf8', 4, nameEnd), documents);
    } else fail(17, `unknown section kind ${kind}`);
  }
  return { command: command ?? fail(17, 'a message without a command'), sequences };
}

/** What starts with its own length, at a place in the bytes. */
function sized(bytes: Buffer, at: number): Buffer {
  const length = at + 4 <= bytes.length ? bytes.readInt32LE(at) : 0;
  if (length < 5 || at + length > bytes.length) fail(17, 'malformed message');
  return bytes.subarray(at, at + length);
}

/** The bytes of an answer. */
export function encodeAnswer({ id, legacy }: Message, reply: Reply, answerId: number): Buffer {
  const body = 'batch' in reply ? encodeCursor(reply as CursorReply) : toBson(reply);
  const head = Buffer.alloc(HEADER + (legacy ? 20 : 5));
  head.writeInt32LE(head.length + body.length, 0);
  head.writeInt32LE(answerId & 0x7fffffff, 4);
  head.writeInt32LE(id, 8);
  head.writeInt32LE(legacy ? OP_REPLY : OP_MSG, 12);
  if (legacy) head.writeInt32LE(1, HEADER + 16);
  return Buffer.concat([head, body]);
}

/** Splices the rows in as they are stored, without reading them. */
function encodeCursor({ ns, id, field, batch }: CursorReply): Buffer {
  const rows = batch.map((bytes, i) => element(TYPE_DOCUMENT, String(i), bytes));
  const cursor = document([element(TYPE_ARRAY, field, document(rows)), inside({ id: Long.fromNumber(id), ns })]);
  return document([element(TYPE_DOCUMENT, 'cursor', cursor), inside({ ok: 1 })]);
}

function element(type: number, name: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), Buffer.from(`${name}\0`), value]);
}

function inside(doc: Doc): Buffer {
  return toBson(doc).subarray(4, -1);
}

function document(elements: Buffer[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(4), ...elements, Buffer.of(0)]);
  bytes.writeInt32LE(bytes.length);
  return bytes;
}
