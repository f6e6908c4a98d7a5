/**
 * The way out of one socket. What its client does not take waits here and is measured: a client that reads too slowly
 * first loses the states that newer ones replace, and is ended when too much waits. One large packet at a time is let
 * through beside that measure, so that opening a document is no crime on a slow line.
 */
import type { Socket as TcpSocket } from 'node:net';
import { LIMITS } from '../protocol/index.ts';
import { Batch, type RoomEvent } from './batch.ts';
import type { Backlog, EngineOptions, EnginePacket, EngineSocket, Part } from './engine.ts';
import { textFrame } from './websocket-frame.ts';

const HALF_BYTES = LIMITS.outboundBytes / 2;
const HALF_PACKETS = LIMITS.outboundPackets / 2;
/** Held back states are sent when no more than this waits. */
const DRAINED_BYTES = LIMITS.outboundBytes / 4;
/** As long as no more than this waits, its parts are not counted: they cannot be too many. */
const UNCOUNTED_BYTES = 16 * 1024;
const OPEN = 1;
const NOTHING = Buffer.alloc(0);

export interface OutletOwner {
  /** More waits than is allowed: look again once the connection has had its turn. */
  suspect(outlet: Outlet): void;
  /** What is written to the connection in this turn leaves together, at its end. */
  gather(tcp: TcpSocket): void;
  /** The client has been given up. */
  ended(conn: EngineSocket, backlog: Backlog): void;
}

/** What exists only while something is held back. */
interface Held {
  /** The newest states that were skipped, by room and name. */
  latest: Map<string, RoomEvent>;
  /** Everything from the first large packet on that has to wait. */
  line: Part[];
  /** Of the large packets in line. */
  largeBytes: number;
  /** Of the others. */
  smallBytes: number;
  /** The large packet that is on its way. */
  draining: { bytes: number; timer: NodeJS.Timeout } | undefined;
  /** Whether we are told when the connection has taken what it has. */
  awaited: boolean;
  /** Who waits until the client has taken everything. */
  onTaken: (() => void)[];
}

export class Outlet {
  readonly #conn: EngineSocket;
  readonly #owner: OutletOwner;
  #held: Held | undefined;
  /** Long-polling: connections whose answers may not have been read yet. */
  #responses: Set<TcpSocket> | undefined;

  constructor(conn: EngineSocket, owner: OutletOwner) {
    this.#conn = conn;
    this.#owner = owner;
    if (!conn.transport.socket) conn.transport.on('headers', (_headers, { socket }) => this.#responded(socket));
  }

  /** Sends a room's events. This is the hot path: a socket that keeps up costs one write and four comparisons. */
  deliver(batch: Batch): void {
    if (this.#conn.readyState !== 'open') return;
    const tcp = batch.sizeBytes <= LIMITS.outboundLargeBytes ? this.#direct() : undefined;
    if (tcp) {
      tcp.write(batch.bytes);
      return;
    }
    const kept = batch.replaceable && this.#isBehind() ? this.#holdLatest(batch) : batch;
    if (kept.events.length > 0) for (const part of kept.parts) this.#put(part);
    this.#measure();
  }

  /** Sends a packet of this socket alone: an answer, `hello`. */
  send(data: string | Buffer, options: EngineOptions, done?: () => void): void {
    const conn = this.#conn;
    // A UTF-16 unit has at most three bytes, so most packets need not be measured.
    if (this.#held === undefined && data.length * 3 <= LIMITS.outboundLargeBytes) {
      const tcp = typeof data === 'string' && !options.wsPreEncodedFrame && !done ? this.#direct() : undefined;
      if (tcp) {
        // Answers of one turn leave together, and with the room events of that turn.
        this.#owner.gather(tcp);
        tcp.write(textFrame(`4${data as string}`));
        return;
      }
      conn.send(data, options, done);
      if (conn.writeBuffer.length > 0) this.#measure();
      return;
    }
    if (conn.readyState !== 'open') return;
    this.#put(new SinglePacket(data, options, done));
    this.#measure();
  }

  /** Large packets that wait. */
  get waitingBytes(): number {
    return this.#held?.largeBytes ?? 0;
  }

  /** What waits, without the one large packet that is on its way. */
  get backlog(): Backlog {
    const { writeBuffer, transport } = this.#conn;
    let bytes = this.#unsentBytes() + bytesOf(writeBuffer);
    let packets = writeBuffer.length + (transport.socket?._socket ? waitingWrites(transport.socket._socket) : 0);
    if (this.#held) {
      const { draining, smallBytes, line } = this.#held;
      bytes = Math.max(0, bytes - (draining?.bytes ?? 0)) + smallBytes;
      packets += line.length;
    }
    return { bytes, packets };
  }

  /** All that is kept for this socket. */
  get totalBytes(): number {
    const { smallBytes = 0, largeBytes = 0 } = this.#held ?? {};
    return this.#unsentBytes() + bytesOf(this.#conn.writeBuffer) + smallBytes + largeBytes;
  }

  /** Whether more waits than is allowed. */
  get isOver(): boolean {
    const { bytes, packets } = this.backlog;
    return (
      bytes > LIMITS.outboundBytes ||
      packets > LIMITS.outboundPackets ||
      this.waitingBytes > LIMITS.outboundWaitingBytes + LIMITS.packetBytes
    );
  }

  /** Ends the connection at once, and what the system keeps for it: an orderly close would wait for the reader. */
  end(): void {
    const { backlog } = this;
    clearInterval(this.#held?.draining?.timer);
    const conn = this.#conn;
    const tcp = conn.transport.socket?._socket;
    this.#owner.ended(conn, backlog);
    if (tcp) tcp.resetAndDestroy();
    else conn.close(true);
    for (const socket of this.#responses ?? []) socket.resetAndDestroy();
  }

  /**
   * The connection, if complete frames may be written to it now: engine.io and ws would only pass them on, at a quarter
   * of the cost of a delivery. Undefined if one would overtake what engine.io still has, or come between a packet and
   * its attachments.
   */
  #direct(): TcpSocket | undefined {
    const { readyState, transport, writeBuffer } = this.#conn;
    const ws = transport.socket;
    const tcp = ws?._socket;
    if (!tcp || readyState !== 'open' || ws.readyState !== OPEN || this.#held !== undefined) return undefined;
    return writeBuffer.length === 0 && tcp.writableLength <= UNCOUNTED_BYTES ? tcp : undefined;
  }

  /** In order with everything before it. */
  #put(part: Part): void {
    const held = this.#held;
    if ((held && held.line.length > 0) || (part.large && !this.#isEmpty())) this.#queue(part);
    else if (part.large) this.#sendLarge(part);
    else part.send(this.#conn);
  }

  #queue(part: Part): void {
    const held = this.#hold();
    held.line.push(part);
    if (part.large) held.largeBytes += part.sizeBytes;
    else held.smallBytes += part.sizeBytes;
    this.#await();
  }

  #sendLarge(part: Part): void {
    const held = this.#hold();
    const until = performance.now() + LIMITS.outboundLargeMs;
    const timer = setInterval(() => {
      if (this.#conn.readyState === 'closed') clearInterval(timer);
      else if (performance.now() > until) this.end();
      // Its pings stand behind the packet.
      else this.#conn.pingTimeoutTimer?.refresh();
    }, LIMITS.pingTimeoutMs / 2).unref();
    held.draining = { bytes: part.sizeBytes, timer };
    part.send(this.#conn, () => this.#largeLeft());
  }

  #largeLeft(): void {
    const { draining } = this.#held ?? {};
    if (!draining) return;
    // An answer to a poll is only on its way then.
    if (this.#polls && this.#unsentBytes() > 0 && this.#conn.readyState !== 'closed') {
      this.#await();
      return;
    }
    clearInterval(draining.timer);
    if (this.#held) this.#held.draining = undefined;
    this.#advance();
  }

  /** Keeps the newest of the states that the batch tells, and gives the rest of it. */
  #holdLatest(batch: Batch): Batch {
    const { latest } = this.#hold();
    for (const event of batch.events) {
      if (event.latest === undefined) continue;
      const key = `${event.room}\n${event.latest}`;
      latest.delete(key);
      latest.set(key, event);
      const [oldest] = latest.keys();
      if (latest.size > LIMITS.outboundStates && oldest !== undefined) latest.delete(oldest);
    }
    this.#await();
    return batch.lasting;
  }

  /** Calls once, when the client has taken what is kept now. */
  onTaken(listener: () => void): void {
    this.#hold().onTaken.push(listener);
    if (!this.#held?.draining) this.#await();
  }

  /** Forgets the states of a room that the socket has left. */
  left(room: string): void {
    for (const [key, event] of this.#held?.latest ?? []) if (event.room === room) this.#held?.latest.delete(key);
  }

  #hold(): Held {
    this.#held ??= {
      latest: new Map(),
      line: [],
      largeBytes: 0,
      smallBytes: 0,
      draining: undefined,
      awaited: false,
      onTaken: [],
    };
    return this.#held;
  }

  /** Asks to be told when the connection has taken all that it has now. */
  #await(): void {
    const held = this.#hold();
    if (held.awaited) return;
    held.awaited = true;
    const told = (): void => {
      held.awaited = false;
      if (this.#conn.readyState === 'open') this.#advance();
    };
    const { transport, writeBuffer } = this.#conn;
    const tcp = transport.socket ? transport.socket._socket : this.#unread();
    // An empty write is done when everything before it is; `drain` comes only after a certain length.
    if (tcp && tcp.writableLength > 0) tcp.write(NOTHING, told);
    else if (writeBuffer.length > 0) this.#conn.once('drain', () => setImmediate(told));
    else setImmediate(told);
  }

  /** Sends what can go now. */
  #advance(): void {
    const held = this.#held;
    if (!held) return;
    if (held.draining && this.#polls && this.#unsentBytes() === 0) {
      clearInterval(held.draining.timer);
      held.draining = undefined;
    }
    while (held.line[0] && !held.draining) {
      const [part] = held.line;
      if (part.large && !this.#isEmpty()) break;
      held.line.shift();
      if (part.large) {
        held.largeBytes -= part.sizeBytes;
        this.#sendLarge(part);
      } else {
        held.smallBytes -= part.sizeBytes;
        part.send(this.#conn);
      }
    }
    if (held.latest.size > 0 && held.line.length === 0 && this.backlog.bytes <= DRAINED_BYTES) {
      const states = [...held.latest.values()];
      held.latest.clear();
      new Batch(states).send(this.#conn);
    }
    if (held.line.length > 0 || held.latest.size > 0 || held.draining) {
      if (!held.draining || this.#polls) this.#await();
      return;
    }
    this.#held = undefined;
    // They may well give this socket more at once.
    for (const tell of held.onTaken) tell();
  }

  #measure(): void {
    if (this.isOver) this.#owner.suspect(this);
  }

  #isBehind(): boolean {
    const { bytes, packets } = this.backlog;
    return bytes > HALF_BYTES || packets > HALF_PACKETS;
  }

  get #polls(): boolean {
    return this.#conn.transport.socket === undefined;
  }

  #isEmpty(): boolean {
    return this.#conn.writeBuffer.length === 0 && !this.#held?.draining && this.#unsentBytes() === 0;
  }

  /** What the transport has taken and the system has not. */
  #unsentBytes(): number {
    const { socket } = this.#conn.transport;
    if (socket) return socket._socket?.writableLength ?? 0;
    let bytes = 0;
    for (const response of this.#responses ?? []) bytes += response.writableLength;
    return bytes;
  }

  #unread(): TcpSocket | undefined {
    for (const response of this.#responses ?? []) if (response.writableLength > 0) return response;
    return undefined;
  }

  #responded(socket: TcpSocket): void {
    this.#responses ??= new Set();
    for (const known of this.#responses) if (known.writableLength === 0) this.#responses.delete(known);
    this.#responses.add(socket);
  }
}

/** A packet as Socket.IO gives it to engine.io. */
class SinglePacket implements Part {
  readonly sizeBytes: number;
  readonly large: boolean;
  readonly #data: string | Buffer;
  readonly #options: EngineOptions;
  readonly #done: (() => void) | undefined;

  constructor(data: string | Buffer, options: EngineOptions, done: (() => void) | undefined) {
    this.#data = data;
    this.#options = options;
    this.#done = done;
    this.sizeBytes = Buffer.byteLength(data);
    this.large = this.sizeBytes > LIMITS.outboundLargeBytes;
  }

  send(conn: EngineSocket, done?: () => void): void {
    conn.send(this.#data, this.#options, () => {
      this.#done?.();
      done?.();
    });
  }
}

/** How much of an array of waiting packets has been counted. It only grows until engine.io replaces it. */
const counted = new WeakMap<readonly EnginePacket[], Backlog>();

/** Each packet is looked at once, however often this is asked. */
function bytesOf(waiting: readonly EnginePacket[]): number {
  if (waiting.length === 0) return 0;
  let count = counted.get(waiting);
  if (!count) {
    count = { bytes: 0, packets: 0 };
    counted.set(waiting, count);
  }
  for (; count.packets < waiting.length; count.packets++) {
    const { data, options } = waiting[count.packets] as EnginePacket;
    if (options.wsPreEncodedFrame) for (const frame of options.wsPreEncodedFrame) count.bytes += frame.length;
    else if (data !== undefined) count.bytes += Buffer.byteLength(data);
  }
  return count.bytes;
}

/** Writes that the system has not been given yet. Not public; without it only bytes are counted. */
const waitingWrites = (tcp: TcpSocket): number =>
  (tcp as unknown as { _writableState?: { bufferedRequestCount?: number } })._writableState?.bufferedRequestCount ?? 0;
