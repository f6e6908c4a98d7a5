/**
 * Keeps a connection to the server: connects, says hello, and again for ever whenever it ends. Only servers with the
 * highest fence seen so far are served, and whoever puts a new socket in the old one's place is turned to.
 */
import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, type ConnectionDeps } from './connection.ts';

/** Between attempts, each time twice as long … */
const RETRY_MS = 50;
/** … up to this: a server that is back finds its terminals within a second. */
const RETRY_MOST_MS = 1_000;
/** How often the socket is looked at, whether it is still the one connected to. */
const LOOK_MS = 500;

export class Connector {
  readonly #path: string;
  readonly #deps: ConnectionDeps;
  readonly #stopping = new AbortController();
  #retryMs = RETRY_MS;

  constructor(path: string, deps: ConnectionDeps) {
    this.#path = path;
    this.#deps = deps;
  }

  /** Resolves after `stop`. */
  async run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#connection();
      // Many agents do not come back in step.
      await delay(this.#retryMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
      this.#retryMs = Math.min(RETRY_MOST_MS, 2 * this.#retryMs);
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** One connection, from the attempt to its end. */
  async #connection(): Promise<void> {
    const identity = identityOf(this.#path);
    const socket = await connected(this.#path);
    if (!socket) return;
    const connection = new Connection(socket, this.#deps);
    const onStop = (): void => connection.end('The agent stops');
    if (this.#stopping.signal.aborted) onStop();
    this.#stopping.signal.addEventListener('abort', onStop);
    const look = setInterval(() => {
      const now = identityOf(this.#path);
      if (now !== undefined && now !== identity) connection.end('There is another socket');
    }, LOOK_MS);
    await connection.closed;
    clearInterval(look);
    this.#stopping.signal.removeEventListener('abort', onStop);
    if (connection.isWelcomed) this.#retryMs = RETRY_MS;
  }
}

function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.on('error', () => resolve(undefined));
  });
}

/** Which file is there now. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino, ctimeMs } = statSync(path);
    // The number alone is given to the next file at once.
    return `${dev}:${ino}:${ctimeMs}`;
  } catch {
    return undefined;
  }
}
