/** The reading end of one stream: grants credits, keeps what has come until it is asked for, notices what is missing. */
import { Fault, LIMITS, withResolvers, type FaultCode } from '../protocol/index.ts';
import type { CreditPool } from './credit-pool.ts';
import type { SendMessage, StreamMessage } from './pulled-stream.ts';
import { SILENT_MS } from './pulled-stream.ts';

export interface ReaderDeps {
  id: string;
  nodeId: string;
  /** The node that serves the stream. */
  sourceId: string;
  pool: CreditPool;
  send: SendMessage;
  /** Nothing more is sent or received. */
  onEnd: () => void;
}

type End = { kind: 'ended' } | { kind: 'failed'; error: unknown };

/** Less than this is not worth a message of its own. */
const LEAST_GRANT_BYTES = LIMITS.pulledWindowBytes / 4;

export class PulledReader {
  readonly #deps: ReaderDeps;
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;
  #received = 0;
  /** How many bytes of the stream the source may send. */
  #upTo = 0;
  #end: End | undefined;
  #heardAtMs: number;
  #changed = withResolvers();
  readonly #grantLater = (): void => this.#grant();

  constructor(deps: ReaderDeps, nowMs: number) {
    this.#deps = deps;
    this.#heardAtMs = nowMs;
  }

  open(name: string, request: unknown): void {
    this.#upTo += this.#take(LIMITS.pulledWindowBytes);
    const { id, nodeId: from, sourceId, send } = this.#deps;
    send(sourceId, { type: 'open', id, from, name, request, upTo: this.#upTo });
  }

  /** Undefined at the stream's end; rejects when it has failed, after what came before. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) {
        this.#bufferedBytes -= chunk.length;
        this.#grant();
        return chunk;
      }
      if (this.#end?.kind === 'failed') throw this.#end.error;
      if (this.#end) return undefined;
      await this.#changed.promise;
    }
  }

  receive(message: StreamMessage, nowMs: number): void {
    if (this.#end) return;
    this.#heardAtMs = nowMs;
    switch (message.type) {
      case 'data':
        if (message.offset !== this.#received) return this.fail(lost());
        this.#keep(message.data);
        break;
      case 'alive':
        if (message.offset !== this.#received) this.fail(lost());
        break;
      case 'end':
        if (message.offset !== this.#received) this.fail(lost());
        else this.#finish({ kind: 'ended' });
        break;
      case 'failed':
        this.#finish({ kind: 'failed', error: new Fault(message.code as FaultCode, message.message) });
        break;
      case 'open':
      case 'pull':
      case 'cancel':
        break;
    }
  }

  /** Gives a sign of life, or up when the other side gave none. */
  check(nowMs: number): void {
    if (this.#end) return;
    if (nowMs - this.#heardAtMs >= SILENT_MS) this.fail(new Fault('unavailable', 'The other node is not heard of'));
    else this.#pull();
  }

  /** Ends it here and tells the source; what has come before can still be read. */
  fail(error: unknown): void {
    this.#leave({ kind: 'failed', error });
  }

  /** Nobody reads it any more. */
  cancel(): void {
    this.#chunks = [];
    this.#leave({ kind: 'ended' });
  }

  #leave(end: End): void {
    if (this.#end) return;
    this.#deps.send(this.#deps.sourceId, { type: 'cancel', id: this.#deps.id });
    this.#finish(end);
  }

  #keep(data: Uint8Array): void {
    this.#received += data.length;
    this.#bufferedBytes += data.length;
    this.#chunks.push(data);
    this.#deps.pool.give(data.length);
    this.#change();
  }

  #finish(end: End): void {
    this.#end = end;
    this.#deps.pool.forget(this.#grantLater);
    this.#deps.pool.give(this.#upTo - this.#received);
    this.#deps.onEnd();
    this.#change();
  }

  #change(): void {
    const { resolve } = this.#changed;
    this.#changed = withResolvers();
    resolve();
  }

  /** Lets the source send as much as has been read. */
  #grant(): void {
    if (this.#end) return;
    const underWay = this.#upTo - this.#received;
    const room = LIMITS.pulledWindowBytes - this.#bufferedBytes - underWay;
    if (room < LEAST_GRANT_BYTES) return;
    const granted = this.#take(room);
    this.#upTo += granted;
    if (granted > 0) this.#pull();
  }

  #take(bytes: number): number {
    return this.#deps.pool.take(bytes, this.#grantLater);
  }

  #pull(): void {
    const { id, nodeId: from, sourceId, send } = this.#deps;
    send(sourceId, { type: 'pull', id, from, upTo: this.#upTo });
  }
}

const lost = (): Fault => new Fault('unavailable', 'A part of the stream was lost between the nodes');
