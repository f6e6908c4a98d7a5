/**
 * The documents that one client has open: their events go to whoever edits them, several providers of one document
 * share it, and each new connection is told to all.
 */
import type { AtelierClient } from './client.ts';
import { AtelierError } from './atelier-error.ts';
import { documentClient, type DocumentAccess, type DocumentClient } from './document-client.ts';

export interface DocumentListener {
  /** Operations flow, until `signal` aborts. */
  onUp(signal: AbortSignal): void;
  onDown(): void;
  /** The client is closed for good. */
  onEnd(error: Error): void;
  onUpdate(update: Uint8Array): void;
  onAwareness(update: Uint8Array): void;
  onAccess(access: DocumentAccess): void;
  /** Everybody whom it knows to be there. */
  present(): Uint8Array;
}

const hubs = new WeakMap<AtelierClient, DocumentHub>();

/** The same for the same client. */
export function hubOf(client: AtelierClient): DocumentHub {
  const known = hubs.get(client);
  if (known) return known;
  const hub = new DocumentHub(client);
  hubs.set(client, hub);
  return hub;
}

export class DocumentHub {
  readonly #client: DocumentClient;
  readonly #documents = new Map<string, Set<DocumentListener>>();
  /** How to stop listening to the client; there while anybody listens to us. */
  #offs: (() => void)[] = [];
  #connection: AbortController | undefined;

  constructor(client: AtelierClient) {
    this.#client = documentClient(client);
  }

  /** `onUp` comes at once where operations flow already. */
  attach(docId: string, listener: DocumentListener): void {
    if (this.#client.state === 'closed') {
      // Not before whoever made the provider can listen to it.
      queueMicrotask(() => listener.onEnd(new AtelierError('unavailable', 'The client is closed')));
      return;
    }
    if (this.#documents.size === 0) this.#listen();
    const listeners = this.#documents.get(docId) ?? new Set();
    this.#documents.set(docId, listeners.add(listener));
    if (this.#connection) listener.onUp(this.#connection.signal);
  }

  /** Who is there, as others here know it: the server tells a socket only once. */
  present(docId: string, listener: DocumentListener): Uint8Array[] {
    const listeners = Array.from(this.#documents.get(docId) ?? []);
    return listeners.filter((each) => each !== listener).map((each) => each.present());
  }

  /** The last one out closes the document. */
  detach(docId: string, listener: DocumentListener): void {
    const listeners = this.#documents.get(docId);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#documents.delete(docId);
    if (this.#connection) {
      const { signal } = this.#connection;
      // The end of the connection closes it as well.
      this.#client.call('doc:close', { docId }, { signal }).catch(() => undefined);
    }
    if (this.#documents.size === 0) this.#ignore();
  }

  #listen(): void {
    const client = this.#client;
    this.#offs = [
      client.on('state', ({ state, error }) => {
        if (state === 'ready') this.#up();
        else if (state === 'closed') this.#end(error ?? new AtelierError('unavailable', 'The client is closed'));
        else this.#down();
      }),
      client.on('doc:updated', ({ docId, update }) => this.#tell(docId, (each) => each.onUpdate(bytesOf(update)))),
      client.on('doc:awareness-changed', ({ docId, update }) =>
        this.#tell(docId, (each) => each.onAwareness(bytesOf(update))),
      ),
      client.on('doc:access-changed', ({ docId, access }) => this.#tell(docId, (each) => each.onAccess(access))),
    ];
    if (client.state === 'ready') this.#connection = new AbortController();
  }

  #ignore(): void {
    for (const off of this.#offs) off();
    this.#offs = [];
    this.#connection = undefined;
  }

  #up(): void {
    if (this.#connection) return;
    const { signal } = (this.#connection = new AbortController());
    for (const listener of this.#all()) if (!signal.aborted) listener.onUp(signal);
  }

  #down(): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#connection = undefined;
    connection.abort();
    for (const listener of this.#all()) listener.onDown();
  }

  #end(error: Error): void {
    this.#down();
    const all = this.#all();
    this.#documents.clear();
    this.#ignore();
    for (const listener of all) listener.onEnd(error);
  }

  #all(): DocumentListener[] {
    return Array.from(this.#documents.values()).flatMap((listeners) => Array.from(listeners));
  }

  #tell(docId: string, tell: (listener: DocumentListener) => void): void {
    for (const listener of Array.from(this.#documents.get(docId) ?? [])) tell(listener);
  }
}

/** In browsers Socket.IO delivers an ArrayBuffer, in Node a Buffer. */
export function bytesOf(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new AtelierError('internal', 'The server sent something else than bytes');
}
