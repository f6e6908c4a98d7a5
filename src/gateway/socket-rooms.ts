/** The gateway's form of the `Rooms` port: validated, typed emits and local membership. */
import type { Namespace } from 'socket.io';
import type { EventMap, Room, Rooms, Target } from '../protocol/index.ts';
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

  return {
    emit(room, event, data) {
      try {
        if (options.checkEvents) events[event]?.data.parse(data);
        adapter.enqueue(room, event, data);
      } catch (error) {
        options.onBug(error, { event, room });
      }
    },
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
  };
}
