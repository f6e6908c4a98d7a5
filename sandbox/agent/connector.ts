/**
 * Keeps a connection to the server: connects, says hello, and again for ever whenever it ends. Only servers with the
 * highest fence seen so far are served, and whoever puts a new socket in the old one's place is turned to.
 */
import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AGENT_LIMITS,
  decodeServerMessage,
  encodeAgentMessage,
  FrameParser,
  VERSION,
  type Role,
  type ServerMessage,
  type TerminalState,
} from '../../src/sandbox/agent-protocol/index.ts';

/** Between attempts, each time twice as long … */
const RETRY_MS = 50;
/** … up to this: a server that is back finds its terminals within a second. */
const RETRY_MOST_MS = 1_000;
/** How often the socket is looked at, whether it is still the one connected to. */
const LOOK_MS = 500;

export interface ConnectorDeps {
  path: string;
  secret: string;
  role: Role;
  terminals: () => TerminalState[];
  /** Welcomed: messages follow until the signal, which comes before the next welcome. */
  onWelcome: (socket: Socket, ended: AbortSignal) => void;
  /** Throws where the server has broken the protocol, which ends the connection. */
  onMessage: (message: ServerMessage) => void;
  /** Why a connection has ended; not called for attempts that found no server. */
  onEnded: (reason: string) => void;
}

export class Connector {
  readonly #deps: ConnectorDeps;
  readonly #stopping = new AbortController();
  #fence: number;
  #retryMs = RETRY_MS;

  /** `fence`: the one of the server that made the sandbox; 0 if unknown. */
  constructor(deps: ConnectorDeps, fence: number) {
    this.#deps = deps;
    this.#fence = fence;
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
    const { path, onEnded } = this.#deps;
    const identity = identityOf(path);
    const socket = connect(path);
    const ended = new AbortController();
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => {
        ended.abort();
        resolve();
      });
    });
    let connected = false;
    socket.once('connect', () => {
      connected = true;
      this.#sayHello(socket);
    });
    socket.on('error', () => {});
    const end = (reason: string): void => {
      if (socket.destroyed) return;
      if (connected) onEnded(reason);
      socket.destroy();
    };
    const parser = new FrameParser();
    let welcomed = false;
    socket.on('data', (piece) => {
      try {
        for (const frame of parser.push(piece)) {
          // What follows in the same piece is not the business of a connection that has ended.
          if (socket.destroyed) return;
          const message = decodeServerMessage(frame);
          if (message.type === 'refused') throw new Error(`Refused (${message.code}): ${message.message}`);
          if (welcomed) this.#deps.onMessage(message);
          else {
            this.#beWelcomed(message);
            welcomed = true;
            this.#retryMs = RETRY_MS;
            this.#deps.onWelcome(socket, ended.signal);
          }
        }
      } catch (error) {
        end(error instanceof Error ? error.message : String(error));
      }
    });
    const onStop = (): void => end('The agent stops');
    this.#stopping.signal.addEventListener('abort', onStop);
    const welcome = setTimeout(() => {
      if (!welcomed) end('The server does not answer');
    }, AGENT_LIMITS.helloMs);
    const look = setInterval(() => {
      const now = identityOf(path);
      if (now !== undefined && now !== identity) end('There is another socket');
    }, LOOK_MS);
    await closed;
    clearTimeout(welcome);
    clearInterval(look);
    this.#stopping.signal.removeEventListener('abort', onStop);
  }

  #sayHello(socket: Socket): void {
    const { role, secret, terminals } = this.#deps;
    const hello = { version: VERSION, role, fence: this.#fence, secret, terminals: terminals() };
    socket.write(encodeAgentMessage({ type: 'hello', hello }));
  }

  #beWelcomed(message: ServerMessage): void {
    if (message.type !== 'welcome') throw new Error('The server speaks before its welcome');
    if (message.fence < this.#fence) throw new Error(`The server's fence is ${message.fence}, not ${this.#fence}`);
    this.#fence = message.fence;
  }
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
