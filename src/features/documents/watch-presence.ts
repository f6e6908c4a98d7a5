/**
 * People and cursors as clients without Yjs say and hear them. A socket that watches a text stands in the document's
 * awareness like an editor with Yjs, so each sees the other; what changes there is told to watchers as plain events.
 */
import { randomInt } from 'node:crypto';
import * as Y from 'yjs';
import type { Log } from '../../observability/log.ts';
import { docWatchRoom, Fault, type Rooms } from '../../protocol/index.ts';
import { writeAwareness, type OwnedEntry } from './awareness-codec.ts';
import type { AwarenessMember } from './awareness-hub.ts';
import { CONTENT } from './check-update.ts';
import { cursorOf, placeOf, type RelativeCursor } from './cursor-state.ts';
import type { Documents } from './documents.ts';
import type { documentsEvents } from './contract.ts';
import type { SocketRef } from './socket-peers.ts';

/** What this needs of awareness. */
export interface AwarenessPort {
  join(docId: string, member: AwarenessMember): void;
  leave(docId: string, connectionId: string): void;
  apply(docId: string, connectionId: string, update: Uint8Array): void;
  /** Everybody who is there. */
  entries(docId: string): readonly OwnedEntry[];
  /** Told of everybody who came, moved or went; without a state they have gone. Returns how to stop. */
  onChanged(listener: (docId: string, entries: readonly OwnedEntry[]) => void): () => void;
}

export interface WatchPresenceDeps {
  awareness: AwarenessPort;
  documents: Pick<Documents, 'read'>;
  rooms: Rooms<typeof documentsEvents>;
  nameOf: (userIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  log: Log;
}

/** What a socket that watches says of itself. */
interface Own {
  clientId: number;
  clock: number;
  name: string | undefined;
  cursor: { anchor: Y.RelativePosition; head: Y.RelativePosition } | undefined;
}

/** A client that is in the document, here or elsewhere. */
interface Someone {
  userId: string;
  name: string;
  cursor: RelativeCursor | undefined;
  place: { index: number; head: number } | undefined;
}

interface Watched {
  own: Map<string, Own>;
  there: Map<number, Someone>;
  /** What is to be told yet: the newest of each client. */
  changed: Map<number, OwnedEntry>;
  /** Sockets that have not been told who is there. */
  newcomers: Set<string>;
  isTelling: boolean;
}

/** Whoever says nothing for 30 s is taken for gone. */
const RENEW_MS = 12_000;

export class WatchPresence {
  readonly #deps: WatchPresenceDeps;
  readonly #watched = new Map<string, Watched>();
  readonly #stops: (() => void)[];

  constructor(deps: WatchPresenceDeps) {
    this.#deps = deps;
    const renewal = setInterval(() => this.#renew(), RENEW_MS).unref();
    this.#stops = [
      () => clearInterval(renewal),
      deps.awareness.onChanged((docId, entries) => {
        const watched = this.#watched.get(docId);
        if (watched) this.#note(docId, watched, entries);
      }),
    ];
  }

  /** A socket has begun to watch: it is told who is there, and they are told of it. */
  enter(fileId: string, { id: connectionId, userId }: SocketRef): void {
    const { awareness } = this.#deps;
    const isNew = !this.#watched.has(fileId);
    const watched = this.#watched.get(fileId) ?? {
      own: new Map<string, Own>(),
      there: new Map<number, Someone>(),
      changed: new Map<number, OwnedEntry>(),
      newcomers: new Set<string>(),
      isTelling: false,
    };
    this.#watched.set(fileId, watched);
    watched.newcomers.add(connectionId);
    if (!watched.own.has(connectionId)) {
      const own: Own = { clientId: randomInt(2 ** 32), clock: 0, name: undefined, cursor: undefined };
      watched.own.set(connectionId, own);
      awareness.join(fileId, { connectionId: memberId(connectionId), userId, deliver: () => {} });
      this.#introduce(fileId, connectionId, userId, own).catch((error: unknown) => this.#warn(fileId, error));
    }
    this.#note(fileId, watched, isNew ? awareness.entries(fileId) : []);
  }

  leave(fileId: string, connectionId: string): void {
    const watched = this.#watched.get(fileId);
    if (!watched?.own.delete(connectionId)) return;
    watched.newcomers.delete(connectionId);
    this.#deps.awareness.leave(fileId, memberId(connectionId));
    if (watched.own.size === 0) this.#watched.delete(fileId);
  }

  /** Where a watching socket's user is, in the text as it is. */
  async move(fileId: string, connectionId: string, index: number, head: number): Promise<void> {
    const cursor = await this.#deps.documents.read(fileId, (doc) => {
      const text = doc.getText(CONTENT);
      const at = (place: number): Y.RelativePosition =>
        Y.createRelativePositionFromTypeIndex(text, Math.min(place, text.length));
      return { anchor: at(index), head: at(head) };
    });
    const own = this.#watched.get(fileId)?.own.get(connectionId);
    if (!own) return;
    own.cursor = cursor;
    this.#say(fileId, connectionId, own);
  }

  /** The text has changed: places that were not in it may be now. */
  textChanged(fileId: string): void {
    const watched = this.#watched.get(fileId);
    if (!watched) return;
    const isOpen = [...watched.there.values()].some(({ cursor, place }) => cursor && !place);
    if (isOpen) this.#note(fileId, watched, []);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#watched.clear();
  }

  async #introduce(fileId: string, connectionId: string, userId: string, own: Own): Promise<void> {
    own.name = (await this.#deps.nameOf([userId])).get(userId) ?? '';
    if (this.#watched.get(fileId)?.own.get(connectionId) === own) this.#say(fileId, connectionId, own);
  }

  #renew(): void {
    for (const [fileId, { own }] of this.#watched) {
      for (const [connectionId, one] of own) if (one.name !== undefined) this.#say(fileId, connectionId, one);
    }
  }

  #say(fileId: string, connectionId: string, own: Own): void {
    const { clientId, name = '', cursor } = own;
    own.clock++;
    // y-codemirror reads `cursor`, y-monaco `selection`.
    const state = JSON.stringify({ user: { name }, ...(cursor ? { cursor, selection: cursor } : {}) });
    try {
      const update = writeAwareness([{ clientId, clock: own.clock, state }]);
      this.#deps.awareness.apply(fileId, memberId(connectionId), update);
    } catch (error) {
      // There are too many others: this one is not seen, and sees.
      if (!(error instanceof Fault)) throw error;
    }
  }

  #note(fileId: string, watched: Watched, entries: readonly OwnedEntry[]): void {
    for (const entry of entries) watched.changed.set(entry.clientId, { ...entry });
    if (watched.isTelling) return;
    watched.isTelling = true;
    this.#tellAll(fileId, watched)
      .catch((error: unknown) => this.#warn(fileId, error))
      .finally(() => {
        watched.isTelling = false;
      });
  }

  async #tellAll(fileId: string, watched: Watched): Promise<void> {
    const { documents, nameOf } = this.#deps;
    do {
      const changed = [...watched.changed.values()];
      watched.changed.clear();
      const ids = new Set(changed.map(({ userId }) => userId));
      const names = ids.size > 0 ? await nameOf([...ids]) : new Map<string, string>();
      await documents.read(fileId, (doc) => this.#tell(fileId, watched, doc, changed, names));
    } while (watched.changed.size + watched.newcomers.size > 0 && this.#watched.get(fileId) === watched);
  }

  /** Synchronous: who is told of everybody here is told of every change from here on. */
  #tell(
    fileId: string,
    watched: Watched,
    doc: Y.Doc,
    changed: readonly OwnedEntry[],
    names: ReadonlyMap<string, string>,
  ): void {
    const { rooms } = this.#deps;
    const { there, newcomers } = watched;
    const room = docWatchRoom(fileId);
    for (const connectionId of newcomers) this.#tellNewcomer(fileId, connectionId, there);
    newcomers.clear();
    for (const { clientId, userId, state } of changed) {
      const known = there.get(clientId);
      const name = known?.name ?? names.get(userId) ?? '';
      const wasThere = isThere(there, userId);
      if (state === undefined) there.delete(clientId);
      else there.set(clientId, { userId, name, cursor: cursorOf(state), place: known?.place });
      if (isThere(there, userId) === wasThere) continue;
      rooms.emitHere(room, wasThere ? 'user:left' : 'user:joined', { fileId, userId, name });
    }
    for (const [clientId, someone] of there) {
      const place = someone.cursor && placeOf(someone.cursor, doc);
      const { place: before } = someone;
      if (!place || (place.index === before?.index && place.head === before.head)) continue;
      someone.place = place;
      rooms.emitHere(room, 'cursor:moved', cursorEvent(fileId, someone.userId, place), {
        latest: `cursor:${fileId}:${clientId}`,
      });
    }
  }

  #tellNewcomer(fileId: string, connectionId: string, there: Watched['there']): void {
    const { rooms } = this.#deps;
    const told = new Set<string>();
    for (const { userId, name, place } of there.values()) {
      if (!told.has(userId)) rooms.send(connectionId, 'user:joined', { fileId, userId, name });
      told.add(userId);
      if (place) rooms.send(connectionId, 'cursor:moved', cursorEvent(fileId, userId, place));
    }
  }

  #warn(fileId: string, error: unknown): void {
    if (error instanceof Fault && error.code === 'not_found') return;
    this.#deps.log.warn('who is in a document could not be told', { documentId: fileId, error });
  }
}

/** The socket may also have the document open by Yjs. */
const memberId = (connectionId: string): string => `watch:${connectionId}`;

const isThere = (there: Watched['there'], userId: string): boolean =>
  [...there.values()].some((someone) => someone.userId === userId);

const cursorEvent = (fileId: string, userId: string, { index, head }: { index: number; head: number }) => ({
  fileId,
  userId,
  index,
  ...(head === index ? {} : { head }),
});
