/**
 * A Socket.IO v5-protocol client on a bare TCP socket, stripped to what a load needs: it walks over the WebSocket frames
 * and parses only acks, so that thousands of them cost little beside the server under test.
 */
import { connect, type Socket } from 'node:net';

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

/** All clients of this process read into it; what is left over between two reads is copied. */
const readBuffer = Buffer.allocUnsafe(256 * 1024);
const HEADER_END = Buffer.from('\r\n\r\n');
const HELLO = Buffer.from('42["hello"');

export class LoadClient {
  readonly member: Member;
  /** Resolves when events arrive. */
  readonly ready: Promise<void>;
  /** Events so far. */
  events = 0;
  readonly #socket: Socket;
  readonly #acks = new Map<number, (answer: unknown) => void>();
  #settle: { ready: () => void; refused: (error: Error) => void };
  #nextAck = 0;
  #alive: NodeJS.Timeout | undefined;
  #upgraded = false;
  #rest: Buffer | undefined;
  #onEvent: ((payload: Buffer) => void) | undefined;

  constructor(member: Member) {
    this.member = member;
    const { hostname, port, host } = new URL(member.url);
    let settle = { ready: (): void => {}, refused: (_error: Error): void => {} };
    this.ready = new Promise((ready, refused) => {
      settle = { ready, refused };
    });
    this.#settle = settle;
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (size, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, size));
          return true;
        },
      },
    });
    this.#socket.on('error', settle.refused);
    this.#socket.on('close', () => settle.refused(new Error('The connection was closed')));
    this.#socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  }

  /** Sends an operation and resolves with its answer. */
  call(name: string, input: unknown): Promise<unknown> {
    const id = this.#nextAck++;
    return new Promise((resolve) => {
      this.#acks.set(id, resolve);
      this.#send(`42${id}${JSON.stringify([name, input])}`);
    });
  }

  /** Sets what is done with each event besides counting it. The payload is valid only during the call. */
  listen(onEvent: ((payload: Buffer) => void) | undefined): void {
    this.#onEvent = onEvent;
  }

  /** Reads no more, but says every second that it is there, as the worst of clients does. */
  stopReading(): void {
    this.#socket.pause();
    this.#alive = setInterval(() => this.#send('3'), 1_000).unref();
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Resolves when the connection is gone. */
  close(): Promise<void> {
    clearInterval(this.#alive);
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once('close', () => resolve()).destroy();
    });
  }

  /** One masked text frame; a mask of zeros leaves the text as it is. */
  #send(text: string): void {
    const size = Buffer.byteLength(text);
    const headerSize = size < 126 ? 6 : 8;
    if (size > 65_535) throw new Error('The load sends no large messages');
    const frame = Buffer.alloc(headerSize + size);
    frame[0] = 0x81;
    frame[1] = 0x80 | (size < 126 ? size : 126);
    if (size >= 126) frame.writeUInt16BE(size, 2);
    frame.write(text, headerSize);
    this.#socket.write(frame);
  }

  #read(chunk: Buffer): void {
    const data = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    if (!this.#upgraded) {
      const end = data.indexOf(HEADER_END);
      if (end >= 0 && !data.includes(' 101 ')) this.#settle.refused(new Error(data.toString('latin1', 0, end)));
      this.#upgraded = end >= 0;
      at = this.#upgraded ? end + HEADER_END.length : data.length;
    }
    while (data.length - at >= 2) {
      const short = (data[at + 1] as number) & 0x7f;
      const headerSize = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (data.length - at < headerSize) break;
      const size = short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : data.readUInt32BE(at + 6);
      if (data.length - at < headerSize + size) break;
      this.#frame(data, at + headerSize, at + headerSize + size);
      at += headerSize + size;
    }
    // The buffer is read into again at once, so the rest must not stay in it.
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : undefined;
  }

  #frame(data: Buffer, from: number, to: number): void {
    const kind = data[from];
    if (kind === PING) this.#send('3');
    else if (kind === OPEN) this.#send(`40${JSON.stringify(this.member.auth)}`);
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
