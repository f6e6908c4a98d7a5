/**
 * A WebSocket client on a bare TCP socket, stripped to what a load needs: it walks over the frames and copies none, so
 * that thousands of them cost little beside the server under test.
 */
import { connect, type Socket } from 'node:net';

/** What a client does with what comes. Frames are valid only during the call. */
export interface FrameListener {
  /** The server has accepted the upgrade. */
  opened(): void;
  text(data: Buffer, from: number, to: number): void;
  binary(data: Buffer, from: number, to: number): void;
  /** The connection could not be made, or is gone. */
  ended(error: Error): void;
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** All clients of this process read into it; what is left over between two reads is copied. */
const readBuffer = Buffer.allocUnsafe(256 * 1024);
const HEADER_END = Buffer.from('\r\n\r\n');

export class BareWebSocket {
  readonly #socket: Socket;
  readonly #listener: FrameListener;
  #upgraded = false;
  #rest: Buffer | undefined;
  #corked = false;

  /** `path` is relative to the address's root and may carry a query. */
  constructor(url: string, path: string, listener: FrameListener) {
    const { hostname, port, host } = new URL(url);
    this.#listener = listener;
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
    this.#socket.on('error', (error) => listener.ended(error));
    this.#socket.on('close', () => listener.ended(new Error('The connection was closed')));
    this.#socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  }

  sendText(text: string): void {
    this.#send(TEXT, Buffer.from(text));
  }

  sendBinary(bytes: Uint8Array): void {
    this.#send(BINARY, bytes);
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  /** Reads no more. */
  pause(): void {
    this.#socket.pause();
  }

  /** Resolves when the connection is gone. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve();
      else this.#socket.once('close', () => resolve()).destroy();
    });
  }

  /** One masked frame; a mask of zeros leaves the bytes as they are. What is sent in one turn is written at once. */
  #send(opcode: number, bytes: Uint8Array): void {
    const size = bytes.length;
    const lengthSize = size < 126 ? 0 : size < 65_536 ? 2 : 8;
    const headerSize = 6 + lengthSize;
    const frame = Buffer.allocUnsafe(headerSize + size).fill(0, 0, headerSize);
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (lengthSize === 0 ? size : lengthSize === 2 ? 126 : 127);
    if (lengthSize === 2) frame.writeUInt16BE(size, 2);
    else if (lengthSize === 8) frame.writeUInt32BE(size, 6);
    frame.set(bytes, headerSize);
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(frame);
  }

  #read(chunk: Buffer): void {
    const data = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    if (!this.#upgraded) {
      const end = data.indexOf(HEADER_END);
      if (end < 0) {
        this.#rest = Buffer.from(data);
        return;
      }
      if (!data.includes(' 101 ')) this.#listener.ended(new Error(data.toString('latin1', 0, end)));
      this.#upgraded = true;
      at = end + HEADER_END.length;
      this.#listener.opened();
    }
    while (data.length - at >= 2) {
      const short = (data[at + 1] as number) & 0x7f;
      const headerSize = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (data.length - at < headerSize) break;
      const size = short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : data.readUInt32BE(at + 6);
      if (data.length - at < headerSize + size) break;
      this.#frame((data[at] as number) & 0x0f, data, at + headerSize, at + headerSize + size);
      at += headerSize + size;
    }
    // The buffer is read into again at once, so the rest must not stay in it.
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : undefined;
  }

  #frame(opcode: number, data: Buffer, from: number, to: number): void {
    if (opcode === BINARY) this.#listener.binary(data, from, to);
    else if (opcode === TEXT) this.#listener.text(data, from, to);
    else if (opcode === PING) this.#send(PONG, data.subarray(from, to));
    else if (opcode === CLOSE) {
      const code = to - from >= 2 ? data.readUInt16BE(from) : 0;
      this.#listener.ended(new Error(`Closed with ${code} ${data.toString('utf8', from + 2, to)}`));
    }
  }
}
