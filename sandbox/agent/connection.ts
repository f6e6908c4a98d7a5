/** One connection to a server, from hello to its end. */
import type { Duplex } from 'node:stream';
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

/** The highest that any server has said, whatever its connection is for. */
export interface Fence {
  highest: number;
}

export interface ConnectionDeps {
  role: Role;
  secret: string;
  fence: Fence;
  terminals: () => TerminalState[];
  /** Welcomed: messages follow until the signal, which comes before the next welcome. */
  onWelcome: (stream: Duplex, ended: AbortSignal) => void;
  /** Throws where the server has broken the protocol, which ends the connection. */
  onMessage: (message: ServerMessage) => void;
  /** Why it is ended by this end. */
  onEnded: (reason: string) => void;
}

export class Connection {
  readonly #deps: ConnectionDeps;
  readonly #stream: Duplex;
  readonly #parser = new FrameParser();
  readonly #ended = new AbortController();
  /** Settles when it has ended. */
  readonly closed: Promise<void>;
  #isWelcomed = false;

  /** Says hello. */
  constructor(stream: Duplex, deps: ConnectionDeps) {
    this.#deps = deps;
    this.#stream = stream;
    const welcome = setTimeout(() => {
      if (!this.#isWelcomed) this.end('The server does not answer');
    }, AGENT_LIMITS.helloMs);
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        clearTimeout(welcome);
        this.#ended.abort();
        resolve();
      });
    });
    stream.on('error', () => {});
    stream.on('data', (piece: Uint8Array) => this.#receive(piece));
    stream.on('end', () => stream.destroy());
    this.#sayHello();
  }

  get isWelcomed(): boolean {
    return this.#isWelcomed;
  }

  end(reason: string): void {
    if (this.#stream.destroyed) return;
    this.#deps.onEnded(reason);
    this.#stream.destroy();
  }

  #receive(piece: Uint8Array): void {
    try {
      for (const frame of this.#parser.push(piece)) {
        // What follows in the same piece is not the business of a connection that has ended.
        if (this.#stream.destroyed) return;
        const message = decodeServerMessage(frame);
        if (message.type === 'refused') throw new Error(`Refused (${message.code}): ${message.message}`);
        if (this.#isWelcomed) this.#deps.onMessage(message);
        else this.#beWelcomed(message);
      }
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
    }
  }

  #sayHello(): void {
    const { role, secret, fence, terminals } = this.#deps;
    const hello = { version: VERSION, role, fence: fence.highest, secret, terminals: terminals() };
    this.#stream.write(encodeAgentMessage({ type: 'hello', hello }));
  }

  #beWelcomed(message: ServerMessage): void {
    const { fence, onWelcome } = this.#deps;
    if (message.type !== 'welcome') throw new Error('The server speaks before its welcome');
    if (message.fence < fence.highest) throw new Error(`The server's fence is ${message.fence}, not ${fence.highest}`);
    fence.highest = message.fence;
    this.#isWelcomed = true;
    onWelcome(this.#stream, this.#ended.signal);
  }
}
