/**
 * Pulled streams over the bus: each node has a topic of its own, on which streams send data one way and credits the
 * other. What a node reads from itself does not touch the bus.
 */
import { Fault, LIMITS } from '../protocol/index.ts';
import type { Log } from '../observability/log.ts';
import type { Bus } from './bus.ts';
import { systemClock, type Clock } from './clock.ts';
import { CreditPool } from './credit-pool.ts';
import { PulledReader } from './pulled-reader.ts';
import { PulledSource } from './pulled-source.ts';
import {
  ALIVE_MS,
  type OpenOptions,
  type PulledStreams,
  type ServeOptions,
  type StreamMessage,
  type StreamSource,
} from './pulled-stream.ts';

export interface PulledStreamsDeps {
  bus: Bus;
  /** This node's id. */
  nodeId: string;
  log: Log;
  clock?: Clock;
}

/** How long nodes get to say that a stream is theirs. */
const ASK_MS = 5_000;

const topicOf = (nodeId: string): string => `pulled:${nodeId}`;
const askingFor = (name: string): string => `pulled-who:${name}`;

export const createPulledStreams = (deps: PulledStreamsDeps): PulledStreams => new BusPulledStreams(deps);

class BusPulledStreams implements PulledStreams {
  readonly #bus: Bus;
  readonly #nodeId: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #served = new Map<string, { source: StreamSource }>();
  readonly #readers = new Map<string, PulledReader>();
  readonly #sources = new Map<string, PulledSource>();
  readonly #pool = new CreditPool(LIMITS.pulledNodeBytes);
  readonly #stops: (() => void)[];
  readonly #running = new Set<Promise<void>>();
  #count = 0;
  #closed = false;

  constructor({ bus, nodeId, log, clock = systemClock }: PulledStreamsDeps) {
    this.#bus = bus;
    this.#nodeId = nodeId;
    this.#log = log;
    this.#clock = clock;
    this.#stops = [
      bus.subscribe(topicOf(nodeId), (message) => this.#receive(message as StreamMessage)),
      clock.every(ALIVE_MS, () => this.#check()),
    ];
  }

  serve(name: string, source: StreamSource, { accepts = () => true }: ServeOptions = {}): () => void {
    if (this.#served.has(name)) throw new Error(`${name} is served already`);
    const entry = { source };
    this.#served.set(name, entry);
    const stop = this.#bus.respond(askingFor(name), async (request) => (accepts(request) ? this.#nodeId : undefined));
    return () => {
      stop();
      if (this.#served.get(name) === entry) this.#served.delete(name);
    };
  }

  open(name: string, request: unknown, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => this.#iterate(name, request, options) };
  }

  /** Not a generator: one that waits for its next value cannot be ended. */
  #iterate(name: string, request: unknown, options: OpenOptions): AsyncIterator<Uint8Array> {
    const { signal } = options;
    let left = false;
    let reader: Promise<PulledReader> | undefined;
    const opened = (): Promise<PulledReader> => (reader ??= this.#open(name, request, options));
    const onAbort = (): void => void reader?.then((open) => open.fail(signal?.reason)).catch(() => {});
    const forget = (): void => signal?.removeEventListener('abort', onAbort);
    signal?.addEventListener('abort', onAbort);
    return {
      next: async () => {
        if (left) return { done: true, value: undefined };
        try {
          const chunk = await (await opened()).next();
          if (chunk) return { done: false, value: chunk };
          forget();
          return { done: true, value: undefined };
        } catch (error) {
          forget();
          throw error;
        }
      },
      return: async () => {
        left = true;
        forget();
        void reader?.then((open) => open.cancel()).catch(() => {});
        return { done: true, value: undefined };
      },
    };
  }

  async #open(name: string, request: unknown, { nodeId, signal }: OpenOptions): Promise<PulledReader> {
    signal?.throwIfAborted();
    const sourceId = nodeId ?? ((await this.#bus.request(askingFor(name), request, ASK_MS)) as string);
    await this.#bus.listening(topicOf(this.#nodeId));
    signal?.throwIfAborted();
    const isHere = sourceId === this.#nodeId;
    if (this.#closed || (!isHere && !this.#bus.healthy)) throw outOfReach();
    const id = `${this.#nodeId}:${this.#count++}`;
    const reader = new PulledReader(
      {
        id,
        nodeId: this.#nodeId,
        sourceId,
        // What does not leave the node loads no broker.
        pool: isHere ? new CreditPool(LIMITS.pulledWindowBytes) : this.#pool,
        send: (to, message) => this.#send(to, message),
        onEnd: () => this.#readers.delete(id),
      },
      this.#clock.now(),
    );
    this.#readers.set(id, reader);
    reader.open(name, request);
    return reader;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#stops) stop();
    for (const reader of this.#readers.values()) reader.fail(new Fault('unavailable', 'The server stops'));
    for (const source of this.#sources.values()) source.fail(new Fault('unavailable', 'The server stops'));
    await Promise.all(this.#running);
  }

  #receive(message: StreamMessage): void {
    const nowMs = this.#clock.now();
    switch (message.type) {
      case 'open':
        return this.#start(message, nowMs);
      case 'pull': {
        const source = this.#sources.get(message.id);
        if (source) source.pull(message.upTo, nowMs);
        // Its end was lost on the way, or this node forgot it for silence.
        else this.#refuse(message, new Fault('unavailable', 'The stream has ended before it was read'));
        return;
      }
      case 'cancel':
        return this.#sources.get(message.id)?.abort(new Fault('unavailable', 'The stream was cancelled'));
      case 'data':
      case 'alive':
      case 'end':
      case 'failed':
        return this.#readers.get(message.id)?.receive(message, nowMs);
    }
  }

  #start({ id, from, name, request, upTo }: StreamMessage & { type: 'open' }, nowMs: number): void {
    const served = this.#served.get(name);
    if (!served) return this.#refuse({ id, from }, new Fault('not_found', `This node has no ${name}`));
    if (this.#sources.size >= LIMITS.pulledStreams) {
      return this.#refuse({ id, from }, new Fault('unavailable', 'Too many streams', { retryAfterMs: 1_000 }));
    }
    const source = new PulledSource(
      { id, readerId: from, send: (to, message) => this.#send(to, message) },
      upTo,
      nowMs,
    );
    this.#sources.set(id, source);
    const running: Promise<void> = source.run(served.source, request).then((bug) => {
      if (bug !== undefined) this.#log.error('The source of a stream broke', { name, error: bug });
      this.#sources.delete(id);
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  #refuse({ id, from }: { id: string; from: string }, { code, message }: Fault): void {
    this.#send(from, { type: 'failed', id, code, message });
  }

  #send(nodeId: string, message: StreamMessage): void {
    if (nodeId !== this.#nodeId) this.#bus.publish(topicOf(nodeId), message);
    // Later, as over the bus: the sender's state may be half changed.
    else queueMicrotask(() => this.#receive(message));
  }

  #check(): void {
    const nowMs = this.#clock.now();
    for (const reader of this.#readers.values()) reader.check(nowMs);
    for (const source of this.#sources.values()) source.check(nowMs);
  }
}

const outOfReach = (): Fault => new Fault('unavailable', 'The other nodes are out of reach', { retryAfterMs: 1_000 });
