/**
 * What an update may do to a document, found out before it touches it. Decoding costs a few microseconds per keystroke;
 * an update that Yjs would keep aside, or that would put something other than text into the document, is seen here.
 */
import * as Y from 'yjs';
import { Fault } from '../../protocol/index.ts';

/** The one root type of a document, which y-codemirror and y-monaco bind to. */
export const CONTENT = 'content';

/** How far each client's structs reach: in the document, and with the updates that go before. */
export type Reach = (client: number) => number;

export interface CheckedUpdate {
  bytes: Uint8Array;
  /** Where each client's new structs end; only clients that have new ones. */
  ends: ReadonlyMap<number, number>;
  /** UTF-8 of the text that is new. */
  insertedBytes: number;
}

type Decoded = ReturnType<typeof Y.decodeUpdate>;
type Struct = Decoded['structs'][number];

/** Longer runs are no text that anybody typed: clocks stay far from where numbers lose their precision. */
const LONGEST_RUN = 2 ** 31;

/** Throws `invalid` for bytes that are no Yjs update (version 1). */
export function decodeUpdate(bytes: Uint8Array): Decoded {
  try {
    return Y.decodeUpdate(bytes);
  } catch (error) {
    throw new Fault('invalid', 'This is not a Yjs update', { cause: error });
  }
}

/**
 * Undefined when something that the update builds on is missing. Throws `invalid` for what a text document cannot hold.
 */
export function checkUpdate(bytes: Uint8Array, decoded: Decoded, reach: Reach): CheckedUpdate | undefined {
  const ends = new Map<number, number>();
  const endOf = (client: number): number => ends.get(client) ?? reach(client);
  let insertedBytes = 0;
  // Structs of one client may build on another's that stand further down in the same update.
  const whole = new Map<number, number>();
  for (const { id, length } of decoded.structs) {
    if (!(length > 0 && length < LONGEST_RUN))
      throw new Fault('invalid', 'A struct of the update has no proper length');
    whole.set(id.client, Math.max(whole.get(id.client) ?? reach(id.client), id.clock + length));
  }
  const known = (client: number, clock: number): boolean => clock < (whole.get(client) ?? reach(client));
  for (const struct of decoded.structs) {
    if (struct instanceof Y.Skip) continue;
    const { client, clock } = struct.id;
    const end = endOf(client);
    if (clock > end) return undefined;
    if (clock + struct.length <= end) continue;
    if (struct instanceof Y.Item && !checkItem(struct, known)) return undefined;
    insertedBytes += textBytes(struct);
    ends.set(client, clock + struct.length);
  }
  for (const [client, ranges] of decoded.ds.clients) {
    for (const { clock, len } of ranges) if (len > 0 && !known(client, clock + len - 1)) return undefined;
  }
  return { bytes, ends, insertedBytes };
}

/** False when what the item stands beside is missing. */
function checkItem(item: Y.Item, known: (client: number, clock: number) => boolean): boolean {
  const { content, parent, parentSub, id } = item;
  const isText =
    content instanceof Y.ContentString ||
    content instanceof Y.ContentDeleted ||
    content instanceof Y.ContentFormat ||
    content instanceof Y.ContentEmbed;
  // Where both neighbours are absent the parent is named; else it is theirs.
  const isInContent = parent === null || (parent as unknown) === CONTENT;
  if (!isText || !isInContent || parentSub !== null) {
    throw new Fault('invalid', `A document holds text in "${CONTENT}" and nothing else`);
  }
  for (const beside of [item.origin, item.rightOrigin]) {
    if (!beside) continue;
    // A client's own later struct can never be beside it.
    if (beside.client === id.client && beside.clock >= id.clock)
      throw new Fault('invalid', 'A struct refers to itself');
    if (!known(beside.client, beside.clock)) return false;
  }
  return true;
}

const textBytes = (struct: Struct): number =>
  struct instanceof Y.Item && struct.content instanceof Y.ContentString ? Buffer.byteLength(struct.content.str) : 0;
