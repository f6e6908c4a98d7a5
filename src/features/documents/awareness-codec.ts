/** Awareness as y-protocols writes it, and as nodes tell it each other. What is read here may come from anybody. */
import { createDecoder, readVarString, readVarUint, readVarUint8Array, type Decoder as Bytes } from 'lib0/decoding';
import { createEncoder, toUint8Array, writeVarString, writeVarUint, writeVarUint8Array } from 'lib0/encoding';
import { checkShape, Fault, LIMITS } from '../../protocol/index.ts';

/** What a client says of itself: a cursor, a name. */
export interface AwarenessEntry {
  clientId: number;
  /** Rises with every change. */
  clock: number;
  /** An object as JSON; undefined once the client has gone. */
  state: string | undefined;
}

/** An entry whose state has not been looked at. */
export interface UnreadEntry {
  clientId: number;
  clock: number;
  json: Uint8Array;
}

const GONE = new TextEncoder().encode('null');
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const HIGHEST = 0xffff_ffff;
/** The shortest entry: client, clock, an empty text. */
const LEAST_BYTES = 3;

/** The entries of an update, those with impossible numbers left out. Throws `invalid` if it is none. */
export function readAwareness(update: Uint8Array): UnreadEntry[] {
  return readAll(update, (bytes) => {
    const count = readVarUint(bytes);
    if (count * LEAST_BYTES > update.length) throw new Error('More entries than there is room for');
    const entries: UnreadEntry[] = [];
    for (let n = 0; n < count; n++) {
      const entry = { clientId: readVarUint(bytes), clock: readVarUint(bytes), json: readVarUint8Array(bytes) };
      if (entry.clientId <= HIGHEST && entry.clock <= HIGHEST) entries.push(entry);
    }
    return entries;
  });
}

export function writeAwareness(entries: readonly AwarenessEntry[]): Uint8Array {
  const bytes = createEncoder();
  writeVarUint(bytes, entries.length);
  for (const { clientId, clock, state } of entries) {
    writeVarUint(bytes, clientId);
    writeVarUint(bytes, clock);
    writeVarString(bytes, state ?? 'null');
  }
  return toUint8Array(bytes);
}

/** Says nothing of anybody, to those who take silence for a broken line. */
export const NO_AWARENESS: Uint8Array = writeAwareness([]);

export const isGone = ({ json }: UnreadEntry): boolean =>
  json.length === GONE.length && GONE.every((byte, at) => json[at] === byte);

/** The state as JSON, or undefined if it is not what every client can take: an object, and not too deep. */
export function stateOf({ json }: UnreadEntry): string | undefined {
  if (json.length > LIMITS.awarenessBytes) return undefined;
  try {
    const text = UTF8.decode(json);
    const state: unknown = JSON.parse(text);
    if (typeof state !== 'object' || state === null || Array.isArray(state)) return undefined;
    checkShape(state, LIMITS.jsonDepth, Infinity);
    return text;
  } catch {
    return undefined;
  }
}

/** An entry and whose it is. */
export interface OwnedEntry extends AwarenessEntry {
  userId: string;
}

/** What a node tells the others of a document: who is on it, and whether it asks who is on them. */
export interface AwarenessNotice {
  nodeId: string;
  asks: boolean;
  entries: OwnedEntry[];
}

export function writeNotice({ nodeId, asks, entries }: AwarenessNotice): Uint8Array {
  const bytes = createEncoder();
  writeVarString(bytes, nodeId);
  writeVarUint(bytes, asks ? 1 : 0);
  for (const { userId } of entries) writeVarString(bytes, userId);
  // Whose they are first, so that the rest is an update as it is.
  const owners = toUint8Array(bytes);
  const notice = createEncoder();
  writeVarUint8Array(notice, owners);
  writeVarUint8Array(notice, writeAwareness(entries));
  return toUint8Array(notice);
}

/** Throws `invalid` for what no node has written. */
export function readNotice(notice: Uint8Array): AwarenessNotice {
  return readAll(notice, (bytes) => {
    const owners = createDecoder(readVarUint8Array(bytes));
    const update = readVarUint8Array(bytes);
    const nodeId = readVarString(owners);
    const asks = readVarUint(owners) === 1;
    const entries = readAwareness(update).map((entry) => ({
      clientId: entry.clientId,
      clock: entry.clock,
      state: isGone(entry) ? undefined : UTF8.decode(entry.json),
      userId: readVarString(owners),
    }));
    return { nodeId, asks, entries };
  });
}

function readAll<T>(from: Uint8Array, read: (bytes: Bytes) => T): T {
  try {
    return read(createDecoder(from));
  } catch (error) {
    throw new Fault('invalid', 'This is no awareness update', { cause: error });
  }
}
