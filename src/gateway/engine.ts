/** engine.io's sockets, as far as delivery uses them. */
import type { Socket as TcpSocket } from 'node:net';
import type { Socket } from 'socket.io';
import type { Outlet } from './outlet.ts';

export interface EngineOptions {
  wsPreEncodedFrame?: readonly Buffer[];
}

export interface EnginePacket {
  data?: string | Uint8Array;
  options: EngineOptions;
}

export interface EngineSocket {
  readonly readyState: 'opening' | 'open' | 'closing' | 'closed';
  readonly transport: EngineTransport;
  /** Packets that the transport has not taken yet; a new array whenever it has taken them. */
  readonly writeBuffer: readonly EnginePacket[];
  /** Runs while a ping is unanswered. */
  readonly pingTimeoutTimer: NodeJS.Timeout | null;
  /** How Socket.IO writes; ours, see `Outlets`. */
  write(data: string | Buffer, options?: EngineOptions, done?: () => void): unknown;
  /** engine.io's own form of `write`. */
  send(data: string | Buffer, options?: EngineOptions, done?: () => void): unknown;
  close(discard?: boolean): void;
  once(event: 'drain', listener: () => void): unknown;
  outlet?: Outlet;
}

export interface EngineTransport {
  readonly name: string;
  /** Only where the transport is a websocket. */
  readonly socket?: WebSocketLike;
  /** Long-polling: an answer begins. */
  on(event: 'headers', listener: (headers: unknown, request: { socket: TcpSocket }) => void): unknown;
}

export interface WebSocketLike {
  readonly readyState: number;
  /** Not public, and the only way to what the connection still holds; engine.io itself writes to it. */
  readonly _socket?: TcpSocket | null;
}

/** What a socket's client has not taken yet. */
export interface Backlog {
  bytes: number;
  packets: number;
}

/** Something that leaves as a whole. */
export interface Part {
  readonly sizeBytes: number;
  /** It is one packet over `LIMITS.outboundLargeBytes`. */
  readonly large: boolean;
  send(conn: EngineSocket, done?: () => void): void;
}

/** The engine.io socket under one of Socket.IO's. */
export const engineOf = (socket: Socket): EngineSocket => socket.conn as unknown as EngineSocket;
