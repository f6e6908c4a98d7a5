/**
 * The text of a document as somebody saw it at an earlier state. A state vector says which insertions that state had,
 * but nothing of deletions; so what clients get as their `stateVector` also counts what had been deleted, and a document
 * that is live remembers what was deleted last.
 */
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { CONTENT } from './check-update.ts';
import { GONE, unchanged, type SeenText } from './json-edits.ts';
import type { TextSplice } from './text-splice.ts';

/** An earlier state: the insertions it had, by client, and the units that were deleted. */
interface State {
  clocks: ReadonlyMap<number, number>;
  deleted: number;
}

interface Range {
  clock: number;
  length: number;
}

/** Of one transaction. */
interface Deletion {
  /** Units deleted in the document before it. */
  before: number;
  ranges: ReadonlyMap<number, readonly Range[]>;
  /** How many ranges. */
  count: number;
}

/** A part of the text that was seen, in the live one: as it was, or gone from there. */
interface Part {
  seen: number;
  length: number;
  live: number;
  alive: boolean;
}

type Ranges = ReadonlyMap<number, readonly Range[]>;

/** What was deleted in a live document since this began. */
export class Deletions {
  static readonly #all = new WeakMap<Y.Doc, Deletions>();
  readonly #doc: Y.Doc;
  /** Units deleted before the transaction that is under way. */
  #deleted: number;
  readonly #recent: Deletion[] = [];
  #kept = 0;

  /** Those of a document, from now on or from the first time they were asked for. */
  static of(doc: Y.Doc): Deletions {
    const known = Deletions.#all.get(doc) ?? new Deletions(doc);
    Deletions.#all.set(doc, known);
    return known;
  }

  private constructor(doc: Y.Doc) {
    this.#doc = doc;
    let deleted = 0;
    for (let item = doc.getText(CONTENT)._start; item; item = item.right) if (item.deleted) deleted += item.length;
    this.#deleted = deleted - unitsOf(this.#underWay());
    // Before anybody is told of the change.
    doc.on('beforeObserverCalls', ({ deleteSet }) => this.#note(rangesOf(deleteSet)));
  }

  /** Units deleted so far. */
  get units(): number {
    return this.#deleted + unitsOf(this.#underWay());
  }

  /** What was deleted since there were so many units deleted, by client; undefined when that is too long ago. */
  since(units: number): Ranges | undefined {
    const first =
      units === this.#deleted ? this.#recent.length : this.#recent.findIndex(({ before }) => before === units);
    if (first < 0) return undefined;
    const since = new Map<number, Range[]>();
    for (const ranges of [...this.#recent.slice(first).map((one) => one.ranges), this.#underWay()]) {
      for (const [client, own] of ranges) {
        const all = since.get(client) ?? [];
        since.set(client, all);
        all.push(...own);
      }
    }
    for (const own of since.values()) own.sort((a, b) => a.clock - b.clock);
    return since;
  }

  #underWay(): Ranges {
    return rangesOf(this.#doc._transaction?.deleteSet);
  }

  #note(ranges: Ranges): void {
    const count = [...ranges.values()].reduce((sum, { length }) => sum + length, 0);
    if (count === 0) return;
    this.#recent.push({ before: this.#deleted, ranges, count });
    this.#kept += count;
    this.#deleted += unitsOf(ranges);
    while (this.#kept > LIMITS.documentDeletionsKept) this.#kept -= this.#recent.shift()?.count ?? this.#kept;
  }
}

const rangesOf = (deleteSet: { clients: Map<number, { clock: number; len: number }[]> } | undefined): Ranges =>
  new Map(
    [...(deleteSet?.clients ?? [])].map(([client, items]) => [
      client,
      items.map(({ clock, len }) => ({ clock, length: len })),
    ]),
  );

const unitsOf = (ranges: Ranges): number => [...ranges.values()].flat().reduce((sum, { length }) => sum + length, 0);

/** The present state of a live document as its clients get it. */
export function stateOf(doc: Y.Doc): string {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, Deletions.of(doc).units);
  encoding.writeVarUint8Array(encoder, Y.encodeStateVector(doc));
  return Buffer.from(encoding.toUint8Array(encoder)).toString('base64url');
}

function parseState(state: string): State {
  try {
    const decoder = decoding.createDecoder(new Uint8Array(Buffer.from(state, 'base64url')));
    const deleted = decoding.readVarUint(decoder);
    return { deleted, clocks: Y.decodeStateVector(decoding.readVarUint8Array(decoder)) };
  } catch {
    throw new Fault('invalid', 'Not a stateVector of this server');
  }
}

/** The live text as it was at a state, or as it is. Rejects with `conflict` when that cannot be told any more. */
export function seenText(doc: Y.Doc, state: string | undefined): SeenText {
  const text = doc.getText(CONTENT);
  if (state === undefined || state === stateOf(doc)) {
    const now = text.toJSON();
    // Embedded things count in the live text, but are not text.
    return now.length === text.length ? unchanged(now) : new Seen(text, undefined, new Map());
  }
  const { clocks, deleted } = parseState(state);
  for (const [client, clock] of clocks) {
    if (clock > Y.getState(doc.store, client)) throw outdated();
  }
  const since = Deletions.of(doc).since(deleted);
  // It was given by another server, or before the document was loaded here: told only if nothing of it is gone.
  if (!since && deletedUntil(text, clocks) !== deleted) throw outdated();
  return new Seen(text, clocks, since ?? new Map());
}

/** Units deleted by now of those that were there at a state. */
function deletedUntil(text: Y.Text, clocks: State['clocks']): number {
  let count = 0;
  for (let item = text._start; item; item = item.right) {
    if (item.deleted) count += Math.min(Math.max((clocks.get(item.id.client) ?? 0) - item.id.clock, 0), item.length);
  }
  return count;
}

const outdated = (): Fault => new Fault('conflict', 'The text has changed too much since; read it again');

class Seen implements SeenText {
  readonly text: string;
  /** Ascending, without holes in `seen`. */
  readonly #parts: Part[] = [];

  /** `clocks`: undefined for all that is there now. */
  constructor(text: Y.Text, clocks: State['clocks'] | undefined, deletedSince: Ranges) {
    const words: string[] = [];
    let [seen, live] = [0, 0];
    const add = (word: string, alive: boolean): void => {
      if (word === '') return;
      words.push(word);
      this.#add({ seen, length: word.length, live, alive });
      seen += word.length;
    };
    for (let item = text._start; item; item = item.right) {
      const { id, length, deleted, countable, content } = item;
      const known = clocks ? Math.min(Math.max((clocks.get(id.client) ?? 0) - id.clock, 0), length) : length;
      if (deleted) {
        const gone = countable ? overlap(deletedSince.get(id.client) ?? [], id.clock, id.clock + known) : 0;
        add(GONE.repeat(gone), false);
      } else if (countable) {
        if (content instanceof Y.ContentString) add(content.str.slice(0, known), true);
        live += length;
      }
    }
    this.text = words.join('');
  }

  toLive({ index, deleteCount, insert }: TextSplice): TextSplice[] {
    const splices: TextSplice[] = insert === '' ? [] : [{ index: this.#placeAfter(index), deleteCount: 0, insert }];
    const end = index + deleteCount;
    for (const part of this.#parts.slice(this.#partAt(index))) {
      if (part.seen >= end) break;
      const from = Math.max(index, part.seen);
      const count = Math.min(end, part.seen + part.length) - from;
      if (!part.alive || count <= 0) continue;
      const at = part.live + from - part.seen;
      const last = splices.at(-1);
      if (last && last.index + last.deleteCount === at) last.deleteCount += count;
      else splices.push({ index: at, deleteCount: count, insert: '' });
    }
    return splices;
  }

  isWhole(start: number, end: number): boolean {
    const part = this.#parts[this.#partAt(start)];
    return start === end || (part !== undefined && part.alive && end <= part.seen + part.length);
  }

  /** In the live text, behind what was before that place. */
  #placeAfter(index: number): number {
    if (index === 0) return 0;
    const part = this.#parts[this.#partAt(index - 1)];
    if (!part) return 0;
    return part.alive ? part.live + index - part.seen : part.live;
  }

  /** The part that a place is in. */
  #partAt(index: number): number {
    return firstWhere(this.#parts.length, (n) => {
      const { seen, length } = this.#parts[n] as Part;
      return seen + length > index;
    });
  }

  #add(part: Part): void {
    const last = this.#parts.at(-1);
    const isNext = last !== undefined && last.alive === part.alive;
    if (isNext && part.live === last.live + (last.alive ? last.length : 0)) last.length += part.length;
    else this.#parts.push(part);
  }
}

/** Units of [from, to) that are in the ranges, which ascend and do not overlap. */
function overlap(ranges: readonly Range[], from: number, to: number): number {
  let count = 0;
  const first = firstWhere(ranges.length, (n) => endOf(ranges[n] as Range) > from);
  for (let n = first; n < ranges.length; n++) {
    const range = ranges[n] as Range;
    if (range.clock >= to) break;
    count += Math.min(to, endOf(range)) - Math.max(from, range.clock);
  }
  return count;
}

const endOf = ({ clock, length }: Range): number => clock + length;

/** The first of so many that is, where all behind it are. */
function firstWhere(count: number, is: (n: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
