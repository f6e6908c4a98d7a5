/** The gateway's form of the `Rooms` port: validated, typed emits and local membership. */
import type { Namespace } from 'socket.io';
import type { EventMap, Packet, Room, Rooms, Session, Target } from '../protocol/index.ts';
import type { FanOutAdapter } from './fan-out-adapter.ts';

export interface SocketRoomsOptions {
  /** Parse every event against its schema; tests do. */
  checkEvents: boolean;
  onBug: (error: unknown, fields: Record<string, unknown>) => void;
}

export function createSocketRooms<E extends EventMap>(
  namespace: Namespace,
  events: E,
  options: SocketRoomsOptions,
): Rooms<E> {
  const adapter = namespace.adapter as FanOutAdapter;
  const socketIds = (target: Target): string[] =>
    'connectionId' in target ? [target.connectionId] : [...(adapter.rooms.get(target.room) ?? [])];

  const encode = (event: string, data: unknown): Packet | undefined => {
    try {
      if (options.checkEvents) events[event]?.data.parse(data);
      return adapter.encode(event, data);
    } catch (error) {
      options.onBug(error, { event });
      return undefined;
    }
  };
  const emitHere = (room: Room, event: string, data: unknown): void => {
    if (!adapter.rooms.has(room)) return;
    const packet = encode(event, data);
    if (packet) adapter.enqueue(room, packet);
  };

  return {
    emit: emitHere,
    emitHere,
    encode,
    deliver: (room, packet) => adapter.enqueue(room, packet),
    relay() {},
    onRelayed: () => () => {},
    async listening() {},
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
  };
}
