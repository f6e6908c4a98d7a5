/**
 * Who is in one document, on this node's side: one entry for each client, owned by the connection that speaks for it.
 * What changes in a turn of the event loop leaves together. A client that has gone is remembered for a while: stock
 * providers send back whatever they hear, and such an echo must not bring it back.
 */
import { LIMITS } from '../../protocol/index.ts';
import {
  isGone,
  readAwareness,
  stateOf,
  writeAwareness,
  type AwarenessNotice,
  type OwnedEntry,
  type UnreadEntry,
} from './awareness-codec.ts';

/** A connection that has the document open. */
export interface AwarenessMember {
  connectionId: string;
  userId: string;
  /** Takes what changes; without it the document's room does. */
  deliver?: (update: Uint8Array) => void;
}

export interface HubDeps {
  nodeId: string;
  now: () => number;
  /** To everybody here. `clients` names whom the update is about. */
  send: (update: Uint8Array, clients: string) => void;
  /** What is sent, with whose it is. */
  changed?: (entries: readonly OwnedEntry[]) => void;
  /** To the other nodes. */
  tell: (notice: AwarenessNotice) => void;
}

interface Entry extends OwnedEntry {
  nodeId: string;
  /** Undefined on another node. */
  connectionId: string | undefined;
  updatedAtMs: number;
}

interface Member extends AwarenessMember {
  /** The client that it named first, before it can have heard of others: its own. */
  own: number | undefined;
  clients: number;
}

export interface Applied {
  /** Something in it was new. */
  isNews: boolean;
  /** There was room for all of it. */
  fits: boolean;
}

type Taken = 'news' | 'ignored' | 'no room';

/** What an entry takes besides its state, about. */
const ENTRY_BYTES = 16;

export class AwarenessHub {
  readonly #deps: HubDeps;
  readonly #members = new Map<string, Member>();
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;
  /** Clients of whom something is to be sent at the end of this turn; true if the other nodes are told, too. */
  readonly #changed = new Map<number, boolean>();
  #asks = false;
  #tellsAll = false;
  #scheduled: NodeJS.Immediate | undefined;

  constructor(deps: HubDeps) {
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  join(member: AwarenessMember): void {
    this.#members.set(member.connectionId, { ...member, own: undefined, clients: 0 });
  }

  /** Everybody whom the connection spoke for has gone. */
  leave(connectionId: string): void {
    this.#members.delete(connectionId);
    for (const entry of this.#entries.values()) {
      if (entry.connectionId === connectionId && entry.state !== undefined) this.#remove(entry, true);
    }
  }

  has(connectionId: string): boolean {
    return this.#members.has(connectionId);
  }

  /**
   * Takes what a member says. Entries that are not newer, or are about others' clients, are no error: clients that are
   * in order send such. Throws `invalid` for what is no update.
   */
  apply(connectionId: string, update: Uint8Array): Applied {
    const applied: Applied = { isNews: false, fits: true };
    const member = this.#members.get(connectionId);
    if (!member) return applied;
    for (const entry of readAwareness(update)) {
      const taken = this.#take(member, entry);
      if (taken === 'news') applied.isNews = true;
      else if (taken === 'no room') applied.fits = false;
    }
    return applied;
  }

  /** What another node has told. */
  hear({ nodeId, asks, entries }: AwarenessNotice): void {
    if (asks) {
      this.#tellsAll = true;
      this.#schedule();
    }
    for (const entry of entries) this.#takeTold(nodeId, entry);
  }

  /** Asks the other nodes who is there. */
  ask(): void {
    this.#asks = true;
    this.#schedule();
  }

  /** A node has died, and everybody on it is gone. */
  nodeDied(nodeId: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.nodeId === nodeId && entry.state !== undefined) this.#remove(entry, false);
    }
  }

  /** Lets go of those who have said nothing for too long. Every node does it by itself. */
  sweep(): void {
    const before = this.#deps.now() - LIMITS.awarenessTimeoutMs;
    for (const entry of this.#entries.values()) {
      if (entry.updatedAtMs > before) continue;
      if (entry.state !== undefined) this.#remove(entry, false);
      else if (!this.#changed.has(entry.clientId)) this.#forget(entry);
    }
  }

  /** Everybody who is there. */
  entries(): OwnedEntry[] {
    return [...this.#entries.values()].filter(({ state }) => state !== undefined);
  }

  /** Everybody who is there, as an update; undefined if that is nobody. */
  present(): Uint8Array | undefined {
    const there = this.entries();
    return there.length === 0 ? undefined : writeAwareness(there);
  }

  /** As `present`, with those who have gone lately: for somebody who has missed something. */
  everything(): Uint8Array {
    return writeAwareness([...this.#entries.values()]);
  }

  /** Sends what has changed now. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const changed: OwnedEntry[] = [];
    const told: OwnedEntry[] = [];
    for (const [clientId, tells] of this.#changed) {
      const entry = this.#entries.get(clientId);
      if (!entry) continue;
      changed.push(entry);
      if (tells) told.push(entry);
    }
    const clients = [...this.#changed.keys()].join(',');
    this.#changed.clear();
    if (changed.length > 0) {
      const update = writeAwareness(changed);
      this.#deps.send(update, clients);
      this.#deps.changed?.(changed);
      for (const { deliver } of this.#members.values()) deliver?.(update);
    }
    this.#tell(told);
  }

  close(): void {
    clearImmediate(this.#scheduled);
    this.#members.clear();
    this.#entries.clear();
  }

  #tell(changed: OwnedEntry[]): void {
    const entries = this.#tellsAll
      ? [...this.#entries.values()].filter(
          (entry) => changed.includes(entry) || (entry.connectionId !== undefined && entry.state !== undefined),
        )
      : changed;
    if (entries.length > 0 || this.#asks) {
      this.#deps.tell({ nodeId: this.#deps.nodeId, asks: this.#asks, entries });
    }
    this.#tellsAll = false;
    this.#asks = false;
  }

  #take(member: Member, unread: UnreadEntry): Taken {
    const { clientId, clock } = unread;
    const { connectionId, userId } = member;
    member.own ??= clientId;
    const known = this.#entries.get(clientId);
    if (known && known.userId !== userId) return 'ignored';
    const owns = known?.connectionId === connectionId;
    if (isGone(unread)) {
      if (known?.state === undefined || clock < known.clock + (owns ? 0 : 1)) return 'ignored';
      known.clock = clock;
      this.#remove(known, true);
      return 'news';
    }
    if (known && clock <= known.clock) {
      // A client that comes back says what it said before. Everybody else who says it has heard it from here.
      const returns = clock === known.clock && member.own === clientId && (!owns || known.state === undefined);
      if (!returns) return 'ignored';
    }
    const state = stateOf(unread);
    if (state === undefined) return 'ignored';
    if (!owns && member.clients >= LIMITS.awarenessClientsPerConnection) return 'no room';
    const entry = { clientId, clock, state, userId, connectionId, nodeId: this.#deps.nodeId };
    if (!this.#put(known, entry, true)) return 'no room';
    if (!owns) member.clients++;
    return 'news';
  }

  #takeTold(nodeId: string, { clientId, clock, state, userId }: OwnedEntry): void {
    const known = this.#entries.get(clientId);
    if (known && known.userId !== userId) return;
    const owns = known?.nodeId === nodeId;
    if (state === undefined) {
      if (known?.state === undefined || clock < known.clock + (owns ? 0 : 1)) return;
      known.clock = clock;
      this.#remove(known, false);
      return;
    }
    if (known && (clock < known.clock || (clock === known.clock && owns && known.state !== undefined))) return;
    this.#put(known, { clientId, clock, state, userId, connectionId: undefined, nodeId }, false);
  }

  #put(known: Entry | undefined, entry: Omit<Entry, 'updatedAtMs'>, tells: boolean): boolean {
    const bytes = this.#bytes - sizeOf(known) + sizeOf(entry);
    if (bytes > LIMITS.awarenessBytes) return false;
    this.#bytes = bytes;
    this.#entries.set(entry.clientId, { ...entry, updatedAtMs: this.#deps.now() });
    this.#note(entry.clientId, tells);
    return true;
  }

  #remove(entry: Entry, tells: boolean): void {
    this.#bytes -= sizeOf(entry);
    entry.state = undefined;
    this.#bytes += sizeOf(entry);
    entry.updatedAtMs = this.#deps.now();
    this.#note(entry.clientId, tells);
  }

  #forget(entry: Entry): void {
    this.#bytes -= sizeOf(entry);
    this.#entries.delete(entry.clientId);
  }

  #note(clientId: number, tells: boolean): void {
    this.#changed.set(clientId, tells || this.#changed.get(clientId) === true);
    this.#schedule();
  }

  #schedule(): void {
    this.#scheduled ??= setImmediate(() => this.flush());
  }
}

function sizeOf(entry: Pick<Entry, 'state'> | undefined): number {
  return entry === undefined ? 0 : ENTRY_BYTES + (entry.state === undefined ? 0 : Buffer.byteLength(entry.state));
}
