/**
 * Sockets of this node that hear a text as plain JSON. Each has the document open as any peer does, so that its access is
 * followed; the changes are read once for all of them, from the live text and when they are durable.
 */
import type * as Y from 'yjs';
import type { Log } from '../../observability/log.ts';
import { docWatchRoom, Fault, LIMITS, type Rooms } from '../../protocol/index.ts';
import { CONTENT } from './check-update.ts';
import type { documentsEvents } from './contract.ts';
import type { Documents, Peer } from './documents.ts';
import type { TextChange } from './live-document.ts';
import { hasEnded, toldAccess } from './open-document.ts';
import { stateOf } from './seen-text.ts';
import type { SocketRef } from './socket-peers.ts';
import type { TextSplice } from './text-splice.ts';

export interface WatchersDeps {
  documents: Pick<Documents, 'openPeer' | 'listen' | 'read'>;
  rooms: Rooms<typeof documentsEvents>;
  /** A socket has begun to watch. */
  onEntered: (fileId: string, socket: SocketRef) => void;
  onLeft: (fileId: string, connectionId: string) => void;
  /** A change has been told. */
  onChanged: (fileId: string) => void;
  log: Log;
}

/** A text as it is at a moment. */
export interface TextNow {
  text: string;
  stateVector: string;
}

/** A document that sockets of this node watch. */
interface Watched {
  connectionIds: Set<string>;
  /** Resolves when every change that follows is heard of. */
  listening: Promise<() => void>;
  /** It is all text: places in it are places in the live text. */
  isPlain: boolean;
  /** The whole text is on its way: changes are in it. */
  isResetting: boolean;
}

export class Watchers {
  readonly #deps: WatchersDeps;
  readonly #watched = new Map<string, Watched>();
  /** By connection, then by document. */
  readonly #sockets = new Map<string, Map<string, Peer>>();

  constructor(deps: WatchersDeps) {
    this.#deps = deps;
  }

  /** Lets a socket hear the text from the moment on that the answer is of. */
  async watch(socket: SocketRef, fileId: string): Promise<TextNow> {
    const { documents, rooms, onEntered } = this.#deps;
    const { id: connectionId, userId } = socket;
    const own = this.#sockets.get(connectionId) ?? new Map<string, Peer>();
    this.#sockets.set(connectionId, own);
    if (!own.has(fileId)) {
      if (own.size >= LIMITS.documentsPerSocket) {
        throw new Fault('rate_limited', `At most ${LIMITS.documentsPerSocket} texts watched on one socket`);
      }
      const peer = await documents.openPeer({
        fileId,
        userId,
        onAccess: (access) => {
          if (hasEnded(access)) this.unwatch(connectionId, fileId);
          rooms.send(connectionId, 'doc:access-changed', { docId: fileId, access: toldAccess(access) });
        },
      });
      // The socket went meanwhile.
      if (this.#sockets.get(connectionId) !== own) {
        peer.close();
        throw gone();
      }
      own.set(fileId, peer);
    }
    try {
      await this.#listen(fileId, connectionId);
      return await documents.read(fileId, (doc) => {
        if (!this.#watched.get(fileId)?.connectionIds.has(connectionId)) throw gone();
        rooms.join({ connectionId }, docWatchRoom(fileId));
        onEntered(fileId, socket);
        return { text: textOf(doc), stateVector: stateOf(doc) };
      });
    } catch (error) {
      this.unwatch(connectionId, fileId);
      throw error;
    }
  }

  unwatch(connectionId: string, fileId: string): void {
    const own = this.#sockets.get(connectionId);
    own?.get(fileId)?.close();
    own?.delete(fileId);
    this.#deps.rooms.leave({ connectionId }, docWatchRoom(fileId));
    this.#forget(fileId, connectionId);
  }

  disconnected(connectionId: string): void {
    const own = this.#sockets.get(connectionId);
    this.#sockets.delete(connectionId);
    for (const [fileId, peer] of own ?? []) {
      peer.close();
      this.#forget(fileId, connectionId);
    }
  }

  /** Throws `not_found` for a document that the socket does not watch. */
  assertWatching(connectionId: string, fileId: string): void {
    if (!this.#watched.get(fileId)?.connectionIds.has(connectionId)) {
      throw new Fault('not_found', 'This text is not watched on this socket');
    }
  }

  async #listen(fileId: string, connectionId: string): Promise<void> {
    const watched = this.#watched.get(fileId) ?? this.#begin(fileId);
    watched.connectionIds.add(connectionId);
    await watched.listening;
  }

  #begin(fileId: string): Watched {
    const watched: Watched = {
      connectionIds: new Set(),
      isPlain: false,
      isResetting: false,
      listening: this.#deps.documents
        .listen(fileId, {
          changed: (change) => this.#changed(fileId, watched, change),
          reset: () => this.#reset(fileId, watched),
        })
        .then(async ({ stop }) => {
          watched.isPlain = await this.#deps.documents.read(fileId, isAllText);
          return stop;
        }),
    };
    this.#watched.set(fileId, watched);
    return watched;
  }

  #forget(fileId: string, connectionId: string): void {
    const watched = this.#watched.get(fileId);
    if (!watched?.connectionIds.delete(connectionId)) return;
    this.#deps.onLeft(fileId, connectionId);
    if (watched.connectionIds.size > 0) return;
    this.#watched.delete(fileId);
    // Where it could not begin there is nothing to end.
    watched.listening.then(
      (stop) => stop(),
      () => {},
    );
  }

  #changed(fileId: string, watched: Watched, { delta, userId, stateVector }: TextChange): void {
    if (watched.isResetting || this.#watched.get(fileId) !== watched) return;
    const edits = watched.isPlain ? editsOf(delta) : undefined;
    if (!edits) {
      this.#reset(fileId, watched);
      return;
    }
    if (edits.length === 0) return;
    this.#deps.rooms.emitHere(docWatchRoom(fileId), 'file:updated', {
      fileId,
      edits,
      ...(userId === undefined ? {} : { userId }),
      stateVector,
    });
    this.#deps.onChanged(fileId);
  }

  /** Tells the whole text, where the changes cannot be told or are not all known. */
  #reset(fileId: string, watched: Watched): void {
    if (watched.isResetting) return;
    watched.isResetting = true;
    this.#deps.documents
      .read(fileId, (doc) => {
        watched.isResetting = false;
        watched.isPlain = isAllText(doc);
        const now = { fileId, text: textOf(doc), stateVector: stateOf(doc) };
        this.#deps.rooms.emitHere(docWatchRoom(fileId), 'file:reset', now);
      })
      .catch((error: unknown) => {
        watched.isResetting = false;
        if (error instanceof Fault && error.code === 'not_found') return;
        this.#deps.log.warn('the text of a document could not be told anew', { documentId: fileId, error });
      });
  }
}

const textOf = (doc: Y.Doc): string => doc.getText(CONTENT).toJSON();
const isAllText = (doc: Y.Doc): boolean => doc.getText(CONTENT).length === textOf(doc).length;
const gone = (): Fault => new Fault('not_found', 'There is no such file');

/** A change in Quill's form as edits one after another; undefined where something other than text has come. */
export function editsOf(delta: TextChange['delta']): TextSplice[] | undefined {
  const edits: TextSplice[] = [];
  let index = 0;
  for (const { retain = 0, delete: deleteCount = 0, insert = '' } of delta) {
    if (typeof insert !== 'string') return undefined;
    index += retain;
    if (deleteCount === 0 && insert === '') continue;
    const last = edits.at(-1);
    // What goes and what comes at one place is one edit.
    if (last && last.index + last.insert.length === index) {
      last.deleteCount += deleteCount;
      last.insert += insert;
    } else {
      edits.push({ index, deleteCount, insert });
    }
    index += insert.length;
  }
  return edits;
}
