/**
 * The presence registry of several nodes. Each node knows its own connections and keeps what Redis has of them the
 * same: at once where it can, and by the next beat what could not be written. While Redis is out of reach nobody knows
 * who is there; a Redis that comes back empty is believed only when the other nodes have had time to write again.
 */
import type { Log } from '../observability/log.ts';
import { Fault } from '../protocol/index.ts';
import type { RedisConnections } from '../storage/redis.ts';
import type { Bus } from './bus.ts';
import { systemClock, type Clock } from './clock.ts';
import type { ConnectionStatus, PresenceRegistry } from './presence-registry.ts';
import { inBatches, PRESENCE_EXPIRY_MS, RedisPresenceEntries, type UserEntries } from './redis-presence-entries.ts';

export interface RedisPresenceRegistryOptions {
  redis: RedisConnections;
  /** Tells this deployment from others on the same Redis. */
  prefix: string;
  nodeId: string;
  bus: Bus;
  log: Log;
  clock?: Clock;
}

/** How often a node raises its beat, writes what it owes, and looks for dead sessions. */
const BEAT_MS = 1_000;
/** Who has not looked for longer cannot say that a beat has stopped: perhaps nobody could beat. */
const BLIND_MS = 3_000;
/** What nodes get to come back to an empty Redis: their next attempt to connect, a beat, and the writing. */
const SETTLE_MS = 3_000;
/** How long a connection waits until the others can see it. */
const SET_MS = 1_000;
/** How long a change waits for the listeners of `onGone`. */
const GONE_MS = 1_000;
const TOPIC = 'presence';
const NONE: ReadonlyMap<string, ConnectionStatus> = new Map();

/** Resolves when the registry is in use, or Redis is out of reach. */
export async function createRedisPresenceRegistry(options: RedisPresenceRegistryOptions): Promise<PresenceRegistry> {
  const registry = new RedisPresenceRegistry(options);
  // What others tell from here on is heard.
  await Promise.all([registry.tick(), options.bus.listening(TOPIC)]);
  return registry;
}

class RedisPresenceRegistry implements PresenceRegistry {
  readonly #redis: RedisConnections;
  readonly #entries: RedisPresenceEntries;
  readonly #nodeId: string;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #ends: (() => void)[];
  readonly #changeListeners = new Set<{ call: (userId: string, vanished: boolean) => void }>();
  readonly #goneListeners = new Set<{ call: (userIds: readonly string[]) => Promise<void> }>();
  readonly #reachListeners = new Set<{ call: (inReach: boolean) => void }>();
  /** The truth about this node's connections. */
  readonly #connections = new Map<string, Map<string, ConnectionStatus>>();
  /** Users of whom Redis may not have the truth. */
  readonly #unwritten = new Set<string>();
  /** Users who left this node while nobody could say whether they were elsewhere. */
  readonly #departed = new Set<string>();
  #sessions = 0;
  #session: string;
  #begun = false;
  #inReach = false;
  #settledAtMs = Number.NEGATIVE_INFINITY;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** Since when this node has looked without a gap. */
  #watchingSinceMs = 0;
  #beating: Promise<string[]> | undefined;
  #catchingUp: Promise<void> | undefined;
  #failing = false;
  #closed = false;

  constructor({ redis, prefix, nodeId, bus, log, clock = systemClock }: RedisPresenceRegistryOptions) {
    this.#redis = redis;
    this.#entries = new RedisPresenceEntries(redis, prefix);
    this.#nodeId = nodeId;
    this.#session = `${nodeId}.0`;
    this.#bus = bus;
    this.#log = log;
    this.#clock = clock;
    this.#ends = [
      clock.every(BEAT_MS, () => void this.tick()),
      redis.onReady(() => void this.tick()),
      redis.onLost(() => this.#reach(false)),
      bus.subscribe(TOPIC, (data) => this.#hear(data as [userIds: string[], vanished: boolean])),
      // Changes may have been missed, and nothing else would say so.
      bus.onReady(() => {
        if (this.#inReach) this.#call(this.#reachListeners, (listener) => listener.call(true));
      }),
    ];
  }

  async set(userId: string, connectionId: string, status: ConnectionStatus): Promise<void> {
    const connections = this.#connections.get(userId) ?? new Map<string, ConnectionStatus>();
    if (connections.get(connectionId) === status) return;
    this.#connections.set(userId, connections.set(connectionId, status));
    // A connection does not wait for a Redis that hangs.
    await atMost(SET_MS, this.#write(userId));
  }

  async remove(userId: string, connectionId: string, vanished = false): Promise<{ last: boolean }> {
    const connections = this.#connections.get(userId);
    connections?.delete(connectionId);
    if (connections?.size === 0) this.#connections.delete(userId);
    const entries = await this.#write(userId, vanished);
    if (!entries && !this.#connections.has(userId)) this.#departed.add(userId);
    return { last: entries?.total === 0 };
  }

  async get(userIds: readonly string[]): Promise<Map<string, ConnectionStatus[]>> {
    if (!this.#inReach) throw outOfReach();
    const found = await this.#entries.read(userIds).catch(() => {
      throw outOfReach();
    });
    const pairs = userIds.map((userId, index) => [userId, found[index] ?? []] as const);
    return new Map(pairs.filter(([, statuses]) => statuses.length > 0));
  }

  onChange(call: (userId: string, vanished: boolean) => void): () => void {
    return register(this.#changeListeners, { call });
  }

  onGone(call: (userIds: readonly string[]) => Promise<void>): () => void {
    return register(this.#goneListeners, { call });
  }

  onReach(call: (inReach: boolean) => void): () => void {
    return register(this.#reachListeners, { call });
  }

  /** Raises the beat and does what is due. Never rejects. */
  async tick(): Promise<void> {
    if (this.#closed || !this.#redis.ready) return;
    try {
      const dead = await (this.#beating ??= this.#beat().finally(() => {
        this.#beating = undefined;
      }));
      // Apart from the beat: it may take long, and others would call this node dead.
      await (this.#catchingUp ??= this.#catchUp(dead).finally(() => {
        this.#catchingUp = undefined;
      }));
      this.#failing = false;
    } catch (error) {
      // Said once; a lost connection speaks for itself.
      if (this.#redis.ready && !this.#failing) this.#log.warn('Presence could not be brought up to date', { error });
      this.#failing = true;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#ends) end();
    await Promise.allSettled([this.#beating, this.#catchingUp]);
    // The others need not wait to see that this node has gone.
    if (this.#redis.ready) await this.#remove(this.#session, false).catch(() => {});
    for (const listeners of [this.#changeListeners, this.#goneListeners, this.#reachListeners]) listeners.clear();
  }

  /** Resolves with the dead sessions that this node has waited for long enough. */
  async #beat(): Promise<string[]> {
    let { alive, dead } = await this.#entries.beat(this.#session, false);
    if (!alive) dead = await this.#begin();
    const nowMs = this.#clock.now();
    if (nowMs - this.#lookedAtMs > BLIND_MS) this.#watchingSinceMs = nowMs;
    this.#lookedAtMs = nowMs;
    return nowMs - this.#watchingSinceMs < PRESENCE_EXPIRY_MS ? [] : dead;
  }

  /** A new session for everything that this node has, in place of one that is lost. */
  async #begin(): Promise<string[]> {
    this.#session = `${this.#nodeId}.${++this.#sessions}`;
    for (const userId of this.#connections.keys()) this.#unwritten.add(userId);
    if (this.#begun) {
      this.#log.warn('Presence is written anew', { nodeId: this.#nodeId, count: this.#connections.size });
      this.#reach(false);
      this.#settledAtMs = this.#clock.now() + SETTLE_MS;
    }
    const { dead } = await this.#entries.beat(this.#session, true);
    this.#begun = true;
    return dead;
  }

  async #catchUp(dead: readonly string[]): Promise<void> {
    await inBatches([...this.#unwritten], async (userIds) => {
      await Promise.all(userIds.map((userId) => this.#write(userId)));
    });
    for (const session of dead) {
      if (await this.#entries.claim(session)) await this.#remove(session, true);
    }
    if (this.#clock.now() < this.#settledAtMs || !this.#redis.ready) return;
    this.#reach(true);
    await this.#seeOffDeparted();
  }

  /** Brings Redis up to date about one user; undefined when that could not be, and then the next beat tries. */
  async #write(userId: string, vanished = false): Promise<UserEntries | undefined> {
    // Until the session has begun nobody would remove its entries.
    if (!this.#begun || !this.#redis.ready) {
      this.#unwritten.add(userId);
      return undefined;
    }
    const session = this.#session;
    try {
      const entries = await this.#entries.write(session, userId, this.#connections.get(userId) ?? NONE);
      if (session === this.#session) this.#unwritten.delete(userId);
      if (entries.changed) this.#tell([userId], vanished);
      return entries;
    } catch {
      this.#unwritten.add(userId);
      return undefined;
    }
  }

  async #remove(session: string, vanished: boolean): Promise<void> {
    await this.#entries.remove(session, async (users) => {
      const changed = [...users].filter(([, entries]) => entries.changed);
      await this.#gone(changed.flatMap(([userId, { total }]) => (total === 0 ? [userId] : [])));
      if (changed.length > 0)
        this.#tell(
          changed.map(([userId]) => userId),
          vanished,
        );
    });
  }

  async #seeOffDeparted(): Promise<void> {
    await inBatches([...this.#departed], async (userIds) => {
      const found = await this.#entries.read(userIds);
      for (const userId of userIds) this.#departed.delete(userId);
      await this.#gone(userIds.filter((_, index) => found[index]?.length === 0));
    });
  }

  #tell(userIds: string[], vanished: boolean): void {
    this.#bus.publish(TOPIC, [userIds, vanished]);
  }

  #hear([userIds, vanished]: [userIds: string[], vanished: boolean]): void {
    for (const userId of userIds) this.#call(this.#changeListeners, (listener) => listener.call(userId, vanished));
  }

  async #gone(userIds: readonly string[]): Promise<void> {
    if (userIds.length === 0) return;
    const told = [...this.#goneListeners].map(async ({ call }) => call(userIds));
    await atMost(GONE_MS, Promise.all(told)).catch((error: unknown) => {
      this.#log.warn('Who is gone could not be noted', { count: userIds.length, error });
    });
  }

  #reach(inReach: boolean): void {
    if (this.#inReach === inReach || this.#closed) return;
    this.#inReach = inReach;
    this.#call(this.#reachListeners, (listener) => listener.call(inReach));
  }

  #call<T>(listeners: ReadonlySet<T>, call: (listener: T) => void): void {
    for (const listener of listeners) {
      try {
        call(listener);
      } catch (error) {
        this.#log.error('A listener of the presence registry broke', { error });
      }
    }
  }
}

const outOfReach = (): Fault => new Fault('unavailable', 'Presence is out of reach');

/** Waits for the work, but no longer than that. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function register<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
