/**
 * A Yjs document kept the same as the server's over the client's socket, with the API and events of y-websocket's
 * provider. What is typed while there is no connection stays in the document and is merged when there is one again.
 */
import { ObservableV2 } from 'lib0/observable';
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate, removeAwarenessStates } from 'y-protocols/awareness';
import type { Doc } from 'yjs';
import { AtelierError } from './atelier-error.ts';
import { AwarenessSender } from './awareness-sender.ts';
import type { AtelierClient } from './client.ts';
import { closeCodeOf, errorOf } from './document-errors.ts';
import { documentClient, type DocumentAccess } from './document-client.ts';
import { hubOf, type DocumentListener } from './document-hub.ts';
import { DocumentSync } from './document-sync.ts';
import { guarded } from './emitter.ts';
import { TIMINGS, type Timings } from './timings.ts';

export interface SocketIOProviderOptions {
  /** The application's own; by default one that ends with the provider. */
  awareness?: Awareness;
  /** False: waits for `connect()`. */
  connect?: boolean;
  /** Compares with the server this often, in milliseconds; nothing that is known to happen needs it. */
  resyncInterval?: number;
  /** Shorter waits for tests. */
  timings?: Partial<Timings>;
}

export type ProviderStatus = 'connecting' | 'connected' | 'disconnected';

export interface SocketIOProviderEvents {
  status: (event: { status: ProviderStatus }) => void;
  /** Whether all that the server had is in the document. */
  sync: (synced: boolean) => void;
  synced: (synced: boolean) => void;
  /** Something was refused or not answered; what can be tried again is. */
  'connection-error': (error: AtelierError, provider: SocketIOProvider) => void;
  /** `reason`: why, where the server said so. */
  'connection-close': (reason: AtelierError | null, provider: SocketIOProvider) => void;
  /** It does not come back by itself. `code` is that of `/yjs`. */
  closed: (reason: { code: number; reason: string }, provider: SocketIOProvider) => void;
  'unsaved-changes': (count: number) => void;
  access: (access: DocumentAccess) => void;
}

export class SocketIOProvider extends ObservableV2<SocketIOProviderEvents> {
  readonly client: AtelierClient;
  readonly fileId: string;
  readonly doc: Doc;
  readonly awareness: Awareness;
  /** Whether it goes back to the server by itself. */
  shouldConnect = false;
  /** When the server had stored the last change made here, as ISO 8601. */
  savedAt: string | undefined;

  readonly #sync: DocumentSync;
  readonly #sender: AwarenessSender;
  readonly #listener: DocumentListener;
  readonly #ownsAwareness: boolean;
  readonly #resyncTimer: ReturnType<typeof setInterval> | undefined;
  #status: ProviderStatus = 'disconnected';
  #synced = false;
  /** Of the client's connection, while there is one. */
  #signal: AbortSignal | undefined;
  #attached = false;
  #destroyed = false;

  constructor(client: AtelierClient, fileId: string, doc: Doc, options: SocketIOProviderOptions = {}) {
    super();
    const { awareness, connect = true, resyncInterval = 0, timings } = options;
    this.client = client;
    this.fileId = fileId;
    this.doc = doc;
    this.awareness = awareness ?? new Awareness(doc);
    this.#ownsAwareness = awareness === undefined;
    this.#sync = new DocumentSync({
      client: documentClient(client),
      fileId,
      doc,
      origin: this,
      timings: { ...TIMINGS, ...timings },
      onOpened: () => this.#setStatus('connected'),
      onSynced: (isNew) => {
        this.#setSynced(true);
        // A listener may have turned away.
        if (!isNew || !this.#signal) return;
        this.#sender.start();
        for (const update of hubOf(client).present(fileId, this.#listener)) this.#meet(update);
      },
      onAccess: (access) => this.#tell('access', access),
      onUnsaved: (count) => this.#tell('unsaved-changes', count),
      onSaved: (savedAt) => (this.savedAt = savedAt),
      onError: (error) => this.#tell('connection-error', error, this),
      onRefused: (error) => this.#stop(error),
    });
    this.#sender = new AwarenessSender({
      awareness: this.awareness,
      send: (update) => this.#sendAwareness(update),
      onError: (error) => this.#tell('connection-error', error, this),
    });
    this.#listener = {
      onUp: (signal) => {
        this.#signal = signal;
        this.#setStatus('connecting');
        if (this.#attached) this.#sync.begin(signal);
      },
      onDown: () => this.#lost(null),
      onEnd: (error) => this.#stop(errorOf(error)),
      onUpdate: (update) => this.#sync.receive(update),
      onAwareness: (update) => this.#meet(update),
      present: () => encodeAwarenessUpdate(this.awareness, Array.from(this.awareness.getStates().keys())),
      onAccess: (access) => {
        this.#sync.changeAccess(access);
        if (access === 'none') this.#stop(new AtelierError('forbidden', 'The document may no longer be read'));
      },
    };
    doc.on('update', this.#onUpdate);
    doc.on('destroy', this.#onDestroy);
    page.addEventListener?.('beforeunload', this.#onUnload);
    if (resyncInterval > 0) this.#resyncTimer = setInterval(() => this.#sync.compare(), resyncInterval);
    if (connect) this.connect();
  }

  get status(): ProviderStatus {
    return this.#status;
  }

  get connected(): boolean {
    return this.#status === 'connected';
  }

  /** As y-websocket names it. */
  get wsconnected(): boolean {
    return this.connected;
  }

  /** As y-websocket names it. */
  get wsconnecting(): boolean {
    return this.#status === 'connecting';
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** What the server last said that one may do; `none` before it said anything. */
  get access(): DocumentAccess {
    return this.#sync.access;
  }

  /** Changes made here that the server has not stored. */
  get unsavedChanges(): number {
    return this.#sync.unsavedChanges;
  }

  connect(): void {
    if (this.#destroyed) return;
    this.shouldConnect = true;
    if (this.#attached) return;
    this.#attached = true;
    this.#setStatus('connecting');
    hubOf(this.client).attach(this.fileId, this.#listener);
  }

  /** Sends what waits and leaves the document. */
  disconnect(): void {
    this.shouldConnect = false;
    this.#sync.sendLast();
    this.#sender.leave();
    this.#detach();
    this.#lost(null);
  }

  /** Leaves for good. What is unsaved and was not sent by now is in `doc` only. */
  override destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.disconnect();
    clearInterval(this.#resyncTimer);
    this.#sender.destroy();
    this.doc.off('update', this.#onUpdate);
    this.doc.off('destroy', this.#onDestroy);
    page.removeEventListener?.('beforeunload', this.#onUnload);
    if (this.#ownsAwareness) this.awareness.destroy();
    super.destroy();
  }

  #onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin !== this) this.#sync.change(update);
  };

  #onDestroy = (): void => this.destroy();

  #onUnload = (): void => this.#sender.leave();

  /** The connection is gone, or is no longer wanted. */
  #lost(reason: AtelierError | null): void {
    const wasConnected = this.connected;
    this.#signal = undefined;
    this.#sync.end();
    this.#sender.stop();
    this.#forgetOthers();
    this.#setSynced(false);
    this.#setStatus('disconnected');
    if (wasConnected) this.#tell('connection-close', reason, this);
  }

  /** There is nothing to come back to. */
  #stop(error: AtelierError): void {
    this.shouldConnect = false;
    this.#detach();
    this.#lost(error);
    this.#tell('closed', { code: closeCodeOf(error.code), reason: error.message }, this);
  }

  #detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    hubOf(this.client).detach(this.fileId, this.#listener);
  }

  #sendAwareness(update: Uint8Array): Promise<unknown> {
    if (!this.#signal) return Promise.reject(new AtelierError('unavailable', 'There is no connection'));
    const input = { docId: this.fileId, update };
    return documentClient(this.client).call('doc:awareness', input, { signal: this.#signal });
  }

  #meet(update: Uint8Array): void {
    guarded(() => applyAwarenessUpdate(this.awareness, update, this));
  }

  /** Others' clocks are forgotten with their states, so that the same ones may come again. */
  #forgetOthers(): void {
    const { awareness } = this;
    const others = Array.from(awareness.meta.keys()).filter((id) => id !== awareness.clientID);
    guarded(() => removeAwarenessStates(awareness, others, this));
    for (const id of others) awareness.meta.delete(id);
  }

  #setStatus(status: ProviderStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#tell('status', { status });
  }

  #setSynced(synced: boolean): void {
    if (this.#synced === synced) return;
    this.#synced = synced;
    this.#tell('synced', synced);
    this.#tell('sync', synced);
  }

  #tell<K extends keyof SocketIOProviderEvents>(name: K, ...args: Parameters<SocketIOProviderEvents[K]>): void {
    guarded(() => this.emit(name, args));
  }
}

/** A browser's window; elsewhere it has no such events. */
const page = globalThis as {
  addEventListener?: (name: 'beforeunload', listener: () => void) => void;
  removeEventListener?: (name: 'beforeunload', listener: () => void) => void;
};
