/** A document as it is stored: one snapshot and the updates after it, all durable. Cheap to keep and to hand out. */
import * as Y from 'yjs';

/** Updates of the tail that are kept single before they are merged: merging many at once costs more than linear. */
const MERGED_AT_ONCE = 32;
/** Parts of one answer: clients close a connection that brings more than ten attachments. */
const PARTS_MAX = 8;

/** One durable batch of edits. */
export interface StoredUpdate {
  n: number;
  bytes: Uint8Array;
  /** Clients that are new with it, and who writes under them. */
  claims?: readonly (readonly [client: number, userId: string])[] | undefined;
  /** Where one person made all of it. */
  userId?: string | undefined;
}

export interface StoredSnapshot {
  n: number;
  bytes: Uint8Array;
  stateVector: Uint8Array;
}

export class StoredDocument {
  /** Who first wrote under each client id. */
  readonly authors: Map<number, string>;
  #snapshot: StoredSnapshot | undefined;
  #n: number;
  /** Merged updates after the snapshot, oldest first, and those not merged yet. */
  #merged: Uint8Array[] = [];
  #single: Uint8Array[] = [];
  #tailBytes = 0;
  /** Where a snapshot is being made: the place it stands for, and how many merged parts it covers. */
  #mark: { n: number; parts: number; bytes: number } | undefined;
  #vector: Uint8Array | undefined;

  constructor(snapshot: StoredSnapshot | undefined, authors: Map<number, string>) {
    this.#snapshot = snapshot;
    this.#n = snapshot?.n ?? 0;
    this.authors = authors;
  }

  /** The last update's place. */
  get n(): number {
    return this.#n;
  }

  /** What stands after the snapshot. */
  get tail(): { rows: number; bytes: number } {
    return { rows: this.#n - (this.#snapshot?.n ?? 0), bytes: this.#tailBytes };
  }

  get sizeBytes(): number {
    return (this.#snapshot?.bytes.byteLength ?? 0) + this.#tailBytes;
  }

  /** Takes the next update. One that stands for several (a snapshot) may skip places. */
  push({ n, bytes, claims }: StoredUpdate): void {
    if (n <= this.#n) throw new Error(`Update ${n} cannot follow ${this.#n}`);
    this.#n = n;
    this.#tailBytes += bytes.byteLength;
    this.#vector = undefined;
    for (const [client, userId] of claims ?? []) if (!this.authors.has(client)) this.authors.set(client, userId);
    this.#single.push(bytes);
    if (this.#single.length >= MERGED_AT_ONCE) this.#mergeSingle();
  }

  /** A snapshot of everything up to the present end is going to be stored. */
  mark(): void {
    this.#mergeSingle();
    this.#mark = { n: this.#n, parts: this.#merged.length, bytes: this.#tailBytes };
  }

  /** The snapshot has been stored: what came after the mark is the tail now. */
  compacted({ n, bytes, stateVector }: StoredSnapshot): void {
    const mark = this.#mark;
    this.#mark = undefined;
    if (mark?.n !== n) return;
    this.#snapshot = { n, bytes, stateVector };
    this.#merged = this.#merged.slice(mark.parts);
    this.#tailBytes -= mark.bytes;
  }

  /** Everything, as one to eight updates to be applied in order. */
  updates(): Uint8Array[] {
    this.#mergeSingle();
    if (this.#merged.length >= PARTS_MAX) {
      this.#merged = [Y.mergeUpdates(this.#merged)];
      // What the mark separated is one now.
      this.#mark = undefined;
    }
    const parts = this.#snapshot ? [this.#snapshot.bytes, ...this.#merged] : [...this.#merged];
    return parts.length > 0 ? parts : [EMPTY_UPDATE];
  }

  stateVector(): Uint8Array {
    return (this.#vector ??= this.#readVector());
  }

  /** A Y.Doc of its own with everything in it. */
  toDoc(): Y.Doc {
    const doc = new Y.Doc();
    // In one transaction: each applied by itself costs twice as much.
    doc.transact(() => {
      for (const update of this.updates()) Y.applyUpdate(doc, update);
    });
    return doc;
  }

  #mergeSingle(): void {
    if (this.#single.length > 0)
      this.#merged.push(this.#single.length > 1 ? Y.mergeUpdates(this.#single) : this.#single[0]!);
    this.#single = [];
  }

  #readVector(): Uint8Array {
    const ends = this.#snapshot ? Y.decodeStateVector(this.#snapshot.stateVector) : new Map<number, number>();
    this.#mergeSingle();
    for (const update of this.#merged) {
      for (const [client, end] of Y.parseUpdateMeta(update).to) ends.set(client, Math.max(ends.get(client) ?? 0, end));
    }
    return Y.encodeStateVector(ends);
  }
}

/** No structs, no deletions. */
export const EMPTY_UPDATE = new Uint8Array([0, 0]);
