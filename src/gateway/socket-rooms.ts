/** The gateway's form of the `Rooms` port: validated, typed emits to this node and the others, and local membership. */
import type { Namespace, Socket } from 'socket.io';
import type { Bus } from '../cluster/index.ts';
import type { EmitOptions, EventMap, Packet, Room, Rooms, Session, Target } from '../protocol/index.ts';
import type { FanOutAdapter } from './fan-out-adapter.ts';
import { engineOf } from './engine.ts';
import { NodeRelay } from './node-relay.ts';
import { Outlets, type SlowReaderListener } from './outlets.ts';

export interface SocketRoomsOptions {
  bus: Bus;
  /** Parse every event against its schema; tests do. */
  checkEvents: boolean;
  /** A client that did not read has been given up. */
  onSlowReader: SlowReaderListener;
  onBug: (error: unknown, fields: Record<string, unknown>) => void;
}

/** The port, and what its owner ends. */
export interface SocketRooms<E extends EventMap> extends Rooms<E> {
  /** What is sent to the socket in this turn of the event loop leaves together. */
  gather(socket: Socket): void;
  /** Delivers and relays everything emitted up to now. */
  flush(): void;
  /** What is kept for the sockets of this node that their clients have not taken. */
  outboundBytes(): number;
  /** The most that has waited for one socket since this was asked last. */
  largestOutboundBytes(): number;
  /** Hears nothing of other nodes any more. */
  close(): void;
}

export function createSocketRooms<E extends EventMap>(
  namespace: Namespace,
  events: E,
  { bus, checkEvents, onSlowReader, onBug }: SocketRoomsOptions,
): SocketRooms<E> {
  const adapter = namespace.adapter as FanOutAdapter;
  const { delivery } = adapter;
  const outlets = new Outlets(onSlowReader);
  delivery.beforeLarge = () => outlets.letGo();
  // The first listener, so that nothing is sent before.
  namespace.on('connection', (socket) => outlets.attach(engineOf(socket)));
  const relay = new NodeRelay({
    bus,
    has: (room) => adapter.rooms.has(room),
    deliver: (room, packet, options) => delivery.enqueue(room, packet, options),
    onBug,
  });
  adapter.on('create-room', (room: string) => relay.opened(room));
  adapter.on('delete-room', (room: string) => relay.closed(room));

  const socketIds = (target: Target): string[] =>
    'connectionId' in target ? [target.connectionId] : [...(adapter.rooms.get(target.room) ?? [])];

  const encode = (event: string, data: unknown): Packet | undefined => {
    try {
      if (checkEvents) events[event]?.data.parse(data);
      return adapter.encode(event, data);
    } catch (error) {
      onBug(error, { event });
      return undefined;
    }
  };
  const send = (alsoThere: boolean, room: Room, event: string, data: unknown, options?: EmitOptions): void => {
    const here = adapter.rooms.has(room);
    if (!here && !alsoThere) return;
    const packet = encode(event, data);
    if (!packet) return;
    if (here) delivery.enqueue(room, packet, options);
    if (alsoThere) relay.emit(room, packet, options);
  };

  return {
    emit: (room, event, data, options) => send(relay.reachesOthers, room, event, data, options),
    emitHere: (room, event, data, options) => send(false, room, event, data, options),
    send(connectionId, event, data) {
      try {
        if (checkEvents) events[event]?.data.parse(data);
        namespace.sockets.get(connectionId)?.emit(event, data);
      } catch (error) {
        onBug(error, { event });
      }
    },
    encode,
    deliver: (room, packet) => delivery.enqueue(room, packet),
    deliverTo: (connectionIds, packet) => delivery.deliverTo(connectionIds, packet),
    waitingBytes(connectionId) {
      const socket = namespace.sockets.get(connectionId);
      return socket && (engineOf(socket).outlet?.totalBytes ?? 0);
    },
    onTaken(connectionId, listener) {
      const socket = namespace.sockets.get(connectionId);
      if (socket) engineOf(socket).outlet?.onTaken(listener);
    },
    relay: (room, position, packet) => relay.relay(room, position, packet),
    onRelayed: (prefix, listener) => relay.onRelayed(prefix, listener),
    tell: (room, words) => relay.tell(room, words),
    onTold: (prefix, listener) => relay.onTold(prefix, listener),
    hold: (room) => relay.hold(room),
    listening: (room) => relay.listening(room),
    join(target, room) {
      for (const id of socketIds(target)) void namespace.sockets.get(id)?.join(room);
    },
    leave(target, room) {
      for (const id of socketIds(target)) void namespace.sockets.get(id)?.leave(room);
    },
    has: (room) => adapter.rooms.has(room),
    size: (room) => adapter.rooms.get(room)?.size ?? 0,
    of: (connectionId, prefix) =>
      [...(adapter.sids.get(connectionId) ?? [])].filter((room): room is Room => room.startsWith(`${prefix}:`)),
    connections: (room) =>
      [...(adapter.rooms.get(room) ?? [])].flatMap((id) => {
        const data = namespace.sockets.get(id)?.data as { session?: Session } | undefined;
        return data?.session ? [{ id, userId: data.session.userId }] : [];
      }),
    gather(socket) {
      const tcp = engineOf(socket).transport.socket?._socket;
      if (tcp) outlets.gather(tcp);
    },
    flush() {
      delivery.flush();
      relay.flush();
    },
    outboundBytes() {
      let bytes = 0;
      for (const socket of namespace.sockets.values()) bytes += engineOf(socket).outlet?.totalBytes ?? 0;
      return bytes;
    },
    largestOutboundBytes: () => outlets.takeLargest(),
    close: () => relay.close(),
  };
}
