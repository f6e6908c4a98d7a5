/**
 * What a server and the file helper in a sandbox say to each other over the helper's stdin and stdout, in frames of the
 * agent protocol. A frame's channel is the number of a call, 0 for what the helper says by itself. Bytes go before the
 * call or the answer that they belong to. What a caller takes in pieces (a large file, a long list) has a handle, and
 * each piece is a call.
 */
import { integer, listOf, oneOf, record, text, wrong, type Read } from '../agent-protocol/fields.ts';
import { encodeFrame, type Frame } from '../agent-protocol/frame.ts';
import type { DiskEntry } from './workspace-disk.ts';

/** The `type` byte of a frame. */
export const HELPER_TYPES = { part: 1, call: 2, answer: 3, failure: 4, notice: 5 } as const;

const KIB = 1024;
export const HELPER_LIMITS = {
  /** Bytes of one part. */
  partBytes: 64 * KIB,
  /** All parts of one call or answer; a text file is the largest. */
  partsBytes: 4 * 1024 * KIB,
  /** Of a path on the disk: what the system takes. A longer one is not told. */
  pathBytes: 4 * KIB,
  /** Paths in one message, and the bytes that they may have together so that it fits. */
  paths: 500,
  pathsBytes: 10 * KIB,
  /** Open handles: what is not closed is a bug. */
  handles: 64,
} as const;

export type Arguments = Record<string, unknown>;
export interface Call {
  op: HelperOp;
  args: Arguments;
}

/** An entry without its bytes, which come before it. */
export type ReadAnswer =
  | { kind: 'file'; hash: string; sizeBytes: number; withBytes: boolean }
  | Exclude<DiskEntry, { kind: 'file' }>;

export interface Page {
  paths: string[];
  isLast: boolean;
}

const nothing: Read<null> = (value, where) => {
  if (value === null) return null;
  throw wrong(`${where} is something`);
};
const boolean: Read<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value;
  throw wrong(`${where} is not true or false`);
};
const hash: Read<string> = (value, where) => {
  const found = text(64, 64)(value, where);
  if (/^[0-9a-f]{64}$/.test(found)) return found;
  throw wrong(`${where} is no SHA-256`);
};

/** A path in a workspace, as a sandbox names one: it leads nowhere else. */
const path: Read<string> = (value, where) => {
  const found = text(1, HELPER_LIMITS.pathBytes)(value, where);
  const isOdd = found.includes('\0') || found.split('/').some((name) => name === '' || name === '.' || name === '..');
  if (isOdd) throw wrong(`${where} is no path`);
  return found;
};
const paths = listOf(path, HELPER_LIMITS.paths);

const readAnswer: Read<ReadAnswer> = (value, where) => {
  const kind = (value as { kind?: unknown } | null)?.kind;
  if (kind === 'missing') return record<{ kind: 'missing' }>({ kind: oneOf(['missing']) })(value, where);
  if (kind === 'skipped') {
    const reason = oneOf(['link', 'folder', 'special', 'too_large', 'unreadable']);
    return record<Extract<ReadAnswer, { kind: 'skipped' }>>({ kind: oneOf(['skipped']), reason })(value, where);
  }
  return record<Extract<ReadAnswer, { kind: 'file' }>>({
    kind: oneOf(['file']),
    hash,
    sizeBytes: integer(0, Number.MAX_SAFE_INTEGER),
    withBytes: boolean,
  })(value, where);
};

const handle = integer(1, Number.MAX_SAFE_INTEGER);
const swap = oneOf(['swapped', 'absent', 'missing', 'taken']);

/** Every call, by what reads its answer. */
export const HELPER_ANSWERS = {
  begin: nothing,
  watch: nothing,
  read: readAnswer,
  open: handle,
  /** Gives a piece in parts, and whether there was one. */
  next: boolean,
  list: handle,
  page: record<Page>({ paths, isLast: boolean }),
  stage: handle,
  /** Takes what its parts hold. */
  write: nothing,
  finish: nothing,
  close: nothing,
  replace: swap,
  place: swap,
  take: boolean,
  putBack: nothing,
  forget: nothing,
  ids: listOf(text(1, 255), HELPER_LIMITS.paths),
  move: oneOf(['moved', 'missing', 'taken']),
} as const satisfies Record<string, Read<unknown>>;

export type HelperOp = keyof typeof HELPER_ANSWERS;
export type Answer<Op extends HelperOp> = ReturnType<(typeof HELPER_ANSWERS)[Op]>;

/** Why a call failed: the system's name for it, or `failed`. */
export const failureShape: Read<string> = (value, where) => {
  const code = text(1, 30)(value, where);
  if (/^(E[A-Z0-9]+|failed)$/.test(code)) return code;
  throw wrong(`${where} is no code`);
};

/** What changed; without paths: some changes were missed, and all has to be looked at. */
export const noticeShape = record<{ paths: string[] }>({ paths });

/** The frames of a message, its bytes first. */
export function encodeHelperMessage(type: number, channel: number, value: unknown, bytes?: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let from = 0; bytes && from < bytes.length; from += HELPER_LIMITS.partBytes) {
    const payload = bytes.subarray(from, from + HELPER_LIMITS.partBytes);
    frames.push(encodeFrame({ type: HELPER_TYPES.part, channel, payload }));
  }
  frames.push(encodeFrame({ type, channel, payload: Buffer.from(JSON.stringify(value)) }));
  return Buffer.concat(frames);
}

/** Puts the bytes of messages together. */
export class PartCollector {
  readonly #parts = new Map<number, { chunks: Uint8Array[]; bytes: number }>();

  /** Throws where there are more than any message has. */
  add({ channel, payload }: Frame): void {
    const parts = this.#parts.get(channel) ?? { chunks: [], bytes: 0 };
    this.#parts.set(channel, parts);
    parts.bytes += payload.length;
    if (payload.length === 0 || parts.bytes > HELPER_LIMITS.partsBytes) throw wrong('Parts of a message');
    parts.chunks.push(payload.slice());
  }

  take(channel: number): Buffer {
    const parts = this.#parts.get(channel);
    this.#parts.delete(channel);
    return Buffer.concat(parts?.chunks ?? []);
  }
}
