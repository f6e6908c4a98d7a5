/** Whether documents are the same, and whether anything is gone that somebody was told is saved. */
import * as Y from 'yjs';

/** What differs between the first document and the others, in words; nothing where all are the same to the byte. */
export function differences(docs: ReadonlyMap<string, Y.Doc>): string[] {
  const [[firstName, first], ...others] = [...docs] as [[string, Y.Doc], ...[string, Y.Doc][]];
  return others.flatMap(([name, doc]) =>
    differenceOf(first, doc).map((what) => `${firstName} and ${name} differ: ${what}`),
  );
}

function differenceOf(a: Y.Doc, b: Y.Doc): string[] {
  const found: string[] = [];
  const text = textDifference(contentOf(a), contentOf(b));
  if (text !== undefined) found.push(text);
  const [vectorA, vectorB] = [vectorOf(a), vectorOf(b)];
  for (const client of new Set([...vectorA.keys(), ...vectorB.keys()])) {
    const [clockA, clockB] = [vectorA.get(client) ?? 0, vectorB.get(client) ?? 0];
    if (clockA !== clockB) found.push(`client ${client} is at ${clockA} and at ${clockB}`);
  }
  for (const doc of [a, b])
    if (doc.store.pendingStructs ?? doc.store.pendingDs) found.push('one waits for what is missing');
  if (found.length === 0 && !equal(canonical(a), canonical(b))) found.push('their bytes');
  return found;
}

/** The same content is the same bytes, whatever way it came. */
function canonical(doc: Y.Doc): Uint8Array {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  const bytes = Y.encodeStateAsUpdate(copy);
  copy.destroy();
  return bytes;
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const vectorOf = (doc: Y.Doc): Map<number, number> => Y.decodeStateVector(Y.encodeStateVector(doc));

export const contentOf = (doc: Y.Doc): string => doc.getText('content').toJSON();

/** Where two texts part, with what stands around; undefined where they are the same. */
export function textDifference(a: string, b: string): string | undefined {
  if (a === b) return undefined;
  let at = 0;
  while (a[at] === b[at]) at++;
  const around = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 20), at + 40));
  return `texts of ${a.length} and ${b.length} part at ${at}: ${around(a)} and ${around(b)}`;
}

/** What was said to be saved, or came from the server: both must be there for good. */
export class Ledger {
  readonly #ends = new Map<number, { clock: number; who: string }>();
  /** What each has deleted, at last: less than that it never was. */
  readonly #deletions = new Map<string, Y.Snapshot['ds']>();
  #count = 0;

  /** How often something was vouched for. */
  get count(): number {
    return this.#count;
  }

  /** Everything in the document is saved, its own edits too. */
  saved(who: string, doc: Y.Doc): void {
    this.savedAs(who, Y.snapshot(doc));
  }

  /** As it was when the snapshot was taken. */
  savedAs(who: string, { sv, ds }: Y.Snapshot): void {
    this.#count++;
    this.#reach(who, sv);
    this.#deletions.set(who, ds);
  }

  /** Everything but its own edits has come from the server. */
  seen(who: string, doc: Y.Doc): void {
    this.#count++;
    const vector = vectorOf(doc);
    vector.delete(doc.clientID);
    this.#reach(who, vector);
  }

  /** What of it a document lacks, in words. */
  missing(doc: Y.Doc): string[] {
    const found: string[] = [];
    const vector = vectorOf(doc);
    for (const [client, { clock, who }] of this.#ends) {
      const has = vector.get(client) ?? 0;
      if (has < clock) found.push(`${who} was told that client ${client} reaches ${clock}, but it ends at ${has}`);
    }
    const { ds } = Y.snapshot(doc);
    for (const [who, deletions] of this.#deletions) {
      for (const [client, ranges] of deletions.clients) {
        for (const { clock, len } of ranges) {
          const gone = covered(ds.clients.get(client) ?? [], clock, len);
          if (!gone) found.push(`${who} was told that ${client}:${clock} (${len}) is deleted, but it is not`);
        }
      }
    }
    return found;
  }

  #reach(who: string, vector: ReadonlyMap<number, number>): void {
    for (const [client, clock] of vector) {
      if ((this.#ends.get(client)?.clock ?? 0) < clock) this.#ends.set(client, { clock, who });
    }
  }
}

/** Whether ranges, ascending and without overlap, hold all of this one. */
function covered(ranges: readonly { clock: number; len: number }[], clock: number, len: number): boolean {
  let at = clock;
  for (const range of ranges) {
    if (range.clock > at) continue;
    at = Math.max(at, range.clock + range.len);
  }
  return at >= clock + len;
}
