/** Socket.IO's adapter with our delivery in it: it knows the rooms, and lets no change of a room overtake its events. */
import { Adapter } from 'socket.io-adapter';
import { PacketType } from 'socket.io-parser';
import type { Packet } from '../protocol/index.ts';
import { RoomDelivery } from './room-delivery.ts';

export interface FanOutAdapter extends Adapter {
  readonly delivery: RoomDelivery;
  encode(event: string, data: unknown): Packet;
}

export type AdapterClass = typeof Adapter;

/** The class for Socket.IO's `adapter` option, over the one that knows this node only or the one that knows them all. */
export function fanOutAdapter(Base: AdapterClass = Adapter): AdapterClass {
  return class extends Base implements FanOutAdapter {
    readonly delivery = new RoomDelivery(this);

    /** A joiner must not get what was emitted before it joined … */
    override addAll(id: string, rooms: Set<string>): Promise<void> | void {
      for (const room of rooms) this.delivery.flushRoom(room);
      return super.addAll(id, rooms);
    }

    /** … and a leaver must get what was emitted before it left. */
    override del(id: string, room: string): Promise<void> | void {
      this.delivery.left(id, room);
      return super.del(id, room);
    }

    encode(event: string, data: unknown): Packet {
      return this.nsp.server.encoder.encode({ type: PacketType.EVENT, nsp: this.nsp.name, data: [event, data] });
    }

    override close(): Promise<void> | void {
      this.delivery.flush();
      return super.close();
    }
  };
}
