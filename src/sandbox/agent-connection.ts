/** One connection of an agent, from its hello to its end. Nothing that comes is believed: what is wrong ends it. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import type { Log } from '../observability/log.ts';
import {
  AGENT_LIMITS,
  decodeAgentMessage,
  encodeServerMessage,
  FrameBudget,
  FrameParser,
  ProtocolError,
  VERSION,
  type AgentMessage,
  type EndCode,
  type Hello,
  type ServerMessage,
} from './agent-protocol/index.ts';

/** What waits for an agent that does not read: above all that its terminals may have of input, which is 8 MiB. */
const WAITING_BYTES = 16 * 1024 * 1024;
/** The last word gets so long to be read. */
const LAST_WORD_MS = 1_000;

/** What an agent says after its hello. */
export type Hearer = (message: Exclude<AgentMessage, { type: 'hello' }>) => void;

export interface AgentConnectionDeps {
  stream: Duplex;
  secret: string;
  /** This server's. */
  fence: number;
  log: Log;
  /**
   * A hello that is right; the connection has been welcomed. Gives who hears all that follows. Both may throw
   * `ProtocolError`.
   */
  onHello: (connection: AgentConnection, hello: Hello) => Hearer;
  /** Called once. Without a code it is the agent that has ended it. */
  onEnded: (connection: AgentConnection, code: EndCode | undefined, reason: string) => void;
}

export class AgentConnection {
  readonly #deps: AgentConnectionDeps;
  readonly #parser = new FrameParser();
  readonly #budget = new FrameBudget(AGENT_LIMITS.framesPerSecondTaken, performance.now());
  readonly #helloTimer: NodeJS.Timeout;
  #hear: Hearer | undefined;
  #isEnded = false;

  constructor(deps: AgentConnectionDeps) {
    this.#deps = deps;
    const { stream } = deps;
    this.#helloTimer = setTimeout(() => this.end('timeout', 'No hello'), AGENT_LIMITS.helloMs);
    stream.on('data', (piece: Uint8Array) => this.#receive(piece));
    // Its close follows.
    stream.on('error', () => {});
    stream.on('end', () => stream.destroy());
    stream.on('close', () => this.#ended(undefined, 'The agent has gone'));
  }

  /** What it is made of; only a `Sender` writes to it besides this. */
  get stream(): Duplex {
    return this.#deps.stream;
  }

  /** Sends; what an ended connection is given goes nowhere. */
  send(message: ServerMessage): void {
    if (this.#isEnded) return;
    this.stream.write(encodeServerMessage(message));
    if (this.stream.writableLength > WAITING_BYTES) this.end('timeout', 'The agent does not read');
  }

  /** Tells the agent why, and ends. Nothing that comes afterwards is looked at. */
  end(code: EndCode, reason: string): void {
    if (this.#isEnded) return;
    const { stream } = this;
    const message = reason.slice(0, AGENT_LIMITS.messageLength);
    stream.end(encodeServerMessage({ type: 'refused', code, message }), () => stream.destroy());
    this.#ended(code, reason);
    const timer = setTimeout(() => stream.destroy(), LAST_WORD_MS);
    stream.once('close', () => clearTimeout(timer));
  }

  #ended(code: EndCode | undefined, reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#helloTimer);
    this.#deps.onEnded(this, code, reason);
  }

  #receive(piece: Uint8Array): void {
    try {
      if (this.#isEnded) return;
      const nowMs = performance.now();
      for (const frame of this.#parser.push(piece)) {
        if (!this.#budget.take(nowMs)) throw new ProtocolError('flood', 'Too many frames');
        this.#handle(decodeAgentMessage(frame));
        // A handler may have ended it.
        if (this.#isEnded) return;
      }
    } catch (error) {
      if (error instanceof ProtocolError) return this.end(error.code, error.message);
      // Ours, but it concerns this sandbox only.
      this.#deps.log.error('A message of an agent could not be handled', { error });
      this.end('stopping', 'Something went wrong');
    }
  }

  #handle(message: AgentMessage): void {
    if (message.type === 'hello') return this.#greet(message.hello);
    if (!this.#hear) throw new ProtocolError('message', 'A message before hello');
    this.#hear(message);
  }

  #greet(hello: Hello): void {
    const { secret, fence, onHello } = this.#deps;
    if (this.#hear) throw new ProtocolError('message', 'A second hello');
    if (hello.version !== VERSION) throw new ProtocolError('version', `This server speaks version ${VERSION}`);
    if (!isEqual(hello.secret, secret)) throw new ProtocolError('secret', 'Another sandbox has this secret');
    if (hello.fence > fence) throw new ProtocolError('superseded', `There is a server with the fence ${hello.fence}`);
    clearTimeout(this.#helloTimer);
    this.send({ type: 'welcome', fence });
    this.#hear = onHello(this, hello);
  }
}

/** Takes as long for every wrong one. */
function isEqual(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}
