/**
 * Somebody who has a document open, over y-websocket's protocol, hocuspocus' variant of it, or Socket.IO. Only what
 * opening needs is understood; updates are counted, and handed out as bytes to whoever asks.
 */
import * as Y from 'yjs';
import { BareWebSocket } from '../bare-web-socket.ts';

export interface DocumentClient {
  /** Resolves when the server has sent all that it had. */
  readonly opened: Promise<void>;
  /** What it had, until it is asked for. */
  takeState(): Uint8Array[];
  /** Of updates that came after. */
  readonly updateBytes: number;
  send(update: Uint8Array): void;
  /** Sets what is done with each update besides counting it. The bytes are valid only during the call. */
  listen(onUpdate: ((update: Uint8Array) => void) | undefined): void;
  close(): Promise<void>;
}

/** What all of them keep. */
abstract class Base {
  readonly opened: Promise<void>;
  updateBytes = 0;
  protected isOpened = false;
  protected state: Uint8Array[] = [];
  #settle = { opened: (): void => {}, refused: (_error: Error): void => {} };
  #onUpdate: ((update: Uint8Array) => void) | undefined;
  #closing = false;

  constructor() {
    this.opened = new Promise((opened, refused) => {
      this.#settle = { opened, refused };
    });
  }

  listen(onUpdate: ((update: Uint8Array) => void) | undefined): void {
    this.#onUpdate = onUpdate;
  }

  takeState(): Uint8Array[] {
    const { state } = this;
    this.state = [];
    return state;
  }

  close(): Promise<void> {
    this.#closing = true;
    return this.socket.close();
  }

  protected abstract readonly socket: BareWebSocket;

  protected ended(error: Error): void {
    this.#settle.refused(error);
    // A connection that is lost under load would only look like a fast server.
    if (this.isOpened && !this.#closing) throw error;
  }

  protected refuse(error: Error): void {
    this.#settle.refused(error);
  }

  protected open(): void {
    this.isOpened = true;
    this.#settle.opened();
  }

  /** Before it is opened an update is a part of the state. */
  protected update(data: Buffer, from: number, to: number): void {
    if (!this.isOpened) {
      this.state.push(Uint8Array.from(data.subarray(from, to)));
      return;
    }
    this.updateBytes += to - from;
    this.#onUpdate?.(data.subarray(from, to));
  }
}

const SYNC = 0;
const AUTH = 2;
/** Only hocuspocus says so, and waits for the first step then. */
const AUTHENTICATED = 2;
const STEP1 = 0;
const STEP2 = 1;
const UPDATE = 2;
/** Hocuspocus' own: a sync message that is not to be answered by a sync message of one's own. */
const SYNC_REPLY = 4;
/** No state: what is there must be sent. */
const NOTHING_YET = [1, 0];
/** An update without content. */
const NOTHING = [2, 0, 0];

export interface YjsAddress {
  url: string;
  /** Of the upgrade, with its query. */
  path: string;
  /** Hocuspocus names the document in every message, and wants to be told a token. */
  named?: string;
}

export class YjsClient extends Base implements DocumentClient {
  protected readonly socket: BareWebSocket;
  readonly #prefix: Uint8Array;
  readonly #updateHead: Uint8Array;

  constructor({ url, path, named }: YjsAddress) {
    super();
    this.#prefix = named === undefined ? Buffer.alloc(0) : Buffer.from([named.length, ...Buffer.from(named)]);
    this.#updateHead = Buffer.from([...this.#prefix, SYNC, UPDATE]);
    this.socket = new BareWebSocket(url, path, {
      opened: () => {
        // Type of the message, of the authentication, and an empty token.
        if (named !== undefined) this.#send(AUTH, 0, 0);
        else this.#send(SYNC, STEP1, ...NOTHING_YET);
      },
      text() {},
      binary: (data, from, to) => this.#message(data, from + this.#prefix.length, to),
      ended: (error) => this.ended(error),
    });
  }

  send(update: Uint8Array): void {
    const head = this.#updateHead;
    const size = sizeOf(update.length);
    const message = Buffer.allocUnsafe(head.length + size.length + update.length);
    message.set(head);
    message.set(size, head.length);
    message.set(update, head.length + size.length);
    this.socket.sendBinary(message);
  }

  #send(...bytes: number[]): void {
    this.socket.sendBinary(Buffer.from([...this.#prefix, ...bytes]));
  }

  #message(data: Buffer, from: number, to: number): void {
    const kind = data[from];
    if (kind === AUTH) {
      if (data[from + 1] === AUTHENTICATED) this.#send(SYNC, STEP1, ...NOTHING_YET);
      else this.refuse(new Error(data.toString('utf8', from + 2, to)));
      return;
    }
    if (kind !== SYNC && kind !== SYNC_REPLY) return;
    const step = data[from + 1];
    if (step === STEP1) this.#send(SYNC, STEP2, ...NOTHING);
    else if (step === STEP2 || step === UPDATE) {
      const start = afterSize(data, from + 2);
      this.update(data, start, to);
      if (step === STEP2 && !this.isOpened) this.open();
    }
  }
}

/** The length of a byte string, as lib0 writes it. */
function sizeOf(size: number): number[] {
  const bytes: number[] = [];
  let rest = size;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push(0x80 | (rest & 0x7f));
  bytes.push(rest);
  return bytes;
}

/** Where the bytes begin whose length stands here. */
function afterSize(data: Buffer, at: number): number {
  let start = at;
  while ((data[start++] as number) > 0x7f);
  return start;
}

const PING = 0x32;
const OPEN = 0x30;
const MESSAGE = 0x34;
const ACK = 0x33;
const CONNECT_ERROR = 0x34;
const BINARY_EVENT = 0x35;
const BINARY_ACK = 0x36;
const HELLO = Buffer.from('42["hello"');
const UPDATED = Buffer.from('451-["doc:updated"');

export interface SocketIoAddress {
  url: string;
  token: string;
  fileId: string;
  /** As our provider does it: one update is under way, and what is typed meanwhile makes up the next one. */
  gathers: boolean;
}

/** What binary frames belong to that come next. */
type Pending = 'nothing' | 'update' | 'state';

export class SocketIoClient extends Base implements DocumentClient {
  protected readonly socket: BareWebSocket;
  readonly #fileId: string;
  readonly #gathers: boolean;
  #isUnderWay = false;
  #gathered: Uint8Array[] = [];
  #pending: Pending = 'nothing';
  #pendingFrames = 0;
  #nextAck = 1;

  constructor({ url, token, fileId, gathers }: SocketIoAddress) {
    super();
    this.#fileId = fileId;
    this.#gathers = gathers;
    this.socket = new BareWebSocket(url, '/socket.io/?EIO=4&transport=websocket', {
      opened() {},
      text: (data, from, to) => {
        const kind = data[from];
        if (kind === PING) this.socket.sendText('3');
        else if (kind === OPEN) this.socket.sendText(`40${JSON.stringify({ token })}`);
        else if (kind === MESSAGE) this.#packet(data, from, to);
      },
      binary: (data, from, to) => this.#attachment(data, from, to),
      ended: (error) => this.ended(error),
    });
  }

  send(update: Uint8Array): void {
    if (this.#gathers && this.#isUnderWay) this.#gathered.push(update);
    else this.#write(update);
  }

  #write(update: Uint8Array): void {
    this.#isUnderWay = true;
    this.socket.sendText(
      `451-${this.#nextAck++}["doc:update",{"docId":"${this.#fileId}","update":{"_placeholder":true,"num":0}}]`,
    );
    this.socket.sendBinary(update);
  }

  #packet(data: Buffer, from: number, to: number): void {
    const type = data[from + 1];
    if (type === BINARY_EVENT) {
      this.#pending = startsWith(data, from, UPDATED) ? 'update' : 'nothing';
      this.#pendingFrames = Number.parseInt(data.toString('latin1', from + 2, from + 4), 10);
    } else if (type === BINARY_ACK) {
      // Only opening is answered with bytes: the state, and at last its state vector.
      this.#pending = 'state';
      this.#pendingFrames = Number.parseInt(data.toString('latin1', from + 2, from + 4), 10);
    } else if (type === ACK) {
      // An update that was refused would look like a fast server, too.
      if (data.subarray(from, to).includes('"ok":false')) {
        throw new Error(data.toString('utf8', from, to));
      }
      this.#isUnderWay = false;
      if (this.#gathered.length > 0) this.#write(Y.mergeUpdates(this.#gathered.splice(0)));
    } else if (type === CONNECT_ERROR) this.refuse(new Error(data.toString('utf8', from, to)));
    else if (startsWith(data, from, HELLO)) {
      this.socket.sendText(`420${JSON.stringify(['doc:open', { fileId: this.#fileId }])}`);
    }
  }

  #attachment(data: Buffer, from: number, to: number): void {
    this.#pendingFrames--;
    if (this.#pending === 'update') this.update(data, from, to);
    else if (this.#pending === 'state') {
      if (this.#pendingFrames > 0) this.update(data, from, to);
      else this.open();
    }
    if (this.#pendingFrames === 0) this.#pending = 'nothing';
  }
}

const startsWith = (data: Buffer, from: number, what: Buffer): boolean =>
  data.compare(what, 0, what.length, from, from + what.length) === 0;
