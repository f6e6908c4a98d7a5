/**
 * Socket.IO's own adapter for several nodes, for its remote operations (joins, leaves, ends of sockets, words between
 * servers). Bare it ends the process when Redis is away: what it publishes and subscribes rejects where nobody listens.
 * So it gets stand-ins of the connections that never do. Events of rooms do not take this way.
 */
import type { AdapterClass } from './fan-out-adapter.ts';

/** What is used of the connections of `storage/redis.ts`; the gateway does not know that folder. */
export interface AdapterConnections {
  readonly commands: RedisCommands;
  readonly subscriber: RedisSubscriber;
  readonly sharded: boolean;
  readonly ready: boolean;
  onReady(listener: () => void): () => void;
}

interface RedisNode {
  call(command: string, args: string[]): Promise<unknown>;
}

interface RedisCommands extends RedisNode {
  publish(channel: string, message: string | Buffer): Promise<unknown>;
  /** Of a cluster. */
  nodes?: () => RedisNode[];
}

interface RedisSubscriber {
  subscribe(...channels: string[]): Promise<unknown>;
  psubscribe(...patterns: string[]): Promise<unknown>;
  unsubscribe(...channels: string[]): Promise<unknown>;
  punsubscribe(...patterns: string[]): Promise<unknown>;
  on(event: string, listener: (...args: Buffer[]) => void): unknown;
  off(event: string, listener: (...args: Buffer[]) => void): unknown;
}

export interface RedisAdapterOptions {
  redis: AdapterConnections;
  /** Tells this deployment from others on the same Redis. */
  prefix: string;
  /** A remote operation did not reach the other nodes. */
  onDrop: () => void;
  onBug: (error: unknown) => void;
}

/** Loads the package: only where there is a Redis. */
export async function createRedisAdapter({ redis, prefix, onDrop, onBug }: RedisAdapterOptions): Promise<AdapterClass> {
  const { RedisAdapter } = await import('@socket.io/redis-adapter');
  const key = `${prefix}/io`;
  return class extends RedisAdapter {
    constructor(namespace: unknown) {
      super(namespace, new Publisher(redis, onDrop), new Subscriber(redis, key, onBug), {
        key,
        publishOnSpecificResponseChannel: true,
      });
    }
  };
}

/** The adapter's `pubClient`. */
class Publisher {
  readonly #redis: AdapterConnections;
  readonly #onDrop: () => void;

  constructor(redis: AdapterConnections, onDrop: () => void) {
    this.#redis = redis;
    this.#onDrop = onDrop;
  }

  get isCluster(): boolean {
    return this.#redis.sharded;
  }

  publish(channel: string, message: string | Buffer): void {
    this.#redis.commands.publish(channel, message).catch(this.#onDrop);
  }

  /** Asks how many nodes there are. Who waits for their answers is told that it failed. */
  send_command(command: string, args: string[], done?: (error: unknown, result?: unknown) => void): Promise<unknown> {
    const answer = this.#redis.commands.call(command, args);
    if (done)
      answer.then(
        (result) => done(null, result),
        (error: unknown) => done(error),
      );
    return answer;
  }

  /** Of a cluster: each knows its own subscribers. */
  nodes(): { send_command: RedisNode['call'] }[] {
    const nodes = this.#redis.commands.nodes?.() ?? [];
    return nodes.map((node) => ({ send_command: (command, args) => node.call(command, args) }));
  }

  on(): void {}
  off(): void {}
}

/** The adapter's `subClient`: subscribes again after an outage, and takes what a message breaks. */
class Subscriber {
  readonly #redis: AdapterConnections;
  readonly #key: Buffer;
  readonly #onBug: (error: unknown) => void;
  readonly #channels = new Set<string>();
  readonly #patterns = new Set<string>();
  readonly #listeners = new Map<unknown, (...args: Buffer[]) => void>();
  readonly #forgetReady: () => void;

  constructor(redis: AdapterConnections, key: string, onBug: (error: unknown) => void) {
    this.#redis = redis;
    this.#key = Buffer.from(key);
    this.#onBug = onBug;
    this.#forgetReady = redis.onReady(() => this.#subscribe());
  }

  subscribe(channels: string[]): void {
    for (const channel of channels) this.#channels.add(channel);
    this.#subscribe();
  }

  psubscribe(pattern: string): void {
    this.#patterns.add(pattern);
    this.#subscribe();
  }

  /** The adapter closes: this is the last that it asks for. */
  unsubscribe(channels: string[]): void {
    this.#forgetReady();
    this.#redis.subscriber.unsubscribe(...channels).catch(nothing);
  }

  punsubscribe(pattern: string): void {
    this.#redis.subscriber.punsubscribe(pattern).catch(nothing);
  }

  on(event: string, listener: (...args: Buffer[]) => unknown): void {
    if (event === 'error') return;
    const guarded = (...args: Buffer[]): void => {
      // The connection is shared: most messages are for others.
      const channel = args.at(-2);
      if (channel?.subarray(0, this.#key.length).equals(this.#key)) void this.#call(listener, args);
    };
    this.#listeners.set(listener, guarded);
    this.#redis.subscriber.on(event, guarded);
  }

  off(event: string, listener: unknown): void {
    const guarded = this.#listeners.get(listener);
    if (guarded) this.#redis.subscriber.off(event, guarded);
  }

  async #call(listener: (...args: Buffer[]) => unknown, args: Buffer[]): Promise<void> {
    try {
      await listener(...args);
    } catch (error) {
      this.#onBug(error);
    }
  }

  #subscribe(): void {
    if (!this.#redis.ready) return;
    const { subscriber } = this.#redis;
    // If it fails the connection is gone, and its return brings us here again.
    if (this.#channels.size > 0) subscriber.subscribe(...this.#channels).catch(nothing);
    if (this.#patterns.size > 0) subscriber.psubscribe(...this.#patterns).catch(nothing);
  }
}

const nothing = (): void => {};
