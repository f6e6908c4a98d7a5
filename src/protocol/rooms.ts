/**
 * The one way to people: features emit to rooms, the gateway delivers. Room names are composed here only,
 * from ids that were validated before.
 */
import type { EventData, EventMap } from './operation.ts';

export type Room =
  | 'everyone:all'
  | `user:${string}`
  | `chat:${string}`
  | `chat-live:${string}`
  | `presence:${string}`
  | `project:${string}`
  | `doc:${string}`
  | `doc-watch:${string}`
  | `terminal:${string}`
  | `run:${string}`;

/** Every socket of every node, from its connection on. */
export const EVERYONE: Room = 'everyone:all';
export const userRoom = (userId: string): Room => `user:${userId}`;
/** All members' sockets: messages, changes and AI streams. */
export const chatRoom = (chatId: string): Room => `chat:${chatId}`;
/** Sockets that have the chat open (`chat:join`): typing and receipts. */
export const chatLiveRoom = (chatId: string): Room => `chat-live:${chatId}`;
/** Sockets that watch a user's presence. */
export const presenceRoom = (userId: string): Room => `presence:${userId}`;
/** Members' sockets: what happens in the project. */
export const projectRoom = (projectId: string): Room => `project:${projectId}`;

/** Sockets that have a text file open as a document (`doc:open`): its updates and awareness. */
export const docRoom = (fileId: string): Room => `doc:${fileId}`;
/** Sockets that watch a text file as plain JSON (`doc:watch`). */
export const docWatchRoom = (fileId: string): Room => `doc-watch:${fileId}`;
/** Sockets that hear of a run (`code:run`): its output and its end. */
export const runRoom = (runId: string): Room => `run:${runId}`;
/** Sockets that are attached to a terminal: its size. Its output goes to each at its own pace (`deliverTo`). */
export const terminalRoom = (terminalId: string): Room => `terminal:${terminalId}`;

/** Either one socket or every socket in a room. */
export type Target = { connectionId: string } | { room: Room };

/** An event as it goes over the wire: made once, delivered to many. Its text, then its binary attachments. */
export type Packet = readonly (string | Uint8Array)[];

/** What other nodes have made of a room's log; without a packet it was too large to travel and is to be read there. */
export type RelayedListener = (room: Room, position: number, packet: Packet | undefined) => void;

/** What another node tells of a room. */
export type ToldListener = (room: Room, words: Packet) => void;

export interface EmitOptions {
  /**
   * Names a state that each event of this name replaces (typing of somebody, a cursor). A socket that reads slowly is
   * skipped; once it has caught up it gets the newest one only.
   */
  latest?: string;
  /** Sockets that are also in one of these rooms get nothing. */
  except?: readonly Room[];
}

/**
 * Events that cannot be sent are bugs: they are reported and never break what was done before them, so nothing here
 * throws.
 */
export interface Rooms<E extends EventMap = EventMap> {
  /** To every socket of the room on every node, in the order of this node's calls. */
  emit<K extends keyof E & string>(room: Room, event: K, data: EventData<E[K]>, options?: EmitOptions): void;
  /** To the sockets of this node only: for what every node finds out by itself. */
  emitHere<K extends keyof E & string>(room: Room, event: K, data: EventData<E[K]>, options?: EmitOptions): void;

  /**
   * To one socket of this node, if it is still there. At once, so it may overtake what was emitted to rooms in this
   * turn of the event loop.
   */
  send<K extends keyof E & string>(connectionId: string, event: K, data: EventData<E[K]>): void;

  /** For rooms with a log, whose events every node emits in the log's order: encodes one; undefined if that is impossible. */
  encode<K extends keyof E & string>(event: K, data: EventData<E[K]>): Packet | undefined;
  /** To the sockets of this node, in the order of the calls, those of `emit` among them. */
  deliver(room: Room, packet: Packet): void;
  /** To these sockets of this node, those that are still there, at once: what others in a room may have at another time. */
  deliverTo(connectionIds: readonly string[], packet: Packet): void;
  /** Bytes kept for a socket of this node that its client has not taken yet; undefined when it is gone. */
  waitingBytes(connectionId: string): number | undefined;
  /** Calls once, when the socket's client has taken what is kept for it now; not if the socket goes before. */
  onTaken(connectionId: string, listener: () => void): void;
  /** Tells the other nodes what stands at `position` of the room's log. May be lost. */
  relay(room: Room, position: number, packet: Packet): void;
  /** Hears what other nodes relay to rooms of one kind (`chat`) that are open here. Returns how to stop. */
  onRelayed(prefix: string, listener: RelayedListener): () => void;
  /**
   * Tells the other nodes what is no event but a feature's own (states, questions), in the order of the calls and of
   * what is relayed to the room. May be lost.
   */
  tell(room: Room, words: Packet): void;
  /** Hears what other nodes tell of rooms of one kind that are open here. Returns how to stop. */
  onTold(prefix: string, listener: ToldListener): () => void;
  /**
   * Opens the room on this node as a socket in it does, for what is in it without one: what other nodes relay and tell
   * is heard. Returns how to let go.
   */
  hold(room: Room): () => void;
  /** Resolves when what other nodes emit and relay to the room from now on reaches its sockets here. Never rejects. */
  listening(room: Room): Promise<void>;

  join(target: Target, room: Room): void;
  leave(target: Target, room: Room): void;
  /** Whether a socket of this node is in the room. */
  has(room: Room): boolean;
  /** Sockets of this node in the room. */
  size(room: Room): number;
  /** Rooms of one kind that a socket of this node is in, by prefix (`chat`). */
  of(connectionId: string, prefix: string): Room[];
  /** The sockets of this node in the room. */
  connections(room: Room): { id: string; userId: string }[];
}
