/**
 * The way out of one connection: what its client does not read waits here up to a limit. Its opening is not counted, and
 * awareness is left out first.
 */
import type { Socket as TcpSocket } from 'node:net';
import type { WebSocket } from 'ws';
import { LIMITS } from '../../protocol/index.ts';
import { awarenessFrame, QUIET_FRAME, SYNCED_FRAME, updateHead } from './yjs-messages.ts';

export interface YjsOutletDeps {
  /** Milliseconds of a clock that is never set back. */
  clock: () => number;
  /** Everybody who is there or has gone lately, for a client that has missed something. */
  everything: () => Uint8Array | undefined;
  /** Too much waits. */
  onSlow: (waitingBytes: number) => void;
}

const OPEN = 1;
/** Well before those who wait for a word give up. */
const QUIET_MS = LIMITS.yjsQuietMs - 5_000;

export class YjsOutlet {
  readonly #ws: WebSocket;
  readonly #deps: YjsOutletDeps;
  #sentAtMs: number;
  #openingBytes = 0;
  /** How long a large opening may take. */
  #openingUntilMs = 0;
  #missedAwareness = false;
  #ended = false;

  constructor(ws: WebSocket, deps: YjsOutletDeps) {
    this.#ws = ws;
    this.#deps = deps;
    this.#sentAtMs = deps.clock();
  }

  /** What has not been taken yet. */
  get waitingBytes(): number {
    return this.#tcp?.writableLength ?? 0;
  }

  /** A large opening may still be on its way, and pings stand behind it. */
  get isOpening(): boolean {
    return this.#deps.clock() < this.#openingUntilMs;
  }

  /** Everything there is; who has it is synced. */
  open(updates: readonly Uint8Array[]): void {
    for (const update of updates) {
      const head = updateHead(update);
      this.#openingBytes += head.byteLength + update.byteLength;
      this.#write(head);
      this.#write(update);
    }
    if (this.#openingBytes > LIMITS.outboundLargeBytes) {
      this.#openingUntilMs = this.#deps.clock() + LIMITS.outboundLargeMs;
    }
    this.#write(SYNCED_FRAME, () => {
      this.#openingBytes = 0;
    });
  }

  /** The client has answered a ping, which came after the opening. */
  answered(): void {
    this.#openingUntilMs = 0;
  }

  send(frame: Buffer): void {
    if (this.#ended) return;
    this.#write(frame);
    if (this.#isOver) setImmediate(() => this.#judge());
  }

  /** As `send`, of what newer states replace. */
  sendAwareness(update: Uint8Array): void {
    if (this.#missedAwareness || this.waitingBytes > this.#openingBytes + LIMITS.outboundBytes / 2) {
      this.#missedAwareness = true;
      return;
    }
    this.send(awarenessFrame(update));
  }

  /** Once a second. */
  tick(): void {
    if (this.#missedAwareness && this.waitingBytes < LIMITS.outboundBytes / 4) {
      this.#missedAwareness = false;
      const everything = this.#deps.everything();
      if (everything) this.send(awarenessFrame(everything));
    }
    if (this.#deps.clock() - this.#sentAtMs >= QUIET_MS) this.send(QUIET_FRAME);
    if (this.#openingBytes > 0 && !this.isOpening) {
      this.#openingBytes = 0;
      this.#judge();
    }
  }

  /** Nothing more is sent. */
  end(): void {
    this.#ended = true;
  }

  /** Given up if too much still waits once the system has taken what it can. */
  #judge(): void {
    if (!this.#ended && this.#isOver) this.#deps.onSlow(this.waitingBytes);
  }

  get #isOver(): boolean {
    return this.waitingBytes > this.#openingBytes + LIMITS.outboundBytes;
  }

  /** Frames are made already and nothing is compressed, so `ws` would only pass them on. */
  #write(frame: Uint8Array, done?: () => void): void {
    if (this.#ws.readyState !== OPEN) return;
    this.#sentAtMs = this.#deps.clock();
    this.#tcp?.write(frame, done);
  }

  /** Not public, as for Socket.IO's sockets: the only way past a copy for each, and to what waits. */
  get #tcp(): TcpSocket | undefined {
    return (this.#ws as unknown as { _socket?: TcpSocket | null })._socket ?? undefined;
  }
}
