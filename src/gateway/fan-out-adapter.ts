/**
 * Room delivery under Socket.IO. The events that a tick emits to a room are encoded once, joined into one buffer of
 * WebSocket frames and written once per socket; the bytes on the wire are those of stock Socket.IO.
 * Sockets on another transport (long-polling) get the same packets singly, in the same order.
 */
import { Adapter } from 'socket.io-adapter';
import { PacketType } from 'socket.io-parser';
import type { Packet } from '../protocol/index.ts';
import { binaryFrame, textFrame } from './websocket-frame.ts';

/** The parts of an engine.io socket that delivery uses. */
interface Transportable {
  readyState: string;
  transport: { name: string };
  write(data: string | Buffer, options: { wsPreEncodedFrame?: Buffer[] }): unknown;
}

interface LocalSocket {
  conn: Transportable;
}

interface RoomQueue {
  packets: Packet[];
  frames: Buffer[];
}

export class FanOutAdapter extends Adapter {
  readonly #queues = new Map<string, RoomQueue>();
  #scheduled: NodeJS.Immediate | undefined;

  /** Queues an event for everyone in the room; it leaves at the end of this tick. */
  enqueue(room: string, packet: Packet): void {
    if (!this.rooms.has(room)) return;
    let queue = this.#queues.get(room);
    if (!queue) {
      queue = { packets: [], frames: [] };
      this.#queues.set(room, queue);
    }
    queue.packets.push(packet);
    for (const part of packet) {
      // engine.io marks a text packet as a message by the leading 4; binary ones are messages by their opcode.
      queue.frames.push(typeof part === 'string' ? textFrame(`4${part}`) : binaryFrame(part));
    }
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Delivers everything queued now. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    for (const room of this.#queues.keys()) this.#flushRoom(room);
  }

  /** A joiner must not get what was emitted before it joined … */
  override addAll(id: string, rooms: Set<string>): Promise<void> | void {
    if (this.#queues.size > 0) for (const room of rooms) this.#flushRoom(room);
    return super.addAll(id, rooms);
  }

  /** … and a leaver must get what was emitted before it left. */
  override del(id: string, room: string): Promise<void> | void {
    this.#flushRoom(room);
    return super.del(id, room);
  }

  override close(): Promise<void> | void {
    this.flush();
    return super.close();
  }

  encode(event: string, data: unknown): Packet {
    return this.nsp.server.encoder.encode({ type: PacketType.EVENT, nsp: this.nsp.name, data: [event, data] });
  }

  #flushRoom(room: string): void {
    const queue = this.#queues.get(room);
    if (!queue) return;
    this.#queues.delete(room);
    const members = this.rooms.get(room);
    if (!members) return;
    const [only] = queue.frames;
    const batch = queue.frames.length === 1 && only ? only : Buffer.concat(queue.frames);
    const sockets = this.nsp.sockets as Map<string, LocalSocket>;
    for (const id of members) {
      const conn = sockets.get(id)?.conn;
      if (conn?.readyState !== 'open') continue;
      if (conn.transport.name === 'websocket') conn.write('', { wsPreEncodedFrame: [batch] });
      else
        for (const packet of queue.packets)
          for (const part of packet)
            conn.write(
              typeof part === 'string' ? part : Buffer.from(part.buffer, part.byteOffset, part.byteLength),
              {},
            );
    }
  }
}
