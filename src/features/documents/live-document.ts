/**
 * The Y.Doc of a document that is being written. What comes in is checked, applied and made one update of the log; at
 * most one is under way, and meanwhile the next gathers. It is answered and told when it is durable. Whatever goes wrong
 * on the way, the Y.Doc is given up and made again from what is stored, so that nothing stays in it that is not.
 */
import { performance } from 'node:perf_hooks';
import * as Y from 'yjs';
import { Fault, LIMITS, withResolvers } from '../../protocol/index.ts';
import { checkUpdate, CONTENT, decodeUpdate, type CheckedUpdate } from './check-update.ts';
import { stateOf } from './seen-text.ts';
import type { StoredDocument, StoredUpdate } from './stored-document.ts';
import type { NewUpdate } from './update-log.ts';

/** What a change of the server's own does to the text. It throws a `Fault` before it changes anything, or never. */
export type Change<T> = (text: Y.Text, doc: Y.Doc) => T;

export interface LiveDocumentDeps {
  docId: string;
  /** What is stored and known here; the Y.Doc is made from it. */
  stored: () => StoredDocument;
  append: (update: NewUpdate) => Promise<StoredUpdate>;
  /** Reads what other nodes have written and gives it to `receive`. */
  catchUp: () => Promise<void>;
  /** An update of this node is durable. */
  onStored: (update: StoredUpdate) => void;
  /** A bug. */
  onBug: (error: unknown) => void;
}

interface Waiting {
  userId: string;
  /** Either what a client sent, or a change of the server's own. */
  bytes: Uint8Array | undefined;
  change: Change<unknown> | undefined;
  /** The update is the server's own: what it writes under may have been begun in another's name. */
  isOwn?: boolean;
  /** Something seemed to be missing or another's, and what other nodes have written was read. */
  caughtUp: boolean;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

/** UTF-16 units of a text that cannot have more bytes than a document may. */
const SURELY_SMALL = Math.floor(LIMITS.documentTextBytes / 3);

export class LiveDocument {
  readonly #deps: LiveDocumentDeps;
  #doc: Y.Doc | undefined;
  #generation = 0;
  #queue: Waiting[] = [];
  #inFlight: readonly Waiting[] | undefined;
  #scheduled = false;
  #settling: (() => void)[] = [];
  /** After a failure one at a time, so that only what is wrong by itself is refused. */
  #alone = 0;
  /** Client ids of the server's own changes, one for each user. */
  readonly #clientIds = new Map<string, number>();
  /** At most the text's UTF-8 bytes, as far as it was worth knowing. */
  #textBytesBound = 0;
  #usedAtMs = performance.now();
  readonly #listeners = new Set<LiveListener>();
  /** Changes of the text that are not durable yet, and those that came after them. */
  #untold: TextChange[] = [];

  constructor(deps: LiveDocumentDeps) {
    this.#deps = deps;
  }

  /** Another one whenever the Y.Doc has gone: what was applied to a former one is not in the present one. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether a Y.Doc is in memory. */
  get loaded(): boolean {
    return this.#doc !== undefined;
  }

  /** Something is on its way to the log. */
  get busy(): boolean {
    return this.#inFlight !== undefined || this.#queue.length > 0;
  }

  get idleMs(): number {
    return this.busy || this.#listeners.size > 0 ? 0 : performance.now() - this.#usedAtMs;
  }

  /** An update of a client. Resolves when it is durable. */
  update(userId: string, bytes: Uint8Array): Promise<void> {
    return this.#enqueue({ userId, bytes, change: undefined }) as Promise<void>;
  }

  /**
   * An update of the server's own, which alone knows the client id that it writes under: that stays with whoever it was
   * first used for. Resolves when it is durable.
   */
  merge(userId: string, bytes: Uint8Array): Promise<void> {
    return this.#enqueue({ userId, bytes, change: undefined, isOwn: true }) as Promise<void>;
  }

  /** A change of the server's own, under a client id that is the user's here. Resolves with its result when it is durable. */
  change<T>(userId: string, change: Change<T>): Promise<T> {
    return this.#enqueue({ userId, bytes: undefined, change }) as Promise<T>;
  }

  /** Runs with a Y.Doc in which everything is durable, and at once where it is. */
  async read<T>(run: (doc: Y.Doc) => T): Promise<T> {
    if (!this.#inFlight) return run(this.#live());
    const { promise, resolve, reject } = withResolvers<T>();
    // Not later: the next update may be on its way by then.
    this.#settling.push(() => {
      try {
        resolve(run(this.#live()));
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /** The difference to a state vector; undefined where giving out everything costs less. */
  difference(stateVector: Uint8Array): Uint8Array | undefined {
    return this.#doc && !this.#inFlight ? Y.encodeStateAsUpdate(this.#doc, stateVector) : undefined;
  }

  /** Tells of every change of the text once it is durable, on this node or another. The Y.Doc stays in memory meanwhile. */
  listen(listener: LiveListener): () => void {
    this.#listeners.add(listener);
    this.#live();
    return () => {
      this.#listeners.delete(listener);
      this.#usedAtMs = performance.now();
    };
  }

  /** An update that the Y.Doc does not have yet, in its turn. */
  receive({ bytes, userId }: StoredUpdate): void {
    if (this.#doc) Y.applyUpdate(this.#doc, bytes, { userId } satisfies Origin);
    if (!this.#inFlight) this.#tell();
  }

  /** The Y.Doc goes; it is made again when it is needed. */
  unload(): void {
    this.#doc?.destroy();
    this.#doc = undefined;
    this.#generation++;
    this.#clientIds.clear();
    this.#untold = [];
  }

  /** Resolves when nothing is on its way any more. */
  async drain(): Promise<void> {
    while (this.busy) await new Promise<void>((resolve) => this.#settling.push(resolve));
  }

  #enqueue(part: Pick<Waiting, 'userId' | 'bytes' | 'change' | 'isOwn'>): Promise<unknown> {
    const { promise, resolve, reject } = withResolvers<unknown>();
    this.#queue.push({ ...part, caughtUp: false, resolve, reject });
    this.#usedAtMs = performance.now();
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight || this.#queue.length === 0) return;
    this.#scheduled = true;
    // What all clients have brought in this turn of the event loop goes together.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#inFlight || this.#queue.length === 0) return;
    const alone = this.#alone > 0;
    if (alone) this.#alone--;
    const batch = this.#queue.splice(0, alone ? 1 : this.#queue.length);
    try {
      this.#write(batch, alone);
    } catch (error) {
      this.#failed(batch, error, alone);
    }
    // A whole batch may have been refused.
    if (!this.#inFlight) this.#settled();
  }

  /** Checks and applies a batch, and hands what came of it to the log. */
  #write(batch: readonly Waiting[], alone: boolean): void {
    const doc = this.#live();
    const accepted = this.#check(doc, batch);
    if (accepted.length === 0) return;
    const { authors } = this.#deps.stored();
    const claims = new Map<number, string>();
    const claim = (client: number, userId: string): void => {
      if (!authors.has(client) && !claims.has(client)) claims.set(client, userId);
    };
    const userIds = new Set(accepted.map(({ waiting }) => waiting.userId));
    const userId = userIds.size === 1 ? accepted[0]?.waiting.userId : undefined;
    const results = new Map<Waiting, unknown>();
    // Outside of its changes the Y.Doc writes under no id: Yjs would take one that comes with a client's update for a clash.
    const resting = doc.clientID;
    const refused = new Set<Waiting>();
    const merged = updateOf(doc, { userId }, () => {
      for (const { waiting, checked } of accepted) {
        if (checked) {
          Y.applyUpdate(doc, checked.bytes);
          for (const client of checked.ends.keys()) claim(client, waiting.userId);
        } else if (waiting.change) {
          const client = this.#clientIdOf(waiting.userId);
          const reached = Y.getState(doc.store, client);
          doc.clientID = client;
          try {
            results.set(waiting, waiting.change(doc.getText(CONTENT), doc));
          } catch (error) {
            // It has changed nothing: the others are not touched by it.
            if (!(error instanceof Fault)) throw error;
            refused.add(waiting);
            waiting.reject(error);
          } finally {
            doc.clientID = resting;
          }
          if (Y.getState(doc.store, client) > reached) claim(client, waiting.userId);
        }
      }
    });
    if (doc.store.pendingStructs || doc.store.pendingDs)
      throw new Fault('conflict', 'The update builds on what is missing');
    this.#assertSize(doc, accepted);
    const done = accepted.map(({ waiting }) => waiting).filter((waiting) => !refused.has(waiting));
    // It is all there already, and nothing is under way: it is durable.
    if (!merged) {
      for (const waiting of done) waiting.resolve(results.get(waiting));
      return;
    }
    this.#inFlight = done;
    this.#deps
      .append({
        docId: this.#deps.docId,
        bytes: merged,
        claims: [...claims],
        userId,
        recheck: () => this.#recheck(claims),
        stored: (update) => {
          // Synchronous, so that what gathered meanwhile joins the log's next write.
          this.#inFlight = undefined;
          this.#usedAtMs = performance.now();
          this.#deps.onStored(update);
          this.#tell();
          for (const waiting of done) waiting.resolve(results.get(waiting));
          this.#settled();
          this.#flush();
        },
      })
      .catch((error: unknown) => {
        this.#inFlight = undefined;
        this.#failed(done, error, alone);
        this.#settled();
      });
  }

  /** What of the batch may be applied now. The rest is refused, or waits until what it builds on has been looked for. */
  #check(doc: Y.Doc, batch: readonly Waiting[]): Accepted[] {
    const ends = new Map<number, number>();
    const reach = (client: number): number => ends.get(client) ?? Y.getState(doc.store, client);
    const { authors } = this.#deps.stored();
    const claimed = new Map<number, string>();
    const accepted: Accepted[] = [];
    const early: Waiting[] = [];
    // Whoever comes from another node may bring what others have written there.
    const foreign = ({ ends: written }: CheckedUpdate, { userId, isOwn }: Waiting): Fault | undefined => {
      const isTheirs = (client: number): boolean => (authors.get(client) ?? claimed.get(client) ?? userId) === userId;
      return isOwn || [...written.keys()].every(isTheirs)
        ? undefined
        : new Fault('forbidden', 'Somebody else writes under this client id');
    };
    const unfounded = (): Fault => new Fault('conflict', 'The update builds on what the server does not have');
    for (const waiting of batch) {
      if (!waiting.bytes) {
        accepted.push({ waiting, checked: undefined });
        continue;
      }
      try {
        const checked = checkUpdate(waiting.bytes, decodeUpdate(waiting.bytes), reach);
        const problem = checked ? foreign(checked, waiting) : unfounded();
        if (!checked || problem) {
          if (waiting.caughtUp) throw problem;
          early.push(waiting);
          continue;
        }
        for (const [client, end] of checked.ends) {
          if (!claimed.has(client)) claimed.set(client, waiting.userId);
          ends.set(client, end);
        }
        accepted.push({ waiting, checked });
      } catch (error) {
        waiting.reject(error);
      }
    }
    if (early.length > 0) this.#catchUp(early);
    return accepted;
  }

  /** What an update builds on, or holds of others, may have been written by another node. */
  #catchUp(early: readonly Waiting[]): void {
    const again = (): void => {
      for (const waiting of early) waiting.caughtUp = true;
      this.#queue.unshift(...early);
      this.#schedule();
    };
    this.#deps.catchUp().then(again, (error: unknown) => {
      for (const { reject } of early) reject(error);
    });
  }

  /** Other nodes have written: what they did is here now, and nobody else may have taken the same client ids. */
  async #recheck(claims: ReadonlyMap<number, string>): Promise<void> {
    await this.#deps.catchUp();
    const { authors } = this.#deps.stored();
    for (const [client, userId] of claims) {
      if ((authors.get(client) ?? userId) !== userId) {
        throw new Fault('conflict', 'Somebody else has begun to write under this client id');
      }
    }
  }

  /** Throws `too_large` when the text has outgrown its limit. */
  #assertSize(doc: Y.Doc, accepted: readonly Accepted[]): void {
    const text = doc.getText(CONTENT);
    if (text.length <= SURELY_SMALL) {
      this.#textBytesBound = SURELY_SMALL * 3;
      return;
    }
    const isKnown = accepted.every(({ checked }) => checked !== undefined);
    for (const { checked } of accepted) this.#textBytesBound += checked?.insertedBytes ?? 0;
    if (isKnown && this.#textBytesBound <= LIMITS.documentTextBytes) return;
    this.#textBytesBound = Buffer.byteLength(text.toJSON());
    if (this.#textBytesBound > LIMITS.documentTextBytes) {
      throw new Fault('too_large', `A document has at most ${LIMITS.documentTextBytes} bytes of text`);
    }
  }

  /** Nothing of the batch is stored, or nobody knows: the Y.Doc goes. */
  #failed(batch: readonly Waiting[], error: unknown, alone: boolean): void {
    this.unload();
    // What they have been told stands, but changes that came after the one that failed are lost with it.
    for (const { reset } of this.#listeners) reset();
    const isOurs = !(error instanceof Fault);
    // The log did not take it: everyone has to know.
    if (!isOurs && (error.code === 'unavailable' || error.code === 'timeout')) {
      for (const { reject } of batch) reject(error);
      return;
    }
    if (alone || batch.length === 1) {
      if (isOurs) this.#deps.onBug(error);
      for (const { reject } of batch) reject(error);
      return;
    }
    this.#queue.unshift(...batch);
    this.#alone += batch.length;
    this.#schedule();
  }

  #settled(): void {
    if (this.#inFlight) return;
    const waiting = this.#settling;
    this.#settling = [];
    for (const resolve of waiting) resolve();
    this.#schedule();
  }

  #live(): Y.Doc {
    if (this.#doc) return this.#doc;
    const doc = this.#deps.stored().toDoc();
    this.#doc = doc;
    this.#textBytesBound = doc.getText(CONTENT).length * 3;
    this.#usedAtMs = performance.now();
    const text = doc.getText(CONTENT);
    text.observe(({ delta }, { origin }) => {
      if (this.#listeners.size === 0) return;
      const { userId } = origin as Origin;
      this.#untold.push({ delta, userId, stateVector: stateOf(doc) });
    });
    return doc;
  }

  #tell(): void {
    const untold = this.#untold;
    this.#untold = [];
    for (const change of untold) for (const { changed } of this.#listeners) changed(change);
  }

  #clientIdOf(userId: string): number {
    const known = this.#clientIds.get(userId);
    if (known !== undefined) return known;
    const { authors } = this.#deps.stored();
    let clientId = new Y.Doc().clientID;
    while (authors.has(clientId)) clientId = new Y.Doc().clientID;
    this.#clientIds.set(userId, clientId);
    return clientId;
  }
}

interface Accepted {
  waiting: Waiting;
  checked: CheckedUpdate | undefined;
}

/** Of a transaction: who made it, where that was one person. */
interface Origin {
  userId: string | undefined;
}

/** A change of the text in Quill's form, and where the document is after it. */
export interface TextChange extends Origin {
  delta: Y.YTextEvent['delta'];
  stateVector: string;
}

export interface LiveListener {
  changed: (change: TextChange) => void;
  /** The text may have become another than the changes told make of it: to be read again. */
  reset: () => void;
}

/** Runs one transaction and gives what it made; undefined where nothing is new. */
function updateOf(doc: Y.Doc, origin: Origin, run: () => void): Uint8Array | undefined {
  let update: Uint8Array | undefined;
  const take = (made: Uint8Array): void => {
    update = made;
  };
  doc.on('update', take);
  try {
    doc.transact(run, origin);
  } finally {
    doc.off('update', take);
  }
  return update;
}
