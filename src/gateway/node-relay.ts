/**
 * What the rooms of this node tell those of the others, and hear from them. The events of a tick travel in batches on
 * one of 256 topics of the bus, which a node listens to while a room of it is open here: has sockets, or is held. Within
 * a topic everything of one node arrives in its order, so the events of a room do.
 */
import type { Bus } from '../cluster/index.ts';
import {
  LIMITS,
  type EmitOptions,
  type Packet,
  type RelayedListener,
  type Room,
  type ToldListener,
} from '../protocol/index.ts';

const TOPICS = 256;
/** What an item carries besides its packet, about. */
const ITEM_BYTES = 64;
/** In place of a position: for the sockets of the room, as it is. */
const EVENT = 0;
/** In place of a position: for those who listen to what is told. */
const TOLD = -1;

/**
 * One event on the bus: its room; its position in the room's log, or `EVENT` or `TOLD`; its packet, or null if that is too large to
 * travel and stands in the log; who gets nothing; the state that it replaces.
 */
type Item = [room: Room, position: number, packet: Packet | null, except?: readonly Room[], latest?: string];

interface Topic {
  readonly name: string;
  items: Item[];
  bytes: number;
  /** Rooms of this node. */
  rooms: number;
  unsubscribe: (() => void) | undefined;
}

export interface NodeRelayDeps {
  bus: Bus;
  /** Whether a socket of this node is in the room. */
  has: (room: Room) => boolean;
  /** Delivers what another node has emitted to the sockets of this one. */
  deliver: (room: Room, packet: Packet, options: EmitOptions) => void;
  onBug: (error: unknown, fields: Record<string, unknown>) => void;
}

export class NodeRelay {
  readonly #deps: NodeRelayDeps;
  readonly #topics: readonly Topic[] = Array.from({ length: TOPICS }, (_, n) => ({
    name: `room:${n}`,
    items: [],
    bytes: 0,
    rooms: 0,
    unsubscribe: undefined,
  }));
  readonly #relayed = new Listeners<RelayedListener>();
  readonly #told = new Listeners<ToldListener>();
  /** Rooms that are held, and how often. */
  readonly #held = new Map<Room, number>();
  /** Topics with something to send at the end of this tick. */
  readonly #filled = new Set<Topic>();
  #scheduled: NodeJS.Immediate | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(deps: NodeRelayDeps) {
    this.#deps = deps;
  }

  /** False where no other node can be: then nothing needs to be made for them. */
  get reachesOthers(): boolean {
    return !this.#deps.bus.alone;
  }

  /** To the sockets of the room on the other nodes. */
  emit(room: Room, packet: Packet, { except, latest }: EmitOptions = {}): void {
    if (latest !== undefined) this.#add([room, EVENT, packet, except ?? [], latest]);
    else this.#add(except === undefined ? [room, EVENT, packet] : [room, EVENT, packet, except]);
  }

  /** To the listeners of the other nodes on which the room is open. */
  relay(room: Room, position: number, packet: Packet): void {
    this.#add([room, position, packet]);
  }

  onRelayed(prefix: string, listener: RelayedListener): () => void {
    return this.#relayed.add(prefix, listener);
  }

  /** As `relay`, of what has no position. */
  tell(room: Room, words: Packet): void {
    this.#add([room, TOLD, words]);
  }

  onTold(prefix: string, listener: ToldListener): () => void {
    return this.#told.add(prefix, listener);
  }

  /** As `Rooms.hold`. */
  hold(room: Room): () => void {
    const held = this.#held.get(room) ?? 0;
    this.#held.set(room, held + 1);
    if (held === 0) this.opened(room);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const left = (this.#held.get(room) ?? 1) - 1;
      if (left > 0) {
        this.#held.set(room, left);
        return;
      }
      this.#held.delete(room);
      this.closed(room);
    };
  }

  /** A first socket has joined the room, or it is held. */
  opened(room: string): void {
    if (this.#deps.bus.alone || !isRoom(room)) return;
    const topic = this.#topicOf(room);
    topic.rooms++;
    this.#subscribe(topic);
  }

  /** The last socket has left it, or it is held no more. The topic is kept for a while: reconnecting clients would subscribe it again at once. */
  closed(room: string): void {
    if (this.#deps.bus.alone || !isRoom(room)) return;
    this.#topicOf(room).rooms--;
    this.#sweep ??= setTimeout(() => this.#unsubscribeIdle(), LIMITS.roomTopicIdleMs).unref();
  }

  /** As `Rooms.listening`. */
  async listening(room: Room): Promise<void> {
    if (this.#deps.bus.alone) return;
    const topic = this.#topicOf(room);
    this.#subscribe(topic);
    await this.#deps.bus.listening(topic.name);
  }

  /** Sends everything gathered now. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const topic of this.#filled) this.#send(topic);
    this.#filled.clear();
  }

  close(): void {
    this.flush();
    clearTimeout(this.#sweep);
    for (const topic of this.#topics) {
      topic.unsubscribe?.();
      topic.unsubscribe = undefined;
    }
  }

  #add(item: Item): void {
    if (this.#deps.bus.alone) return;
    const topic = this.#topicOf(item[0]);
    let bytes = ITEM_BYTES + sizeOf(item[2] ?? []);
    if (bytes > LIMITS.relayBatchBytes && item[1] > 0) {
      item[2] = null;
      bytes = ITEM_BYTES;
    }
    // So an item that is larger than a batch goes alone.
    if (topic.bytes + bytes > LIMITS.relayBatchBytes) this.#send(topic);
    topic.items.push(item);
    topic.bytes += bytes;
    this.#filled.add(topic);
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  #send(topic: Topic): void {
    if (topic.items.length === 0) return;
    const { items } = topic;
    topic.items = [];
    topic.bytes = 0;
    this.#deps.bus.relay(topic.name, items);
  }

  #receive(items: readonly Item[]): void {
    for (const [room, position, packet, except, latest] of items) {
      if (!this.#deps.has(room) && !this.#held.has(room)) continue;
      const broke = (error: unknown): void => this.#deps.onBug(error, { room });
      if (position === EVENT) {
        if (packet) this.#deps.deliver(room, packet, optionsOf(except, latest));
      } else if (position === TOLD) {
        if (packet) this.#told.call(room, (listener) => listener(room, packet), broke);
      } else this.#relayed.call(room, (listener) => listener(room, position, packet ?? undefined), broke);
    }
  }

  #subscribe(topic: Topic): void {
    topic.unsubscribe ??= this.#deps.bus.subscribe(topic.name, (data) => this.#receive(data as readonly Item[]));
  }

  #unsubscribeIdle(): void {
    this.#sweep = undefined;
    for (const topic of this.#topics) {
      if (topic.rooms > 0 || !topic.unsubscribe) continue;
      topic.unsubscribe();
      topic.unsubscribe = undefined;
    }
  }

  #topicOf(room: string): Topic {
    return this.#topics[topicNumber(room)] as Topic;
  }
}

/** Who listens to rooms of a kind. */
class Listeners<L> {
  readonly #byPrefix = new Map<string, Set<L>>();

  add(prefix: string, listener: L): () => void {
    const listeners = this.#byPrefix.get(prefix) ?? new Set();
    this.#byPrefix.set(prefix, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** One that breaks does not stop the rest. */
  call(room: Room, tell: (listener: L) => void, broke: (error: unknown) => void): void {
    for (const listener of this.#byPrefix.get(room.slice(0, room.indexOf(':'))) ?? []) {
      try {
        tell(listener);
      } catch (error) {
        broke(error);
      }
    }
  }
}

/** Rooms of ours have a prefix; Socket.IO keeps a room per socket besides, named by its id. */
const isRoom = (room: string): boolean => room.includes(':');

/** FNV-1a over the name, the same on every node. */
export function topicNumber(room: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < room.length; at++) hash = Math.imul(hash ^ room.charCodeAt(at), 0x01000193);
  return ((hash >>> 8) ^ hash) & (TOPICS - 1);
}

function sizeOf(packet: Packet): number {
  let bytes = 0;
  for (const part of packet) bytes += typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength;
  return bytes;
}

const optionsOf = (except: readonly Room[] | undefined, latest: string | undefined): EmitOptions => ({
  ...(except === undefined || except.length === 0 ? {} : { except }),
  ...(latest === undefined ? {} : { latest }),
});
