/**
 * The bus of several nodes, on Redis' publish and subscribe. What this node publishes reaches its own listeners without
 * Redis; what comes back from there is its own and is left out. What could not be sent is dropped: as soon as it can,
 * the node tells the others that they may have missed something, and they compare with the log as after an outage of
 * their own.
 *
 * Channels: `<prefix>:<topic>` notices, `<prefix>?<topic>` requests, `<prefix>!<node>` answers, `<prefix>!` notices lost.
 */
import { Packr } from 'msgpackr';
import type { Log } from '../observability/log.ts';
import { LIMITS } from '../protocol/index.ts';
import type { RedisConnections } from '../storage/redis.ts';
import { BusRequests } from './bus-requests.ts';
import type { Bus, BusListener, BusResponder } from './bus.ts';
import { LocalBus } from './local-bus.ts';
import type { Registered } from './registered.ts';
import { RedisPublisher, type DropReason } from './redis-publisher.ts';
import { RedisSubscriptions } from './redis-subscriptions.ts';

export interface RedisBusOptions {
  redis: RedisConnections;
  /** Tells this deployment from others on the same Redis. */
  prefix: string;
  nodeId: string;
  log: Log;
  onDrop?: (reason: DropReason) => void;
}

/** For the sender's id and a request's number around the data. */
const ENVELOPE_BYTES = 1_024;
/** Others are told at most this often that they may have missed something. */
const LOSS_NOTICE_MS = 1_000;

/** Resolves when it listens, or when Redis is out of reach. */
export async function createRedisBus(options: RedisBusOptions): Promise<Bus> {
  const bus = new RedisBus(options);
  await bus.start();
  return bus;
}

class RedisBus implements Bus {
  readonly alone = false;
  readonly #prefix: string;
  readonly #nodeId: string;
  readonly #log: Log;
  readonly #onDrop: (reason: DropReason) => void;
  readonly #local: LocalBus;
  readonly #requests = new BusRequests();
  /** By request: called when it comes back to this node. */
  readonly #echoes = new Map<number, () => void>();
  readonly #publisher: RedisPublisher;
  readonly #subscriptions: RedisSubscriptions;
  readonly #readyListeners = new Set<{ call: () => void }>();
  // Records would need a state that both sides share.
  readonly #packr = new Packr({ useRecords: false });
  #started = false;
  /** Something of this node's may not have reached the others. */
  #loss = false;
  #lossTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor({ redis, prefix, nodeId, log, onDrop = () => {} }: RedisBusOptions) {
    this.#prefix = prefix;
    this.#nodeId = nodeId;
    this.#log = log;
    this.#onDrop = onDrop;
    this.#local = new LocalBus(log);
    this.#publisher = new RedisPublisher({ redis, onDrop: (reason) => this.#dropped(reason) });
    this.#subscriptions = new RedisSubscriptions({
      redis,
      log,
      onMessage: (channel, message) => this.#receive(channel, message),
      onListening: () => this.#listens(),
    });
    this.#subscriptions.add(`${prefix}!${nodeId}`);
    this.#subscriptions.add(`${prefix}!`);
  }

  get healthy(): boolean {
    return this.#subscriptions.listening;
  }

  async start(): Promise<void> {
    await this.#subscriptions.start();
    this.#started = true;
  }

  publish(topic: string, data: unknown): void {
    if (this.#closed) return;
    queueMicrotask(() => this.#local.deliver(topic, data));
    this.relay(topic, data);
  }

  relay(topic: string, data: unknown): void {
    this.#send(`${this.#prefix}:${topic}`, topic, [this.#nodeId, data]);
  }

  subscribe(topic: string, listener: BusListener): () => void {
    return this.#register(this.#local.listeners, topic, listener, `${this.#prefix}:${topic}`);
  }

  async listening(topic: string): Promise<void> {
    await this.#subscriptions.heard(`${this.#prefix}:${topic}`);
    await this.#subscriptions.heard(`${this.#prefix}?${topic}`);
  }

  request(topic: string, data: unknown, timeoutMs: number): Promise<unknown> {
    const request = this.#requests.open(topic, timeoutMs);
    const askedHere = this.#local.ask(topic, data, request.answer);
    let receivers: number | undefined;
    let echoes = 0;
    const giveUpIfAlone = (): void => {
      if (receivers !== undefined && receivers <= echoes) void askedHere.then(request.fail);
    };
    // Where somebody answers here too, this node gets its own request and is one of the receivers.
    this.#echoes.set(request.id, () => {
      echoes++;
      giveUpIfAlone();
    });
    const forget = (): void => void this.#echoes.delete(request.id);
    request.answered.then(forget, forget);
    this.#send(`${this.#prefix}?${topic}`, topic, [this.#nodeId, data, request.id], (count = 0) => {
      receivers = count;
      giveUpIfAlone();
    });
    return request.answered;
  }

  respond(topic: string, responder: BusResponder): () => void {
    return this.#register(this.#local.responders, topic, responder, `${this.#prefix}?${topic}`);
  }

  onReady(call: () => void): () => void {
    const entry = { call };
    this.#readyListeners.add(entry);
    return () => void this.#readyListeners.delete(entry);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#lossTimer);
    this.#subscriptions.close();
    this.#readyListeners.clear();
    this.#local.clear();
    this.#requests.close();
  }

  #register<F>(registered: Registered<F>, topic: string, call: F, channel: string): () => void {
    if (this.#closed) return () => {};
    const stop = registered.add(topic, call);
    this.#subscriptions.add(channel);
    return () => {
      stop();
      if (!registered.has(topic)) this.#subscriptions.remove(channel);
    };
  }

  #send(channel: string, topic: string, parts: unknown[], sent?: (receivers: number | undefined) => void): void {
    const message = this.#closed ? undefined : this.#encode(topic, parts);
    if (message) this.#publisher.send(channel, message, sent);
    else sent?.(undefined);
  }

  #encode(topic: string, parts: unknown[]): Buffer | undefined {
    try {
      const message = this.#packr.pack(parts);
      if (message.length <= LIMITS.busMessageBytes + ENVELOPE_BYTES) return message;
      this.#log.error('A notice is too large for the bus', { topic, bytes: message.length });
      this.#dropped('too_large');
    } catch (error) {
      this.#log.error('A notice cannot be sent over the bus', { topic, error });
      this.#dropped('unencodable');
    }
    return undefined;
  }

  #receive(channel: string, message: Buffer): void {
    const kind = channel.charAt(this.#prefix.length);
    const topic = channel.slice(this.#prefix.length + 1);
    try {
      const [from, data, id] = this.#packr.unpack(message) as [from: string, data: unknown, id: number];
      if (from === this.#nodeId) {
        if (kind === '?') this.#echoes.get(id)?.();
        return;
      }
      if (kind === ':') this.#local.deliver(topic, data);
      else if (kind === '?') this.#answer(topic, from, data, id);
      else if (topic === '') this.#ready();
      else this.#requests.answer(id, data);
    } catch (error) {
      this.#log.error('A message of another node could not be read', { topic, error });
    }
  }

  #answer(topic: string, to: string, data: unknown, id: number): void {
    void this.#local.ask(topic, data, (answer) =>
      this.#send(`${this.#prefix}!${to}`, topic, [this.#nodeId, answer, id]),
    );
  }

  #listens(): void {
    if (this.#loss) this.#tellLoss();
    if (this.#started) this.#ready();
  }

  #ready(): void {
    for (const { call } of this.#readyListeners) {
      try {
        call();
      } catch (error) {
        this.#log.error('A listener for the return of the bus broke', { error });
      }
    }
  }

  #dropped(reason: DropReason): void {
    this.#onDrop(reason);
    this.#loss = true;
    if (this.#closed) return;
    this.#lossTimer ??= setTimeout(() => {
      this.#lossTimer = undefined;
      if (this.#loss && this.healthy) this.#tellLoss();
    }, LOSS_NOTICE_MS).unref();
  }

  #tellLoss(): void {
    this.#loss = false;
    // If this is lost as well, it is still owed.
    this.#send(`${this.#prefix}!`, '', [this.#nodeId]);
  }
}
