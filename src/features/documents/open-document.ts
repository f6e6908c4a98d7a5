/** One document that this node has open: what is stored of it, its Y.Doc while it is written, and who has it open. */
import { performance } from 'node:perf_hooks';
import type { Access } from './contract.ts';
import { LiveDocument, type LiveDocumentDeps } from './live-document.ts';
import type { StoredDocument, StoredUpdate } from './stored-document.ts';

/** What a peer may do now; once it is `none`, or the document `gone`, it is a peer no more. */
export type PeerAccess = Access | 'none' | 'gone';

export const hasEnded = (access: PeerAccess): access is 'none' | 'gone' => access === 'none' || access === 'gone';

/** As sockets are told. */
export const toldAccess = (access: PeerAccess): Access | 'none' => (access === 'gone' ? 'none' : access);

/** Somebody who has a document open, by whichever transport. */
export interface OpenPeer {
  userId: string;
  access: Access;
  /** Gets every durable update; absent where the document's room does that. */
  onUpdate?: ((update: Uint8Array) => void) | undefined;
  onAccess: (access: PeerAccess) => void;
  close(): void;
}

export interface OpenDocumentDeps extends Pick<LiveDocumentDeps, 'append' | 'catchUp' | 'onStored' | 'onBug'> {
  docId: string;
  stored: StoredDocument;
  /** Ends this node's interest in what other nodes tell of it. */
  unhold: () => void;
}

export class OpenDocument {
  readonly docId: string;
  readonly stored: StoredDocument;
  readonly live: LiveDocument;
  readonly peers = new Set<OpenPeer>();
  readonly unhold: () => void;
  compacting = false;
  compactAfterMs = 0;
  #usedAtMs = performance.now();

  constructor({ docId, stored, unhold, ...deps }: OpenDocumentDeps) {
    this.docId = docId;
    this.stored = stored;
    this.unhold = unhold;
    this.live = new LiveDocument({ ...deps, docId, stored: () => this.stored });
  }

  /** Nobody has had it open, written or listened to it for so long. */
  get idleMs(): number {
    if (this.peers.size > 0) return 0;
    return Math.min(performance.now() - this.#usedAtMs, this.live.idleMs);
  }

  used(): void {
    this.#usedAtMs = performance.now();
  }

  /** The next update of the log, in its turn; `appliedTo` is the generation of the Y.Doc that it was made in. */
  receive(update: StoredUpdate, appliedTo: number | undefined): void {
    this.stored.push(update);
    if (appliedTo !== this.live.generation) this.live.receive(update);
    for (const peer of this.peers) peer.onUpdate?.(update.bytes);
  }
}
