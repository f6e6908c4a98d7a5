/**
 * The documents that this node has open. Each is loaded once however many ask at the same time, follows the log in order
 * (own updates, those that other nodes tell of, and what was missed), and goes when nobody needs it.
 */
import { performance } from 'node:perf_hooks';
import * as Y from 'yjs';
import { Sequencer } from '../../cluster/sequencer.ts';
import type { Log } from '../../observability/log.ts';
import { docRoom, Fault, LIMITS, type Packet, type Rooms } from '../../protocol/index.ts';
import type { Compaction } from './compaction.ts';
import type { documentsEvents } from './contract.ts';
import { OpenDocument } from './open-document.ts';
import type { StoredUpdate } from './stored-document.ts';
import type { UpdateLog } from './update-log.ts';

export interface OpenDocumentsDeps {
  updates: UpdateLog;
  compaction: Compaction;
  rooms: Rooms<typeof documentsEvents>;
  /** An update of this node is durable. */
  onStored: (document: OpenDocument, update: StoredUpdate) => void;
  onBug: (error: unknown, fields: { documentId: string }) => void;
  log: Log;
}

interface Entry {
  update: StoredUpdate;
  /** Of an own one: the generation of the Y.Doc that it was made in. */
  appliedTo: number | undefined;
}

/** How often is looked for what nobody needs. */
const SWEEP_MS = 5_000;
/** Until a compaction that was not this node's turn is tried again. */
const COMPACT_PAUSE_MS = 5_000;

export class OpenDocuments {
  readonly #deps: OpenDocumentsDeps;
  readonly #open = new Map<string, OpenDocument>();
  readonly #loading = new Map<string, Promise<OpenDocument>>();
  readonly #sequencer: Sequencer<Entry>;
  readonly #ends: (() => void)[];
  readonly #compactions = new Set<Promise<void>>();

  constructor(deps: OpenDocumentsDeps) {
    this.#deps = deps;
    const { rooms, updates, log } = deps;
    this.#sequencer = new Sequencer<Entry>({
      head: (docId) => updates.head(docId),
      after: async (docId, n) =>
        (await updates.after(docId, n)).map((update) => ({ rev: update.n, entry: { update, appliedTo: undefined } })),
      deliver: (docId, n, entry) => this.#deliver(docId, n, entry),
      isWanted: (docId) => this.#open.has(docId),
      listening: (docId) => rooms.listening(docRoom(docId)),
      compareMs: LIMITS.documentCompareMs,
      log,
    });
    const forgetRelayed = rooms.onRelayed('doc', (room, n, packet) => {
      const docId = room.slice('doc:'.length);
      updates.noteElsewhere(docId, n);
      if (packet) this.#sequencer.accept(docId, n, { update: fromPacket(n, packet), appliedTo: undefined });
      else this.#sequencer.note(docId, n);
    });
    const sweep = setInterval(() => this.#sweep(), SWEEP_MS).unref();
    this.#ends = [forgetRelayed, () => clearInterval(sweep), () => this.#sequencer.close()];
  }

  /** Documents in memory. */
  get size(): number {
    return this.#open.size;
  }

  /** The document if this node has it open. */
  peek(docId: string): OpenDocument | undefined {
    return this.#open.get(docId);
  }

  all(): Iterable<OpenDocument> {
    return this.#open.values();
  }

  /** Opens it; rejects with `not_found` where there is none. */
  async get(docId: string): Promise<OpenDocument> {
    const known = this.#open.get(docId);
    if (known) {
      known.used();
      return known;
    }
    const loading = this.#loading.get(docId) ?? this.#load(docId).finally(() => this.#loading.delete(docId));
    this.#loading.set(docId, loading);
    return loading;
  }

  /** Positions are compared with the log now: something may not have been heard of. */
  compare(): Promise<void> {
    return this.#sequencer.compare();
  }

  /** Nobody has it any more: it is gone, or about to be. */
  drop(docId: string): void {
    const document = this.#open.get(docId);
    if (!document) return;
    this.#open.delete(docId);
    document.unhold();
    document.live.unload();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ live }) => live.drain()));
    await Promise.all(this.#compactions);
    for (const end of this.#ends) end();
    for (const docId of this.#open.keys()) this.drop(docId);
  }

  async #load(docId: string): Promise<OpenDocument> {
    const { rooms, updates, onBug } = this.#deps;
    // What others tell from here on is heard, and what came before is read.
    const unhold = rooms.hold(docRoom(docId));
    try {
      this.#sequencer.entering(docId);
      const stored = await updates.load(docId);
      if (!stored) throw new Fault('not_found', 'There is no such document');
      const document: OpenDocument = new OpenDocument({
        docId,
        stored,
        unhold,
        append: (update) => updates.append(update),
        catchUp: () => this.#sequencer.catchUp(docId),
        onStored: (update) => this.#stored(document, update),
        onBug: (error) => onBug(error, { documentId: docId }),
      });
      this.#open.set(docId, document);
      this.#sequencer.openAt(docId, stored.n);
      return document;
    } catch (error) {
      unhold();
      throw error;
    }
  }

  #stored(document: OpenDocument, update: StoredUpdate): void {
    const { rooms, onStored } = this.#deps;
    const { docId } = document;
    this.#sequencer.accept(docId, update.n, { update, appliedTo: document.live.generation });
    rooms.relay(docRoom(docId), update.n, toPacket(update));
    onStored(document, update);
    const { rows, bytes } = document.stored.tail;
    if (rows >= LIMITS.documentTailRows || bytes >= LIMITS.documentTailBytes) this.#compact(document);
  }

  #deliver(docId: string, n: number, { update, appliedTo }: Entry): void {
    const document = this.#open.get(docId);
    if (!document) return;
    // Rows that compaction took came as one update, up to its place.
    document.receive({ ...update, n }, appliedTo);
    const { rooms } = this.#deps;
    const room = docRoom(docId);
    if (!rooms.has(room)) return;
    const { bytes, claims, userId } = update;
    const packet = rooms.encode('doc:updated', {
      docId,
      update: bytes,
      ...(userId === undefined ? {} : { userId }),
      ...(claims && claims.length > 0 ? { authors: Object.fromEntries(claims) } : {}),
    });
    if (packet) rooms.deliver(room, packet);
  }

  #compact(document: OpenDocument): void {
    if (document.compacting || performance.now() < document.compactAfterMs) return;
    document.compacting = true;
    const { compaction, log } = this.#deps;
    const { docId, stored, live } = document;
    const task = compaction
      .run(docId, () =>
        live.read((doc) => {
          stored.mark();
          return {
            n: stored.n,
            bytes: Y.encodeStateAsUpdate(doc),
            stateVector: Y.encodeStateVector(doc),
            authors: stored.authors,
          };
        }),
      )
      .then((snapshot) => {
        if (snapshot) stored.compacted(snapshot);
        // Another node is at it.
        else document.compactAfterMs = performance.now() + COMPACT_PAUSE_MS;
      })
      .catch((error: unknown) => log.warn('a document could not be compacted yet', { documentId: docId, error }))
      .finally(() => {
        document.compacting = false;
        this.#compactions.delete(task);
      });
    this.#compactions.add(task);
  }

  #sweep(): void {
    for (const [docId, document] of this.#open) {
      if (document.idleMs > LIMITS.documentIdleMs) this.drop(docId);
      else if (document.live.loaded && document.live.idleMs > LIMITS.documentIdleMs) document.live.unload();
    }
  }
}

/** How an update travels between nodes: what is said of it, then its bytes. */
const toPacket = ({ claims, userId, bytes }: StoredUpdate): Packet => [JSON.stringify([claims ?? [], userId]), bytes];

function fromPacket(n: number, [about, bytes]: Packet): StoredUpdate {
  const [claims, userId] = JSON.parse(about as string) as [[number, string][], string | null];
  return { n, bytes: bytes as Uint8Array, claims, userId: userId ?? undefined };
}
