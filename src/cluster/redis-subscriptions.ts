/**
 * The channels that this node listens to on Redis. Subscriptions end with their connection, so all of them are made
 * again whenever it is back; only then does it count as listening.
 */
import type { Log } from '../observability/log.ts';
import type { RedisConnections } from '../storage/redis.ts';

export interface RedisSubscriptionsDeps {
  redis: RedisConnections;
  log: Log;
  onMessage: (channel: string, message: Buffer) => void;
  /** Called when every channel is listened to (again). */
  onListening: () => void;
}

/** Redis is there but refuses (a shard without its subscriber yet, a missing right): asked again after this. */
const RETRY_MS = 500;

export class RedisSubscriptions {
  readonly #deps: RedisSubscriptionsDeps;
  /** Each with the moment from which on it is listened to. */
  readonly #channels = new Map<string, Promise<void>>();
  readonly #ends: (() => void)[];
  /** Counts the connections: what was begun on a former one means nothing. */
  #epoch = 0;
  #listening = false;
  /** Said once, until it listens again. */
  #refused = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: RedisSubscriptionsDeps) {
    this.#deps = deps;
    const { redis, onMessage } = deps;
    const event = redis.sharded ? 'smessageBuffer' : 'messageBuffer';
    const take = (channel: Buffer, message: Buffer): void => onMessage(channel.toString(), message);
    redis.subscriber.on(event, take);
    this.#ends = [
      () => void redis.subscriber.off(event, take),
      redis.onReady(() => void this.start()),
      redis.onLost(() => this.#lose()),
      () => this.#lose(),
    ];
  }

  /** Whether every channel is listened to. */
  get listening(): boolean {
    return this.#listening && this.#deps.redis.ready;
  }

  /** Resolves when a channel is listened to, or when that cannot be now. Never rejects. */
  async heard(channel: string): Promise<void> {
    await this.#channels.get(channel);
  }

  add(channel: string): void {
    if (this.#channels.has(channel)) return;
    const epoch = this.#epoch;
    const subscribed = this.#deps.redis.ready ? this.#subscribe([channel]) : Promise.resolve();
    this.#channels.set(
      channel,
      subscribed.catch((error: unknown) => this.#failed(epoch, error)),
    );
  }

  remove(channel: string): void {
    if (!this.#channels.delete(channel)) return;
    const { redis } = this.#deps;
    const unsubscribed = redis.sharded ? redis.subscriber.sunsubscribe(channel) : redis.subscriber.unsubscribe(channel);
    // With the connection the subscription ends anyway.
    unsubscribed.catch(() => {});
  }

  /** Listens to every channel, again where it did before. Never rejects. */
  async start(): Promise<void> {
    const epoch = this.#lose();
    if (!this.#deps.redis.ready) return;
    const channels = [...this.#channels.keys()];
    const subscribed = this.#subscribe(channels);
    const heard = subscribed.catch(() => {});
    for (const channel of channels) this.#channels.set(channel, heard);
    try {
      await subscribed;
      if (epoch !== this.#epoch) return;
      this.#listening = true;
      this.#refused = false;
      this.#deps.onListening();
    } catch (error) {
      this.#failed(epoch, error);
    }
  }

  close(): void {
    for (const end of this.#ends) end();
    this.#channels.clear();
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    const { subscriber, sharded } = this.#deps.redis;
    if (sharded) await Promise.all(channels.map((channel) => subscriber.ssubscribe(channel)));
    else if (channels.length > 0) await subscriber.subscribe(...channels);
  }

  #failed(epoch: number, error: unknown): void {
    const { redis, log } = this.#deps;
    // Without a connection its return brings everything back.
    if (epoch !== this.#epoch || !redis.ready) return;
    if (!this.#refused) log.warn('Channels of Redis could not be subscribed', { error });
    this.#refused = true;
    this.#lose();
    this.#retry = setTimeout(() => void this.start(), RETRY_MS).unref();
  }

  #lose(): number {
    clearTimeout(this.#retry);
    this.#listening = false;
    return ++this.#epoch;
  }
}
