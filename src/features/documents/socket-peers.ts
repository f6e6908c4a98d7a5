/** Which documents each socket of this node has open. The socket is in a document's room as long. */
import { docRoom, Fault, LIMITS, type Rooms } from '../../protocol/index.ts';
import type { Awareness } from './awareness.ts';
import type { documentsEvents } from './contract.ts';
import type { Documents, Peer } from './documents.ts';
import { hasEnded, toldAccess, type PeerAccess } from './open-document.ts';

export interface SocketPeersDeps {
  documents: Documents;
  awareness: Pick<Awareness, 'join' | 'leave'>;
  rooms: Rooms<typeof documentsEvents>;
}

export interface SocketRef {
  id: string;
  userId: string;
}

export class SocketPeers {
  readonly #deps: SocketPeersDeps;
  /** By connection, then by document; undefined while it is being opened. */
  readonly #open = new Map<string, Map<string, Peer | undefined>>();

  constructor(deps: SocketPeersDeps) {
    this.#deps = deps;
  }

  /** Opens a document on a socket, or again. Rejects with `quota_exceeded` for one too many. */
  async open(
    { id: connectionId, userId }: SocketRef,
    fileId: string,
    stateVector: Uint8Array | undefined,
  ): Promise<Peer> {
    const { documents, awareness, rooms } = this.#deps;
    const own = this.#open.get(connectionId) ?? new Map<string, Peer | undefined>();
    this.#open.set(connectionId, own);
    if (!own.has(fileId) && own.size >= LIMITS.documentsPerSocket) {
      throw new Fault('rate_limited', `At most ${LIMITS.documentsPerSocket} documents on one socket`);
    }
    const former = own.get(fileId);
    own.set(fileId, former);
    try {
      const peer = await documents.openPeer({
        fileId,
        userId,
        stateVector,
        onAccess: (access) => this.#accessChanged(connectionId, fileId, access),
        onOpened: () => rooms.join({ connectionId }, docRoom(fileId)),
      });
      former?.close();
      // The socket went meanwhile.
      if (this.#open.get(connectionId) !== own) peer.close();
      else awareness.join(fileId, { connectionId, userId });
      own.set(fileId, peer);
      return peer;
    } catch (error) {
      if (own.get(fileId) === undefined) own.delete(fileId);
      throw error;
    }
  }

  /** The document as the socket has it open; throws `not_found` where it has not. */
  get(connectionId: string, docId: string): Peer {
    const peer = this.#open.get(connectionId)?.get(docId);
    if (!peer) throw new Fault('not_found', 'This document is not open on this socket');
    return peer;
  }

  close(connectionId: string, docId: string): void {
    const own = this.#open.get(connectionId);
    if (!own?.has(docId)) return;
    own.get(docId)?.close();
    own.delete(docId);
    this.#deps.awareness.leave(docId, connectionId);
    this.#deps.rooms.leave({ connectionId }, docRoom(docId));
  }

  disconnected(connectionId: string): void {
    const own = this.#open.get(connectionId);
    if (!own) return;
    this.#open.delete(connectionId);
    for (const [docId, peer] of own) {
      peer?.close();
      this.#deps.awareness.leave(docId, connectionId);
    }
  }

  #accessChanged(connectionId: string, docId: string, access: PeerAccess): void {
    if (hasEnded(access)) this.close(connectionId, docId);
    this.#deps.rooms.send(connectionId, 'doc:access-changed', { docId, access: toldAccess(access) });
  }
}
