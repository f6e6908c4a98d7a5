/**
 * Delivery to the sockets of this node. The events that a tick emits to a room are encoded once, joined into one buffer
 * of WebSocket frames and written once per socket; the bytes on the wire are those of stock Socket.IO.
 * Sockets on another transport (long-polling) get the same packets singly, in the same order.
 */
import type { EmitOptions, Packet } from '../protocol/index.ts';
import { binaryFrame, textFrame } from './websocket-frame.ts';

/** The parts of an engine.io socket that delivery uses. */
interface Transportable {
  readyState: string;
  transport: { name: string };
  write(data: string | Buffer, options: { wsPreEncodedFrame?: Buffer[] }): unknown;
}

/** The parts of Socket.IO's adapter and namespace that delivery uses. */
export interface LocalRooms {
  readonly rooms: ReadonlyMap<string, ReadonlySet<string>>;
  readonly nsp: { readonly sockets: ReadonlyMap<string, { conn: Transportable }> };
}

interface Queued {
  packet: Packet;
  frames: readonly Buffer[];
  except: readonly string[] | undefined;
}

interface RoomQueue {
  items: Queued[];
  /** Whether some sockets of the room get less than the others. */
  selective: boolean;
}

/** What one write gives to a socket. */
interface Batch {
  items: readonly Queued[];
  bytes: Buffer;
}

export class RoomDelivery {
  readonly #local: LocalRooms;
  readonly #queues = new Map<string, RoomQueue>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(local: LocalRooms) {
    this.#local = local;
  }

  /** Queues an event for everyone in the room; it leaves at the end of this tick. */
  enqueue(room: string, packet: Packet, { except }: EmitOptions = {}): void {
    if (!this.#local.rooms.has(room)) return;
    let queue = this.#queues.get(room);
    if (!queue) {
      queue = { items: [], selective: false };
      this.#queues.set(room, queue);
    }
    queue.items.push({ packet, frames: packet.map(frameOf), except });
    if (except !== undefined) queue.selective = true;
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Delivers everything queued now. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const room of this.#queues.keys()) this.flushRoom(room);
  }

  /** Delivers what is queued for one room: before its membership changes. */
  flushRoom(room: string): void {
    const queue = this.#queues.get(room);
    if (!queue) return;
    this.#queues.delete(room);
    const members = this.#local.rooms.get(room);
    if (!members) return;
    const batch = batchOf(queue.items);
    const { sockets } = this.#local.nsp;
    for (const id of members) {
      const conn = sockets.get(id)?.conn;
      if (conn?.readyState !== 'open') continue;
      const own = queue.selective ? this.#for(id, batch) : batch;
      if (own.items.length > 0) write(conn, own);
    }
  }

  /** The batch without what the socket is excepted from. */
  #for(id: string, batch: Batch): Batch {
    const isIn = (room: string): boolean => this.#local.rooms.get(room)?.has(id) === true;
    const items = batch.items.filter(({ except }) => !except?.some(isIn));
    return items.length === batch.items.length ? batch : batchOf(items);
  }
}

/** engine.io marks a text packet as a message by the leading 4; binary ones are messages by their opcode. */
const frameOf = (part: string | Uint8Array): Buffer =>
  typeof part === 'string' ? textFrame(`4${part}`) : binaryFrame(part);

function batchOf(items: readonly Queued[]): Batch {
  const frames = items.length === 1 && items[0] ? items[0].frames : items.flatMap((item) => item.frames);
  return { items, bytes: frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames) };
}

function write(conn: Transportable, { items, bytes }: Batch): void {
  if (conn.transport.name === 'websocket') {
    conn.write('', { wsPreEncodedFrame: [bytes] });
    return;
  }
  for (const { packet } of items)
    for (const part of packet)
      conn.write(typeof part === 'string' ? part : Buffer.from(part.buffer, part.byteOffset, part.byteLength), {});
}
