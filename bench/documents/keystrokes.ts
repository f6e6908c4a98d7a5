/**
 * Keystrokes as the updates that Yjs makes of them, by hand: fifty real documents under load would cost more than the
 * server under test. And the way back: what an update inserts, read without building anything.
 */
import * as Y from 'yjs';

/** Between two characters that are there: where somebody types. */
export interface Place {
  left: Y.ID;
  right: Y.ID;
}

/** Ends of as many lines, from the top. */
export function placesOf(state: readonly Uint8Array[], count: number): Place[] {
  const doc = new Y.Doc();
  for (const update of state) Y.applyUpdate(doc, update);
  const text = doc.getText('content');
  const content = text.toJSON();
  const places: Place[] = [];
  for (let at = content.indexOf('\n', 1); at > 0 && places.length < count; at = content.indexOf('\n', at + 1)) {
    places.push({ left: idAt(text, at - 1), right: idAt(text, at) });
  }
  doc.destroy();
  if (places.length < count) throw new Error(`The document has only ${places.length} lines`);
  return places;
}

function idAt(text: Y.Text, index: number): Y.ID {
  const { item } = Y.createRelativePositionFromTypeIndex(text, index, 0);
  if (!item) throw new Error(`There is nothing at ${index}`);
  return item;
}

const STRING = 4;
const HAS_LEFT = 0x80;
const HAS_RIGHT = 0x40;
const HAS_PARENT_KEY = 0x20;
const GC = 0;
const DELETED = 1;
const SKIP = 10;

/** Types letters, each after the one before it. */
export class Typist {
  readonly clientId: number;
  readonly #place: Place;
  #clock = 0;

  constructor(clientId: number, place: Place) {
    this.clientId = clientId;
    this.#place = place;
  }

  /** Keystrokes so far. */
  get clock(): number {
    return this.#clock;
  }

  next(): Uint8Array {
    const { left, right } = this.#place;
    const clock = this.#clock++;
    const origin = clock === 0 ? left : { client: this.clientId, clock: clock - 1 };
    const bytes: number[] = [1, 1];
    push(bytes, this.clientId, clock);
    bytes.push(STRING | HAS_LEFT | HAS_RIGHT);
    push(bytes, origin.client, origin.clock, right.client, right.clock);
    bytes.push(1, 0x61 + (clock % 26), 0);
    return Uint8Array.from(bytes);
  }
}

function push(bytes: number[], ...values: number[]): void {
  for (let value of values) {
    for (; value > 0x7f; value = Math.floor(value / 0x80)) bytes.push(0x80 | (value & 0x7f));
    bytes.push(value);
  }
}

let at = 0;

function readNumber(update: Uint8Array): number {
  let value = 0;
  for (let scale = 1; ; scale *= 0x80) {
    const byte = update[at++] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}

/** Tells which clocks of which clients an update holds. It knows only what typing makes. */
export function readInserted(update: Uint8Array, tell: (client: number, from: number, to: number) => void): void {
  at = 0;
  for (let clients = readNumber(update); clients > 0; clients--) {
    let structs = readNumber(update);
    const client = readNumber(update);
    const from = readNumber(update);
    let clock = from;
    for (; structs > 0; structs--) clock += readStruct(update);
    if (clock > from) tell(client, from, clock);
  }
}

/** How many clocks it takes. */
function readStruct(update: Uint8Array): number {
  const info = update[at++] as number;
  const kind = info & 0x1f;
  if (kind === GC || kind === SKIP) return readNumber(update);
  if (info & HAS_LEFT) skipId(update);
  if (info & HAS_RIGHT) skipId(update);
  if (!(info & (HAS_LEFT | HAS_RIGHT))) {
    if (readNumber(update) === 1) at += readNumber(update);
    else skipId(update);
    if (info & HAS_PARENT_KEY) at += readNumber(update);
  }
  const size = readNumber(update);
  if (kind === DELETED) return size;
  if (kind !== STRING) throw new Error(`Nobody typed content of kind ${kind}`);
  // Typing is ASCII here: a byte is a clock.
  at += size;
  return size;
}

function skipId(update: Uint8Array): void {
  readNumber(update);
  readNumber(update);
}
