/**
 * The connections to Redis: one that publishes and runs commands, one that only subscribes. Redis is never a reason to
 * end the process or to wait without end, so what ioredis would do by itself is switched off: with its offline queue
 * an outage is followed by a flood of stale notices, and its own subscribing again rejects where nobody listens. A
 * command that cannot be sent now, or has no answer in time, rejects; whoever sent it knows what that means.
 */
import type { Cluster, ClusterNode, Redis, RedisOptions } from 'ioredis';
import type { Log } from '../observability/log.ts';

export type RedisClient = Redis | Cluster;

export interface RedisConnections {
  /** Publishes and runs commands. Rejects at once while it is out of reach. */
  readonly commands: RedisClient;
  /** Only subscribes, and never again by itself: whoever subscribed does it again when told so by `onReady`. */
  readonly subscriber: RedisClient;
  /** A Redis Cluster: one client for both, channels belong to shards, and a command's keys must lie in one slot. */
  readonly sharded: boolean;
  /** Whether both connections stand. */
  readonly ready: boolean;
  /** Called whenever both connections stand (again). What was subscribed is so no more, and Redis may be empty. */
  onReady(listener: () => void): () => void;
  /** Called when either connection is lost. */
  onLost(listener: () => void): () => void;
  close(): Promise<void>;
}

export interface RedisConnectionsOptions {
  /** `redis://` or `rediss://` for one Redis, `redis+cluster://host:port,host:port` or `rediss+cluster://` for a cluster. */
  url: string;
  log: Log;
}

/** How long a start waits for Redis before it goes on without. */
const START_MS = 5_000;
const CONNECT_MS = 3_000;
/** Asked so often whether it still answers … */
const PING_MS = 1_000;
/** … and taken for gone when nothing has come for so long: a stopped Redis or a half-open connection says nothing. */
const SILENCE_MS = 2_500;
/** How often a cluster is asked who has which slots. */
const SLOTS_MS = 5_000;
/** Changes of its shards are told at most this often. */
const RESHARDED_MS = 500;
/** Where pings do not reach (subscribers of a cluster) the kernel finds half-open connections, 10 s after this. */
const KEEP_ALIVE_MS = 2_000;
/** Tries again after 50 ms and then ever later, at most this (and up to 100 ms more, so that nodes do not come as one). */
const RETRY_MS = 1_000;
/** What the last commands get to be answered in when everything ends. */
const QUIT_MS = 1_000;

const retryDelay = (times: number): number => Math.min(50 * 2 ** (times - 1), RETRY_MS) + Math.random() * 100;

const OPTIONS = {
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  connectTimeout: CONNECT_MS,
  socketTimeout: SILENCE_MS,
  keepAlive: KEEP_ALIVE_MS,
  connectionName: 'atelier',
  // A primary that has become a replica takes no writes: its successor is found by connecting again.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} satisfies RedisOptions;

/** Resolves when Redis is ready, or after 5 s without it: then it is tried again for as long as the connections live. */
export async function connectRedis({ url, log }: RedisConnectionsOptions): Promise<RedisConnections> {
  const ioredis = await import('ioredis');
  const cluster = clusterOf(url);
  const single = (): Redis =>
    new ioredis.Redis(url, { ...OPTIONS, enableOfflineQueue: false, retryStrategy: retryDelay });
  const commands = cluster
    ? new ioredis.Cluster(cluster.nodes, {
        redisOptions: { ...OPTIONS, ...cluster.credentials },
        enableOfflineQueue: false,
        shardedSubscribers: true,
        clusterRetryStrategy: retryDelay,
        slotsRefreshInterval: SLOTS_MS,
        // A command that waits for a better moment would be overtaken by later ones.
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
      })
    : single();
  const connections = new Connections(commands, cluster ? commands : single(), log);
  await connections.started();
  return connections;
}

class Connections implements RedisConnections {
  readonly commands: RedisClient;
  readonly subscriber: RedisClient;
  readonly #log: Log;
  readonly #readyListeners = new Set<{ call: () => void }>();
  readonly #lostListeners = new Set<{ call: () => void }>();
  readonly #stopPings: () => void;
  /** Undefined before it is known for the first time. */
  #ready: boolean | undefined;
  #lastError: unknown;
  #resharded: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(commands: RedisClient, subscriber: RedisClient, log: Log) {
    this.commands = commands;
    this.subscriber = subscriber;
    this.#log = log;
    const clients = new Set([commands, subscriber]);
    for (const client of clients) {
      client.on('ready', () => this.#stands());
      client.on('close', () => this.#lost());
      // Each failed attempt says so; the log hears of the first of an outage and of its end.
      client.on('error', (error: unknown) => {
        this.#lastError = error;
      });
      // Shards of a cluster have got new subscribers; while one is out of reach it is said again and again.
      client.on('subscribersReady', () => {
        this.#resharded ??= setTimeout(() => {
          this.#resharded = undefined;
          if (this.ready) this.#call(this.#readyListeners);
        }, RESHARDED_MS).unref();
      });
    }
    const timer = setInterval(() => {
      for (const client of clients) if (client.status === 'ready') void ping(client);
    }, PING_MS).unref();
    this.#stopPings = () => clearInterval(timer);
  }

  get sharded(): boolean {
    return this.commands === this.subscriber;
  }

  get ready(): boolean {
    return this.#closing === undefined && this.commands.status === 'ready' && this.subscriber.status === 'ready';
  }

  onReady(call: () => void): () => void {
    return register(this.#readyListeners, { call });
  }

  onLost(call: () => void): () => void {
    return register(this.#lostListeners, { call });
  }

  async started(): Promise<void> {
    const { promise, resolve } = withResolvers();
    const timer = setTimeout(resolve, START_MS);
    const stop = this.onReady(resolve);
    await promise;
    clearTimeout(timer);
    stop();
    if (!this.ready) this.#lost();
    // The nodes of a cluster are connected to when they are first used, and refuse what comes in between.
    else if (this.sharded) await ping(this.commands);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stopPings();
    clearTimeout(this.#resharded);
    this.#readyListeners.clear();
    this.#lostListeners.clear();
    await Promise.all([...new Set([this.commands, this.subscriber])].map((client) => quit(client)));
  }

  #stands(): void {
    if (!this.ready || this.#ready === true) return;
    if (this.#ready === false) this.#log.info('Redis is back');
    this.#ready = true;
    this.#call(this.#readyListeners);
  }

  #lost(): void {
    // Once per outage, and a start without Redis is one.
    if (this.#closing || this.#ready === false) return;
    this.#ready = false;
    this.#log.warn('Redis is out of reach', { error: this.#lastError });
    this.#call(this.#lostListeners);
  }

  #call(listeners: ReadonlySet<{ call: () => void }>): void {
    for (const listener of listeners) {
      try {
        listener.call();
      } catch (error) {
        this.#log.error('A listener of the Redis connections broke', { error });
      }
    }
  }
}

function register<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Rejects never: a connection that does not answer is closed by its own timeout. */
async function ping(client: RedisClient): Promise<void> {
  const nodes = 'nodes' in client ? client.nodes('master') : [client];
  await Promise.allSettled(nodes.map((node) => node.ping()));
}

/** Lets what is under way be answered, and closes. One that is not connected has nothing to wait for. */
async function quit(client: RedisClient): Promise<void> {
  if (client.status === 'ready') {
    const late = withResolvers();
    const timer = setTimeout(late.resolve, QUIT_MS);
    await Promise.race([client.quit().catch(() => {}), late.promise]);
    clearTimeout(timer);
  }
  client.disconnect();
}

type Credentials = Pick<RedisOptions, 'username' | 'password' | 'tls'>;

/** The nodes of a cluster's URL, and what is common to them; undefined for one Redis. */
function clusterOf(url: string): { nodes: ClusterNode[]; credentials: Credentials } | undefined {
  const [, scheme, user, hosts] = /^(rediss?)\+cluster:\/\/(?:([^/@]*)@)?([^/]+)/.exec(url) ?? [];
  if (scheme === undefined || hosts === undefined) return undefined;
  const nodes = hosts.split(',').map((host) => {
    const { hostname, port } = new URL(`redis://${host}`);
    return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 6379 : Number(port) };
  });
  const [username = '', ...rest] = user?.split(':') ?? [];
  const password = rest.join(':');
  return {
    nodes,
    credentials: {
      ...(username === '' ? {} : { username: decodeURIComponent(username) }),
      ...(password === '' ? {} : { password: decodeURIComponent(password) }),
      ...(scheme === 'rediss' ? { tls: {} } : {}),
    },
  };
}
