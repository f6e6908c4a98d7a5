/** Gives every socket its outlet, and ends those whose clients do not read. */
import type { Socket as TcpSocket } from 'node:net';
import type { Backlog, EngineSocket } from './engine.ts';
import { Outlet } from './outlet.ts';

export type SlowReaderListener = (conn: EngineSocket, backlog: Backlog) => void;

export class Outlets {
  readonly #onSlowReader: SlowReaderListener;
  /** Over their limit when last looked at. */
  readonly #suspects = new Set<Outlet>();
  readonly #gathering = new Set<TcpSocket>();
  #largest = 0;

  constructor(onSlowReader: SlowReaderListener) {
    this.#onSlowReader = onSlowReader;
  }

  /** From now on everything to the socket goes through its outlet. */
  attach(conn: EngineSocket): void {
    conn.outlet ??= new Outlet(conn, this);
    conn.write = write;
  }

  /** What is written to the connection in this turn of the event loop leaves together, at its end. */
  gather(tcp: TcpSocket): void {
    if (this.#gathering.has(tcp)) return;
    if (this.#gathering.size === 0) setImmediate(() => this.letGo());
    this.#gathering.add(tcp);
    tcp.cork();
  }

  /** What was gathered leaves now. */
  letGo(): void {
    for (const tcp of this.#gathering) tcp.uncork();
    this.#gathering.clear();
  }

  /** The most that has waited for one socket since this was asked last. */
  takeLargest(): number {
    const largest = this.#largest;
    this.#largest = 0;
    return largest;
  }

  /** More waits than is allowed. A client is given up if that is still so once the system has taken what it can. */
  suspect(outlet: Outlet): void {
    this.#note(outlet.backlog);
    if (this.#suspects.add(outlet).size === 1) setImmediate(() => this.#judge());
  }

  ended(conn: EngineSocket, backlog: Backlog): void {
    this.#note(backlog);
    this.#onSlowReader(conn, backlog);
  }

  #judge(): void {
    for (const outlet of this.#suspects) if (outlet.isOver) outlet.end();
    this.#suspects.clear();
  }

  #note({ bytes }: Backlog): void {
    this.#largest = Math.max(this.#largest, bytes);
  }
}

/** One function for all sockets: a closure for each would cost memory. */
function write(
  this: EngineSocket,
  data: string | Buffer,
  options: Parameters<EngineSocket['write']>[1] = {},
  done?: () => void,
): EngineSocket {
  this.outlet?.send(data, options, done);
  return this;
}
