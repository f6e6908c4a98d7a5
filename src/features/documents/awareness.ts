/** Who is in which document: a hub for each that is open on this node, and what the nodes tell each other of them. */
import type { Clock } from '../../cluster/clock.ts';
import { systemClock } from '../../cluster/clock.ts';
import { docRoom, Fault, LIMITS, type Rooms } from '../../protocol/index.ts';
import { readNotice, writeNotice, type OwnedEntry } from './awareness-codec.ts';
import { AwarenessHub, type AwarenessMember } from './awareness-hub.ts';
import type { awarenessEvents } from './awareness-operations.ts';

export interface AwarenessDeps {
  rooms: Rooms<typeof awarenessEvents>;
  nodeId: string;
  /** Called with a node that has died. Returns how to stop. */
  onNodeDeath: (listener: (nodeId: string) => void) => () => void;
  clock?: Clock;
}

export type AwarenessListener = (docId: string, entries: readonly OwnedEntry[]) => void;

interface Open {
  hub: AwarenessHub;
  release: () => void;
}

const PREFIX = 'doc';
const SWEEP_MS = 3_000;

export class Awareness {
  readonly #rooms: Rooms<typeof awarenessEvents>;
  readonly #nodeId: string;
  readonly #clock: Clock;
  readonly #open = new Map<string, Open>();
  readonly #stops: (() => void)[];
  readonly #listeners = new Set<{ call: AwarenessListener }>();

  constructor({ rooms, nodeId, onNodeDeath, clock = systemClock }: AwarenessDeps) {
    this.#rooms = rooms;
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#stops = [
      rooms.onTold(PREFIX, (room, [notice]) => {
        const open = this.#open.get(room.slice(PREFIX.length + 1));
        if (open && notice instanceof Uint8Array) open.hub.hear(readNotice(notice));
      }),
      onNodeDeath((dead) => {
        for (const { hub } of this.#open.values()) hub.nodeDied(dead);
      }),
      clock.every(SWEEP_MS, () => {
        for (const { hub } of this.#open.values()) hub.sweep();
      }),
    ];
  }

  /**
   * A connection has opened the document, or opened it again. A socket, which has joined the room before, is sent who is
   * there; a member with `deliver` asks by `present` when it can be told.
   */
  join(docId: string, member: AwarenessMember): void {
    const { hub } = this.#open.get(docId) ?? this.#openHub(docId);
    if (!hub.has(member.connectionId)) hub.join(member);
    if (member.deliver) return;
    // After the answer to its opening.
    setImmediate(() => {
      const update = hub.has(member.connectionId) ? hub.present() : undefined;
      if (update) this.#rooms.send(member.connectionId, 'doc:awareness-changed', { docId, update });
    });
  }

  /** A connection has closed the document. Calling it for one that never joined does nothing. */
  leave(docId: string, connectionId: string): void {
    const open = this.#open.get(docId);
    if (!open?.hub.has(connectionId)) return;
    open.hub.leave(connectionId);
    if (!open.hub.isEmpty) return;
    open.hub.flush();
    this.#open.delete(docId);
    open.hub.close();
    open.release();
  }

  /**
   * Takes what a connection says; whether there was anything new in it. Throws `not_found` where the connection has not
   * the document open, `invalid` or `too_large`.
   */
  apply(docId: string, connectionId: string, update: Uint8Array): boolean {
    const open = this.#open.get(docId);
    if (!open?.hub.has(connectionId)) throw new Fault('not_found', 'This connection has no such document open');
    const { isNews, fits } = open.hub.apply(connectionId, update);
    if (fits) return isNews;
    throw new Fault('too_large', `Awareness of a document is at most ${LIMITS.awarenessBytes} bytes`);
  }

  /** Everybody who is there, and whose it is. */
  entries(docId: string): readonly OwnedEntry[] {
    return this.#open.get(docId)?.hub.entries() ?? [];
  }

  /** Told of everybody who came, moved or went; without a state they have gone. Returns how to stop. */
  onChanged(call: AwarenessListener): () => void {
    const entry = { call };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Everybody who is there; undefined if that is nobody. */
  present(docId: string): Uint8Array | undefined {
    return this.#open.get(docId)?.hub.present();
  }

  /** As `present`, with those who have gone lately. */
  everything(docId: string): Uint8Array | undefined {
    return this.#open.get(docId)?.hub.everything();
  }

  /** Documents that are open on this node. */
  get size(): number {
    return this.#open.size;
  }

  close(): void {
    for (const stop of this.#stops) stop();
    for (const { hub, release } of this.#open.values()) {
      hub.close();
      release();
    }
    this.#open.clear();
  }

  #openHub(docId: string): Open {
    const room = docRoom(docId);
    const hub = new AwarenessHub({
      nodeId: this.#nodeId,
      now: () => this.#clock.now(),
      send: (update, clients) =>
        // A newer one about the same clients replaces it; the others' clocks make their order indifferent.
        this.#rooms.emitHere(room, 'doc:awareness-changed', { docId, update }, { latest: `awareness:${clients}` }),
      changed: (entries) => {
        for (const { call } of this.#listeners) call(docId, entries);
      },
      tell: (notice) => this.#rooms.tell(room, [writeNotice(notice)]),
    });
    const open: Open = { hub, release: this.#rooms.hold(room) };
    this.#open.set(docId, open);
    void this.#rooms.listening(room).then(() => {
      if (this.#open.get(docId) === open) hub.ask();
    });
    return open;
  }
}
