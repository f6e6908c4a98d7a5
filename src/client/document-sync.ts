/**
 * Keeps a Yjs document and the server's the same, over one connection after the other. The document itself holds what
 * was made while there was none: every opening compares both sides and sends what the other lacks.
 */
import * as Y from 'yjs';
import { LIMITS } from '../protocol/limits.ts';
import { AtelierError } from './atelier-error.ts';
import type { DocumentAccess, DocumentClient, OpenedDocument } from './document-client.ts';
import { errorOf, isPassing, isRefusal } from './document-errors.ts';
import { bytesOf } from './document-hub.ts';
import { aheadOf, hasHoles, isEmpty, lacksDeletions } from './document-state.ts';
import { guarded } from './emitter.ts';
import { pauseMs, type Timings } from './timings.ts';
import { UnsavedUpdates, type UpdateBatch } from './unsaved-updates.ts';

/** After the document was too large for the server, a change is tried again no sooner than this. */
const TOO_LARGE_PAUSE_MS = 5_000;
/** Whoever writes faster than this, as programs do, writes several changes in one message: it stays under the server's rate. */
const UPDATE_EVERY_MS = 25;

export interface DocumentSyncDeps {
  client: DocumentClient;
  fileId: string;
  doc: Y.Doc;
  /** Of transactions that bring in what the server sent. */
  origin: object;
  timings: Timings;
  /** The server has opened the document; what it sent comes in next. */
  onOpened: () => void;
  /** What the server sent is in. `isNew`: others do not know that we are here. */
  onSynced: (isNew: boolean) => void;
  onAccess: (access: DocumentAccess) => void;
  onUnsaved: (count: number) => void;
  onSaved: (savedAt: string) => void;
  /** Something was refused or not answered; what can be tried again is. */
  onError: (error: AtelierError) => void;
  /** The server does not have this document for us. */
  onRefused: (error: AtelierError) => void;
}

/** An update on its way, and how long it may be there. */
interface Outgoing extends UpdateBatch {
  maxBytes: number;
}

/** The document as one connection sees it. */
interface Session {
  /** Aborts with the client's connection, on which what was sent may still be answered. */
  connection: AbortSignal;
  /** Aborts when we turn away as well. */
  ended: AbortController;
  state: 'opening' | 'open';
  sending: boolean;
  /** What was sent and is not answered. */
  underWay: Outgoing | undefined;
  /** Others know that we are here. */
  greeted: boolean;
  /** What goes before anything that waits. */
  first: Outgoing | undefined;
  failures: number;
  /** When the last update went, in milliseconds of `performance.now()`. */
  sentAtMs: number;
  holes: number;
  holeTimer: ReturnType<typeof setTimeout> | undefined;
}

export class DocumentSync {
  readonly #deps: DocumentSyncDeps;
  readonly #unsaved = new UnsavedUpdates(LIMITS.documentUpdateBytes);
  #session: Session | undefined;
  #access: DocumentAccess = 'none';
  /** It has been compared with the server's once; from then on every change is counted. */
  #known = false;
  #scheduled = false;
  /** Why the server does not take what is made here. */
  #refusal: AtelierError | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(deps: DocumentSyncDeps) {
    this.#deps = deps;
  }

  /** What the server last said that one may do. */
  get access(): DocumentAccess {
    return this.#access;
  }

  get unsavedChanges(): number {
    return this.#unsaved.count;
  }

  /** Operations flow, on a connection that knows nothing of the document. */
  begin(connection: AbortSignal): void {
    this.#session = {
      connection,
      ended: new AbortController(),
      state: 'open',
      sending: false,
      underWay: undefined,
      greeted: false,
      first: undefined,
      failures: 0,
      sentAtMs: -Infinity,
      holes: 0,
      holeTimer: undefined,
    };
    this.#refusal = undefined;
    this.compare();
  }

  /** The connection is gone, or is no longer wanted. */
  end(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.ended.abort();
    clearTimeout(session?.holeTimer);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#unsaved.forget();
  }

  /** Asks for what is missing here, and learns what is missing there. */
  compare(afterMs = 0): void {
    const session = this.#session;
    if (!session || session.state === 'opening') return;
    session.state = 'opening';
    session.first = undefined;
    this.#unsaved.forget();
    void this.#open(session, afterMs);
  }

  /** Something was changed here. */
  change(update: Uint8Array): void {
    this.#unsaved.add(update);
    this.#deps.onUnsaved(this.#unsaved.count);
    if (this.#refusal?.code === 'too_large') this.#retryLater();
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Changes of one tick make one message.
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#session) void this.#send(this.#session);
    });
  }

  /** The server tells of an update. */
  receive(update: Uint8Array): void {
    const session = this.#session;
    if (!session) return;
    this.#apply([update]);
    if (!hasHoles(this.#deps.doc)) session.holes = 0;
    else if (session.holeTimer === undefined) {
      const { holeMs, pollMs } = this.#deps.timings;
      // What is missing is nearly always just late.
      const waitMs = Math.min(pollMs, holeMs * 2 ** Math.min(session.holes++, 16));
      session.holeTimer = setTimeout(() => {
        session.holeTimer = undefined;
        if (hasHoles(this.#deps.doc)) this.compare();
      }, waitMs);
    }
  }

  /** The server tells what one may do from now on. */
  changeAccess(access: DocumentAccess): void {
    const couldWrite = this.#mayWrite;
    if (access === 'write') this.#refusal = undefined;
    this.#setAccess(access);
    if (!this.#mayWrite) this.#unsaved.forget();
    else if (!couldWrite) this.compare();
  }

  /** What waits goes at once, because nothing will be sent later. */
  sendLast(): void {
    const session = this.#session;
    if (session?.state !== 'open' || !this.#mayWrite) return;
    const rest = [session.first, this.#unsaved.take()].flatMap((batch) => (batch ? [batch.update] : []));
    if (rest.length === 0) return;
    const maxBytes = session.first?.maxBytes ?? LIMITS.documentUpdateBytes;
    session.first = undefined;
    // With what is on its way: that may be refused, and this builds on it.
    const update = Y.mergeUpdates(session.underWay ? [session.underWay.update, ...rest] : rest);
    if (update.byteLength > maxBytes) return;
    const upTo = this.#unsaved.newest;
    this.#store(session, update).then(
      ({ savedAt }) => this.#saved(upTo, savedAt),
      (error: unknown) => {
        if (error instanceof AtelierError) this.#deps.onError(error);
      },
    );
  }

  get #mayWrite(): boolean {
    return this.#access === 'write' && !this.#refusal;
  }

  #isCurrent(session: Session): boolean {
    return this.#session === session;
  }

  async #open(session: Session, afterMs: number): Promise<void> {
    const { client, fileId, doc, timings, onError, onRefused } = this.#deps;
    const { signal } = session.ended;
    await pause(afterMs, signal);
    while (this.#isCurrent(session)) {
      try {
        const answer = await client.call(
          'doc:open',
          { fileId, ...(isEmpty(doc) ? {} : { stateVector: Y.encodeStateVector(doc) }) },
          { signal },
        );
        if (this.#isCurrent(session)) this.#opened(session, answer);
        return;
      } catch (cause) {
        if (!this.#isCurrent(session)) return;
        const error = errorOf(cause);
        onError(error);
        if (!this.#isCurrent(session)) return;
        if (!isPassing(error.code)) {
          onRefused(error);
          return;
        }
        await pause(error.retryAfterMs ?? pauseMs(timings, session.failures++), signal);
      }
    }
  }

  #opened(session: Session, { updates, stateVector, access }: OpenedDocument): void {
    const { doc, onOpened, onSynced, onUnsaved } = this.#deps;
    const theirs = bytesOf(stateVector);
    const received = updates.map(bytesOf);
    const wasEmpty = isEmpty(doc);
    onOpened();
    this.#setAccess(access);
    this.#apply(received);
    // A listener may have turned away.
    if (!this.#isCurrent(session)) return;
    session.state = 'open';
    const isAhead = aheadOf(doc, theirs);
    // A document that was kept elsewhere meanwhile may hold what nobody counted.
    if (!this.#known && !wasEmpty && this.#unsaved.count === 0 && (isAhead || lacksDeletions(doc, received))) {
      this.#unsaved.addUnseen();
      onUnsaved(this.#unsaved.count);
    }
    this.#known = true;
    if (this.#mayWrite) {
      if (this.#unsaved.count > 0 || isAhead) {
        session.first = {
          update: Y.encodeStateAsUpdate(doc, theirs),
          upTo: this.#unsaved.newest,
          maxBytes: LIMITS.documentFirstUpdateBytes,
        };
      }
      this.#unsaved.restart();
    }
    const isNew = !session.greeted;
    session.greeted = true;
    onSynced(isNew);
    void this.#send(session);
  }

  /** Sends what waits, one message after the other. */
  async #send(session: Session): Promise<void> {
    if (session.sending) return;
    session.sending = true;
    while (this.#isCurrent(session) && session.state === 'open' && this.#mayWrite) {
      const earlyMs = session.sentAtMs + UPDATE_EVERY_MS - performance.now();
      if (earlyMs > 0 && (session.first || this.#unsaved.count > 0)) {
        await pause(earlyMs, session.ended.signal);
        continue;
      }
      const outgoing = session.first ?? this.#next();
      session.first = undefined;
      if (!outgoing) break;
      if (outgoing.update.byteLength > outgoing.maxBytes) {
        this.#tooLong(outgoing);
        break;
      }
      session.sentAtMs = performance.now();
      session.underWay = outgoing;
      try {
        const { savedAt } = await this.#store(session, outgoing.update);
        session.failures = 0;
        this.#saved(outgoing.upTo, savedAt);
      } catch (cause) {
        if (this.#isCurrent(session)) await this.#notSaved(session, outgoing, errorOf(cause));
      } finally {
        session.underWay = undefined;
      }
    }
    session.sending = false;
  }

  #store({ connection }: Session, update: Uint8Array): Promise<{ savedAt: string }> {
    const { client, fileId } = this.#deps;
    // Not on another connection, where the document is not open yet.
    return client.call('doc:update', { docId: fileId, update }, { signal: connection });
  }

  #next(): Outgoing | undefined {
    if (!this.#unsaved.complete) {
      if (this.#unsaved.count > 0) this.compare();
      return undefined;
    }
    const batch = this.#unsaved.take();
    return batch && { ...batch, maxBytes: LIMITS.documentUpdateBytes };
  }

  #tooLong({ update: { byteLength: sizeBytes }, maxBytes }: Outgoing): void {
    // The first update after an opening may be longer.
    if (maxBytes < LIMITS.documentFirstUpdateBytes) this.compare();
    else {
      const message = `The changes made here are ${sizeBytes} bytes, more than the ${maxBytes} that can be sent`;
      this.#refuse(new AtelierError('too_large', message, { detail: { sizeBytes, maxBytes } }));
    }
  }

  async #notSaved(session: Session, outgoing: Outgoing, error: AtelierError): Promise<void> {
    const { code } = error;
    if (code === 'rate_limited') {
      session.first = outgoing;
      await pause(error.retryAfterMs ?? pauseMs(this.#deps.timings, session.failures++), session.ended.signal);
      return;
    }
    if (isRefusal(code)) {
      if (code === 'forbidden') this.#setAccess('read');
      this.#refuse(error);
      return;
    }
    // The document is no longer open there, or lacks what came before this: that is healed without a word, once.
    const isHealed = (code === 'conflict' || code === 'not_found') && session.failures === 0;
    const pausedMs = isHealed ? 0 : (error.retryAfterMs ?? pauseMs(this.#deps.timings, session.failures));
    session.failures++;
    if (code === 'not_found') session.greeted = false;
    this.compare(pausedMs);
    if (!isHealed) this.#deps.onError(error);
  }

  #saved(upTo: number, savedAt: string): void {
    const before = this.#unsaved.count;
    this.#unsaved.saved(upTo);
    this.#deps.onSaved(savedAt);
    if (this.#unsaved.count !== before) this.#deps.onUnsaved(this.#unsaved.count);
  }

  /** Sending it again would be refused again: it stays unsaved. */
  #refuse(error: AtelierError): void {
    this.#refusal = error;
    this.#unsaved.forget();
    this.#deps.onError(error);
  }

  /** What was too large may have been made smaller since. */
  #retryLater(): void {
    if (!this.#session) return;
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined;
      this.#refusal = undefined;
      this.compare();
    }, TOO_LARGE_PAUSE_MS);
  }

  #setAccess(access: DocumentAccess): void {
    if (this.#access === access) return;
    this.#access = access;
    this.#deps.onAccess(access);
  }

  #apply(updates: readonly Uint8Array[]): void {
    const { doc, origin } = this.#deps;
    // An observer of the application's may throw.
    guarded(() => {
      const apply = (): void => {
        for (const update of updates) Y.applyUpdate(doc, update, origin);
      };
      Y.transact(doc, apply, origin, false);
    });
  }
}

/** Ends early with the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
