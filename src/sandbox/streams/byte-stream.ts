/**
 * One stream of a bulk link: bytes in both directions, or in one. Neither end sends more than the other has room for,
 * and what this one has taken is granted again as its reader takes it.
 */
import { Duplex } from 'node:stream';
import { AGENT_LIMITS, ProtocolError, type StreamMessage } from '../agent-protocol/index.ts';
import type { Source } from './sender.ts';

const { chunkBytes, streamBytes } = AGENT_LIMITS;
/** Granted by so much at once: fewer messages, and the sender never has to stop. */
const GRANT_BYTES = streamBytes / 2;

/** What this end does with a stream. */
export type Half = 'both' | 'read' | 'write';

export interface StreamOwner {
  /** There may be something to send. */
  wake(stream: ByteStream): void;
  /** Nothing more is to be said of it, but a reset where the other end does not know. */
  over(stream: ByteStream, isReset: boolean): void;
}

export class ByteStream extends Duplex implements Source<StreamMessage> {
  readonly number: number;
  readonly #owner: StreamOwner;
  #isOver = false;
  /** Bytes that the other end has room for. */
  #creditBytes: number = streamBytes;
  #unsent: Uint8Array | undefined;
  #onSent: ((error?: Error | null) => void) | undefined;
  #onFinished: ((error?: Error | null) => void) | undefined;
  #isFinishSent: boolean;
  /** What came and has not been asked for. */
  readonly #received: Uint8Array[] = [];
  #isWanted = false;
  /** Bytes that the other end may send, and those that were taken and have not been granted again. */
  #roomBytes: number = streamBytes;
  #takenBytes = 0;
  #isFinishReceived: boolean;

  constructor(number: number, half: Half, owner: StreamOwner) {
    const halves = { readable: half !== 'write', writable: half !== 'read' };
    // No more than one chunk counts as taken before it is.
    super({ ...halves, readableHighWaterMark: 1, writableHighWaterMark: chunkBytes });
    this.number = number;
    this.#owner = owner;
    this.#isFinishSent = half === 'read';
    this.#isFinishReceived = half === 'write';
    // A program in a sandbox resets streams as it likes: who does not listen for it need not fall.
    this.on('error', () => {});
  }

  /** One message: what was taken, else a piece of what was written, else its end. */
  next(): StreamMessage[] {
    const { number: stream } = this;
    if (this.#isOver) return [];
    if (this.#takenBytes >= GRANT_BYTES && !this.#isFinishReceived) {
      const bytes = this.#takenBytes;
      this.#takenBytes = 0;
      this.#roomBytes += bytes;
      return [{ type: 'more', stream, bytes }];
    }
    if (this.#unsent) {
      const data = this.#unsent.subarray(0, Math.min(chunkBytes, this.#creditBytes));
      if (data.length === 0) return [];
      this.#creditBytes -= data.length;
      const isAll = data.length === this.#unsent.length;
      this.#unsent = isAll ? undefined : this.#unsent.subarray(data.length);
      if (isAll) this.#settle('sent');
      return [{ type: 'data', stream, data }];
    }
    if (!this.#onFinished) return [];
    this.#isFinishSent = true;
    this.#endIfBoth();
    this.#settle('finished');
    return [{ type: 'finish', stream }];
  }

  /** Throws where the other end says what it may not. */
  receive(message: StreamMessage): void {
    switch (message.type) {
      case 'data':
        return this.#take(message.data);
      case 'finish':
        if (this.#isFinishReceived) throw new ProtocolError('message', 'A stream that ends twice');
        this.#isFinishReceived = true;
        this.#endIfBoth();
        return this.#deliver();
      case 'more':
        if (message.bytes === 0 || this.#creditBytes + message.bytes > streamBytes) {
          throw new ProtocolError('message', 'Room that cannot be');
        }
        this.#creditBytes += message.bytes;
        return this.#owner.wake(this);
      case 'reset':
        this.fail(new Error('The stream was reset'));
    }
  }

  /** The other end is not to be told, or knows. */
  fail(error: Error): void {
    this.#end(false);
    this.destroy(error);
  }

  override _write(chunk: Uint8Array, _encoding: string, onSent: (error?: Error | null) => void): void {
    // An empty frame would say nothing.
    if (chunk.length === 0) return onSent();
    this.#unsent = chunk;
    this.#onSent = onSent;
    this.#owner.wake(this);
  }

  override _writev(chunks: { chunk: Uint8Array }[], onSent: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', onSent);
  }

  override _final(onFinished: (error?: Error | null) => void): void {
    this.#onFinished = onFinished;
    this.#owner.wake(this);
  }

  override _read(): void {
    this.#isWanted = true;
    this.#deliver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#end(true);
    this.#received.length = 0;
    this.#unsent = undefined;
    const reason = error ?? new Error('The stream was closed');
    this.#settle('sent', reason);
    this.#settle('finished', reason);
    callback(error);
  }

  #take(data: Uint8Array): void {
    if (this.#isFinishReceived) throw new ProtocolError('message', 'More of a stream that has ended');
    if (data.length > this.#roomBytes) throw new ProtocolError('message', 'More of a stream than there is room for');
    this.#roomBytes -= data.length;
    const last = this.#received.at(-1);
    // Small ones are put together: thousands of them would take more than they hold. A copy in any case.
    if (last && last.length + data.length <= chunkBytes) {
      this.#received[this.#received.length - 1] = Buffer.concat([last, data]);
    } else this.#received.push(Buffer.from(data));
    this.#deliver();
  }

  #deliver(): void {
    while (this.#isWanted && !this.destroyed) {
      const chunk = this.#received.shift();
      if (!chunk) break;
      this.#takenBytes += chunk.length;
      this.#isWanted = false;
      // Asks for more at once if there is a reader for it.
      this.push(chunk);
    }
    if (this.#isFinishReceived && this.#received.length === 0 && !this.destroyed && !this.readableEnded) {
      if (this.#isWanted) {
        this.#isWanted = false;
        this.push(null);
      }
    } else if (this.#takenBytes >= GRANT_BYTES) this.#owner.wake(this);
  }

  #endIfBoth(): void {
    if (this.#isFinishSent && this.#isFinishReceived) this.#end(false);
  }

  #end(isReset: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.over(this, isReset);
  }

  /** Later: who hears of it may write again, or destroy. */
  #settle(what: 'sent' | 'finished', error?: Error): void {
    const callback = what === 'sent' ? this.#onSent : this.#onFinished;
    if (what === 'sent') this.#onSent = undefined;
    else this.#onFinished = undefined;
    if (callback) process.nextTick(callback, error);
  }
}
