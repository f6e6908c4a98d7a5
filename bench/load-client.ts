/**
 * A Socket.IO v5-protocol client stripped to what a load needs: it parses only acks, so that thousands of them cost
 * little beside the server under test.
 */
import { BareWebSocket } from './bare-web-socket.ts';

/** What a client brings along: where it connects and what it says at CONNECT. */
export interface Member {
  url: string;
  auth: object;
  /** The chat that it is a member of. */
  chatId: string;
  /** Whether it is in its rooms only when `hello` has come; else when CONNECT is answered. */
  hasHello: boolean;
}

const PING = 0x32;
const OPEN = 0x30;
const MESSAGE = 0x34;
const CONNECT = 0x30;
const EVENT = 0x32;
const ACK = 0x33;
const CONNECT_ERROR = 0x34;

const HELLO = Buffer.from('42["hello"');

export class LoadClient {
  readonly member: Member;
  /** Resolves when events arrive. */
  readonly ready: Promise<void>;
  /** Events so far. */
  events = 0;
  readonly #socket: BareWebSocket;
  readonly #acks = new Map<number, (answer: unknown) => void>();
  #settle: { ready: () => void; refused: (error: Error) => void };
  #nextAck = 0;
  #alive: NodeJS.Timeout | undefined;
  #onEvent: ((payload: Buffer) => void) | undefined;

  constructor(member: Member) {
    this.member = member;
    let settle = { ready: (): void => {}, refused: (_error: Error): void => {} };
    this.ready = new Promise((ready, refused) => {
      settle = { ready, refused };
    });
    this.#settle = settle;
    this.#socket = new BareWebSocket(member.url, '/socket.io/?EIO=4&transport=websocket', {
      opened() {},
      text: (data, from, to) => this.#frame(data, from, to),
      binary() {},
      ended: (error) => this.#settle.refused(error),
    });
  }

  /** Sends an operation and resolves with its answer. */
  call(name: string, input: unknown): Promise<unknown> {
    const id = this.#nextAck++;
    return new Promise((resolve) => {
      this.#acks.set(id, resolve);
      this.#socket.sendText(`42${id}${JSON.stringify([name, input])}`);
    });
  }

  /** Sets what is done with each event besides counting it. The payload is valid only during the call. */
  listen(onEvent: ((payload: Buffer) => void) | undefined): void {
    this.#onEvent = onEvent;
  }

  /** Reads no more, but says every second that it is there, as the worst of clients does. */
  stopReading(): void {
    this.#socket.pause();
    this.#alive = setInterval(() => this.#socket.sendText('3'), 1_000).unref();
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /** Resolves when the connection is gone. */
  close(): Promise<void> {
    clearInterval(this.#alive);
    return this.#socket.close();
  }

  #frame(data: Buffer, from: number, to: number): void {
    const kind = data[from];
    if (kind === PING) this.#socket.sendText('3');
    else if (kind === OPEN) this.#socket.sendText(`40${JSON.stringify(this.member.auth)}`);
    else if (kind === MESSAGE) this.#packet(data, from, to);
  }

  #packet(data: Buffer, from: number, to: number): void {
    const type = data[from + 1];
    if (type === EVENT) {
      if (this.member.hasHello && data.compare(HELLO, 0, HELLO.length, from, from + HELLO.length) === 0) {
        this.#settle.ready();
        return;
      }
      this.events++;
      this.#onEvent?.(data.subarray(from, to));
    } else if (type === ACK) {
      const text = data.toString('utf8', from + 2, to);
      const bracket = text.indexOf('[');
      const id = Number(text.slice(0, bracket));
      this.#acks.get(id)?.((JSON.parse(text.slice(bracket)) as unknown[])[0]);
      this.#acks.delete(id);
    } else if (type === CONNECT && !this.member.hasHello) this.#settle.ready();
    else if (type === CONNECT_ERROR) this.#settle.refused(new Error(data.toString('utf8', from, to)));
  }
}
