/**
 * Delivery to the sockets of this node. The events that a tick emits to a room are encoded once, joined into one buffer
 * of WebSocket frames and written once per socket; the bytes on the wire are those of stock Socket.IO.
 */
import type { EmitOptions, Packet } from '../protocol/index.ts';
import { Batch, roomEvent, type RoomEvent } from './batch.ts';
import type { EngineSocket } from './engine.ts';

/** The parts of Socket.IO's adapter and namespace that delivery uses. */
export interface LocalRooms {
  readonly rooms: ReadonlyMap<string, ReadonlySet<string>>;
  readonly nsp: { readonly sockets: ReadonlyMap<string, { conn: EngineSocket }> };
}

/** A broadcast to more sockets takes milliseconds, for which answers need not wait. */
const LARGE_ROOM = 256;

export class RoomDelivery {
  /** Called before a broadcast to many: what has been gathered for single sockets goes first. */
  beforeLarge: (() => void) | undefined;
  readonly #local: LocalRooms;
  readonly #queues = new Map<string, RoomEvent[]>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(local: LocalRooms) {
    this.#local = local;
  }

  /** Queues an event for everyone in the room; it leaves at the end of this tick. */
  enqueue(room: string, packet: Packet, options?: EmitOptions): void {
    if (!this.#local.rooms.has(room)) return;
    const event = roomEvent(room, packet, options);
    const queue = this.#queues.get(room);
    if (queue) queue.push(event);
    else this.#queues.set(room, [event]);
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Gives a packet to these sockets now; its frames are made once. */
  deliverTo(ids: readonly string[], packet: Packet): void {
    const batch = new Batch([roomEvent('', packet)]);
    for (const id of ids) this.#local.nsp.sockets.get(id)?.conn.outlet?.deliver(batch);
  }

  /** Delivers everything queued now. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const room of this.#queues.keys()) this.flushRoom(room);
  }

  /** Delivers what is queued for one room: before its membership changes. */
  flushRoom(room: string): void {
    const events = this.#queues.get(room);
    if (!events) return;
    this.#queues.delete(room);
    const members = this.#local.rooms.get(room);
    if (!members) return;
    if (members.size > LARGE_ROOM) this.beforeLarge?.();
    const batch = new Batch(events);
    const selective = events.some(({ except }) => except !== undefined);
    const { sockets } = this.#local.nsp;
    for (const id of members) {
      const outlet = sockets.get(id)?.conn.outlet;
      if (!outlet) continue;
      const own = selective ? this.#for(id, batch) : batch;
      if (own.events.length > 0) outlet.deliver(own);
    }
  }

  /** A socket leaves a room: what was emitted before is delivered, states that wait for it are dropped. */
  left(id: string, room: string): void {
    this.flushRoom(room);
    this.#local.nsp.sockets.get(id)?.conn.outlet?.left(room);
  }

  /** The batch without what the socket is excepted from. */
  #for(id: string, batch: Batch): Batch {
    const isIn = (room: string): boolean => this.#local.rooms.get(room)?.has(id) === true;
    const events = batch.events.filter(({ except }) => !except?.some(isIn));
    return events.length === batch.events.length ? batch : new Batch(events);
  }
}
