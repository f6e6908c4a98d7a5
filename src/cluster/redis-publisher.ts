/**
 * What this node tells the others through Redis. What is published in one tick leaves in one write. Nothing waits for a
 * Redis that is out of reach: it is dropped and counted, and what waits for one that hangs is bounded.
 */
import { LIMITS } from '../protocol/index.ts';
import type { RedisConnections } from '../storage/redis.ts';

export type DropReason = 'out_of_reach' | 'waiting' | 'too_large' | 'unencodable';

export interface RedisPublisherDeps {
  redis: RedisConnections;
  /** Called for every message that may not have reached the others. */
  onDrop: (reason: DropReason) => void;
}

interface Outgoing {
  channel: string;
  message: Buffer;
  /** With the number of connections that got it, undefined when it was dropped. */
  sent: ((receivers: number | undefined) => void) | undefined;
}

export class RedisPublisher {
  readonly #redis: RedisConnections;
  readonly #onDrop: (reason: DropReason) => void;
  #tick: Outgoing[] = [];
  #waitingBytes = 0;

  constructor({ redis, onDrop }: RedisPublisherDeps) {
    this.#redis = redis;
    this.#onDrop = onDrop;
  }

  send(channel: string, message: Buffer, sent?: Outgoing['sent']): void {
    const reason = this.#refusal(message);
    if (reason) {
      this.#onDrop(reason);
      sent?.(undefined);
      return;
    }
    this.#waitingBytes += message.length;
    if (this.#tick.push({ channel, message, sent }) === 1) queueMicrotask(() => this.#flush());
  }

  #refusal(message: Buffer): DropReason | undefined {
    if (this.#redis.commands.status !== 'ready') return 'out_of_reach';
    return this.#waitingBytes + message.length > LIMITS.busWaitingBytes ? 'waiting' : undefined;
  }

  #flush(): void {
    const outgoing = this.#tick;
    this.#tick = [];
    const { commands, sharded } = this.#redis;
    const publish = (channel: string, message: Buffer): Promise<unknown> =>
      sharded ? commands.spublish(channel, message) : commands.publish(channel, message);
    // A pipeline would do the same at twice the cost. A cluster has a stream per shard.
    const stream = 'stream' in commands ? commands.stream : undefined;
    stream?.cork();
    for (const one of outgoing) {
      publish(one.channel, one.message).then(
        (receivers) => this.#settle(one, Number(receivers)),
        () => this.#settle(one, undefined),
      );
    }
    stream?.uncork();
  }

  #settle({ message, sent }: Outgoing, receivers: number | undefined): void {
    this.#waitingBytes -= message.length;
    if (receivers === undefined) this.#onDrop('out_of_reach');
    sent?.(receivers);
  }
}
