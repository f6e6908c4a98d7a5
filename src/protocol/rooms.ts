/**
 * The one way to people: features emit to rooms, the gateway delivers. Room names are composed here only,
 * from ids that were validated before.
 */
import type { EventData, EventMap } from './operation.ts';

export type Room =
  | `user:${string}`
  | `chat:${string}`
  | `chat-live:${string}`
  | `presence:${string}`
  | `project:${string}`
  | `doc:${string}`
  | `terminal:${string}`
  | `run:${string}`;

export const userRoom = (userId: string): Room => `user:${userId}`;
/** All members' sockets: messages, changes and AI streams. */
export const chatRoom = (chatId: string): Room => `chat:${chatId}`;
/** Sockets that have the chat open (`chat:join`): typing and receipts. */
export const chatLiveRoom = (chatId: string): Room => `chat-live:${chatId}`;
/** Sockets that watch a user's presence. */
export const presenceRoom = (userId: string): Room => `presence:${userId}`;

/** Either one socket or every socket in a room. */
export type Target = { connectionId: string } | { room: Room };

export interface Rooms<E extends EventMap = EventMap> {
  /**
   * To every socket of the room, in the order of the calls. `droppable`: may be skipped for a socket that reads slowly,
   * because a later event replaces it (typing, presence, cursors). Never throws: an event that cannot be sent is a bug,
   * which is reported and must not break what was done before it.
   */
  emit<K extends keyof E & string>(room: Room, event: K, data: EventData<E[K]>, options?: { droppable?: true }): void;
  join(target: Target, room: Room): void;
  leave(target: Target, room: Room): void;
  /** Whether a socket of this node is in the room. */
  has(room: Room): boolean;
  /** Sockets of this node in the room. */
  size(room: Room): number;
  /** Rooms of one kind that a socket of this node is in, by prefix (`chat`). */
  of(connectionId: string, prefix: string): Room[];
}
