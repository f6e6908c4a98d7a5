/**
 * The server's end of the link to the agent in one sandbox. Terminals and their readers outlive connections: when the
 * agent is back, or this server after a restart, everything goes on at the byte where it ended.
 */
import type { Log } from '../observability/log.ts';
import { Fault, withResolvers } from '../protocol/index.ts';
import type { Duplex } from 'node:stream';
import { AgentAttachment, type AttachmentEvents } from './agent-attachment.ts';
import { AgentConnection, type Hearer } from './agent-connection.ts';
import {
  AGENT_LIMITS,
  openShape,
  ProtocolError,
  sizeShape,
  type AgentMessage,
  type EndCode,
  type Exit,
  type Hello,
  type OpenRequest,
  type ServerMessage,
  type SignalName,
  type Size,
} from './agent-protocol/index.ts';
import { listenForAgent, type AgentSocket } from './agent-socket.ts';
import type { AgentStreams } from './agent-streams.ts';
import { AgentTerminal } from './agent-terminal.ts';
import { BulkLink } from './bulk-link.ts';
import { orAborted, valid } from './requests.ts';

/** Connections that have not said hello: an agent needs two. */
const STRANGERS = 4;

export interface AgentLinkOptions {
  /** Of the sandbox's own socket; made if it is not there. Left out: connections come by `take` alone. */
  directory?: string;
  /** Known to this sandbox's agent only. */
  secret: string;
  /** Of the lease under which this server has the sandbox. */
  fence: number;
  log: Log;
  events?: Partial<AgentLinkEvents>;
}

export interface AgentLinkEvents {
  /** The agent is there (again): `terminals()` is what it has. */
  onConnected: () => void;
  /** The agent is gone, or was sent away with the code; it will come back if it lives. */
  onDisconnected: (code: EndCode | undefined) => void;
  /** A terminal's shell has ended, whoever reads it. */
  onExited: (id: string, exit: Exit) => void;
  /** The agent came back without the terminal: its sandbox was started anew. */
  onLost: (id: string) => void;
  /** The agent has been another server's, with a higher fence: this one should give the sandbox up. */
  onSuperseded: () => void;
}

/** A terminal of the sandbox. */
export interface LinkedTerminal extends Size {
  id: string;
  exit: Exit | undefined;
}

export interface Attachment {
  /** After the last byte given. */
  readonly position: number;
  /** Takes so many bytes more, once what was given has been used. */
  grant(bytes: number): void;
  detach(): void;
}

export interface AttachOptions {
  /** Position in the terminal's output to read from; 0 is its beginning. */
  after: number;
  /** Bytes that may come before the first `grant`: what the reader has room for. */
  creditBytes: number;
}

interface Question {
  type: 'kill-all' | 'count';
  resolve: (answer: number) => void;
  reject: (error: Fault) => void;
}

/** The link to a sandbox's agent; with a directory it listens there. */
export async function createAgentLink(options: AgentLinkOptions): Promise<AgentLink> {
  const link = new AgentLink(options);
  await link.listen();
  return link;
}

export class AgentLink {
  /** What goes over the second connection. */
  readonly streams: AgentStreams;
  readonly #options: AgentLinkOptions;
  readonly #bulk = new BulkLink();
  readonly #terminals = new Map<number, AgentTerminal>();
  readonly #attachments = new Map<number, AgentAttachment>();
  /** Questions that wait for their answer, a number. */
  readonly #questions = new Map<number, Question>();
  readonly #strangers = new Set<AgentConnection>();
  /** Before the agent has said which numbers it uses there can be none of ours. */
  #isNumbered = withResolvers();
  #nextNumber = 1;
  #socket: AgentSocket | undefined;
  #connection: AgentConnection | undefined;
  /** The attachment whose snapshot is coming: nothing else may come before its last part. */
  #snapshotOf: number | undefined;
  #isClosed = false;

  constructor(options: AgentLinkOptions) {
    this.#options = options;
    this.streams = this.#bulk;
    this.#isNumbered.promise.catch(() => {});
  }

  /** Called by `createAgentLink`. */
  async listen(): Promise<void> {
    const { directory } = this.#options;
    if (directory !== undefined) this.#socket = await listenForAgent(directory, (socket) => this.take(socket));
  }

  /** A connection of the sandbox's agent: from its socket, or its stdin and stdout where it cannot reach one. */
  take(stream: Duplex): void {
    if (this.#isClosed || this.#strangers.size >= STRANGERS) {
      stream.on('error', () => {});
      stream.destroy();
      return;
    }
    const { secret, fence, log } = this.#options;
    const connection = new AgentConnection({
      stream,
      secret,
      fence,
      log,
      onHello: (connection, hello) => this.#onHello(connection, hello),
      onEnded: (connection, code, reason) => this.#onEnded(connection, code, reason),
    });
    this.#strangers.add(connection);
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /**
   * Resolves once the agent has been there, with both of its connections: its terminals are known then. Rejects as the
   * signal does, and when the link is stopped before.
   */
  async connected(signal?: AbortSignal): Promise<void> {
    await orAborted(Promise.all([this.#isNumbered.promise, this.#bulk.served]), signal);
  }

  /** The terminals that the agent has, as far as is known; those that have ended stay until they are closed. */
  terminals(): LinkedTerminal[] {
    return [...this.#terminals.values()]
      .filter((terminal) => terminal.isOpen && !terminal.isClosed)
      .map(({ id, size, exit }) => ({ id, ...size, exit }));
  }

  /**
   * Opens a terminal, or finds it open. Waits for the agent as long as `signal` lets it. Rejects with `unavailable` when
   * no process can be started, `quota_exceeded` when there are too many terminals, `invalid` for a request that the
   * protocol does not carry, `too_large` for one of more than 64 KiB.
   */
  async open(request: OpenRequest, signal?: AbortSignal): Promise<void> {
    valid(() => openShape(request, 'The request'));
    if (Buffer.byteLength(JSON.stringify(request)) > AGENT_LIMITS.payloadBytes) {
      throw new Fault('too_large', 'The command line and the environment are too long');
    }
    await orAborted(this.#isNumbered.promise, signal);
    const known = this.#find(request.id);
    if (known) return orAborted(known.opened, signal);
    const terminal = AgentTerminal.new(this.#nextNumber++, request, (message) => this.#send(message));
    this.#terminals.set(terminal.number, terminal);
    this.#send({ type: 'open', terminal: terminal.number, request });
    await orAborted(terminal.opened, signal);
  }

  /** Reads a terminal from a position on. What it is given counts against its credit until that is granted again. */
  attach(id: string, { after, creditBytes }: AttachOptions, events: AttachmentEvents): Attachment {
    const terminal = this.#get(id);
    if (this.#attachments.size >= AGENT_LIMITS.attachments) throw new Fault('quota_exceeded', 'Too many readers');
    const number = this.#nextNumber++;
    const send = (message: ServerMessage): void => this.#send(message);
    const deps = { number, terminal: terminal.number, send, events };
    const attachment = new AgentAttachment(deps, after, creditBytes);
    this.#attachments.set(number, attachment);
    attachment.resume();
    return attachment;
  }

  /** Types into a terminal. Throws `rate_limited` while its programs do not read what was typed before (64 KiB). */
  input(id: string, data: Uint8Array): void {
    this.#get(id).type(data);
  }

  /** Throws `invalid` for more than 500 columns or 200 rows. */
  resize(id: string, size: Size): void {
    valid(() => sizeShape({ columns: size.columns, rows: size.rows }, 'The size'));
    this.#get(id).resize(size);
  }

  /** Signals what runs in the terminal's foreground. While the agent is away this does nothing. */
  signal(id: string, signal: SignalName): void {
    this.#send({ type: 'signal', terminal: this.#get(id).number, signal });
  }

  /** Ends the terminal's programs and forgets it. Its readers hear `onLost`. */
  close(id: string): void {
    this.#get(id).close();
  }

  /** Kills every process of the sandbox's terminals and users, and resolves with their count. */
  killAll(): Promise<number> {
    return this.#ask('kill-all');
  }

  /** How many bytes of output all terminals of now have had, whether anybody reads them or not. */
  written(): Promise<number> {
    return this.#ask('count');
  }

  /** Leaves the sandbox: the agent and its terminals go on, and wait for the next server. */
  async stop(): Promise<void> {
    this.#isClosed = true;
    const gone = new Fault('unavailable', 'The server stops');
    await this.#socket?.close();
    for (const connection of [...this.#strangers, ...(this.#connection ? [this.#connection] : [])]) {
      connection.end('stopping', 'The server stops');
    }
    this.#bulk.stop();
    this.#isNumbered.reject(gone);
    for (const terminal of this.#terminals.values()) terminal.fail(gone);
    for (const { reject } of this.#questions.values()) reject(gone);
  }

  #send(message: ServerMessage): void {
    this.#connection?.send(message);
  }

  #ask(type: Question['type']): Promise<number> {
    const request = this.#nextNumber++;
    const { promise, resolve, reject } = withResolvers<number>();
    this.#questions.set(request, { type, resolve, reject });
    this.#send({ type, request });
    return promise;
  }

  #answer(request: number, type: Question['type'], value: number): void {
    const question = this.#questions.get(request);
    if (question?.type !== type) throw new ProtocolError('message', 'An answer to no question');
    this.#questions.delete(request);
    question.resolve(value);
  }

  #find(id: string): AgentTerminal | undefined {
    return [...this.#terminals.values()].find((terminal) => terminal.id === id && !terminal.isClosed);
  }

  #get(id: string): AgentTerminal {
    const terminal = this.#find(id);
    if (!terminal?.isOpen) throw new Fault('not_found', 'There is no such terminal');
    return terminal;
  }

  #onHello(connection: AgentConnection, hello: Hello): Hearer {
    this.#strangers.delete(connection);
    if (hello.role === 'bulk') {
      if (hello.terminals.length > 0) throw new ProtocolError('message', 'Terminals on the bulk link');
      return this.#bulk.serve(connection);
    }
    this.#resume(connection, hello);
    return (message) => this.#onMessage(message);
  }

  #resume(connection: AgentConnection, hello: Hello): void {
    const { terminals } = hello;
    const ids = new Set(terminals.map(({ id }) => id));
    const numbers = new Set(terminals.map(({ number }) => number));
    if (ids.size < terminals.length || numbers.size < terminals.length) {
      throw new ProtocolError('message', 'A terminal twice');
    }
    this.#connection?.end('replaced', 'The agent has connected anew');
    this.#connection = connection;
    this.#snapshotOf = undefined;
    this.#nextNumber = Math.max(this.#nextNumber, ...[...numbers].map((number) => number + 1));
    for (const state of terminals) {
      const known = this.#terminals.get(state.number);
      const exit = known?.exit;
      if (known) known.resume(state);
      else
        this.#terminals.set(
          state.number,
          AgentTerminal.adopt(state, (message) => this.#send(message)),
        );
      if (known && !exit && state.exit) this.#options.events?.onExited?.(state.id, state.exit);
    }
    for (const terminal of this.#terminals.values()) {
      if (!numbers.has(terminal.number) && (terminal.isClosed || !terminal.missing())) this.#lose(terminal);
    }
    for (const [number, attachment] of this.#attachments) {
      // The agent knows of none: those that are over need no last word.
      if (attachment.isOver) this.#attachments.delete(number);
      else attachment.resume();
    }
    for (const [request, { type }] of this.#questions) this.#send({ type, request });
    this.#isNumbered.resolve();
    this.#options.events?.onConnected?.();
  }

  #lose(terminal: AgentTerminal): void {
    this.#terminals.delete(terminal.number);
    terminal.fail(new Fault('unavailable', 'The terminal is lost'));
    for (const [number, attachment] of this.#attachments) {
      if (attachment.terminal !== terminal.number) continue;
      this.#attachments.delete(number);
      attachment.lose();
    }
    if (!terminal.isClosed) this.#options.events?.onLost?.(terminal.id);
  }

  #onEnded(connection: AgentConnection, code: EndCode | undefined, reason: string): void {
    const { log, events } = this.#options;
    if (code !== undefined && code !== 'stopping') log.warn('The link to an agent was ended', { code, reason });
    this.#strangers.delete(connection);
    this.#bulk.onEnded(connection);
    if (this.#connection === connection) {
      this.#connection = undefined;
      events?.onDisconnected?.(code);
    }
    if (code === 'superseded') events?.onSuperseded?.();
  }

  #onMessage(message: Exclude<AgentMessage, { type: 'hello' }>): void {
    if ('stream' in message) throw new ProtocolError('message', `The terminal link has no ${message.type}`);
    if (this.#snapshotOf !== undefined) {
      if (message.type !== 'snapshot' || message.attachment !== this.#snapshotOf) {
        throw new ProtocolError('message', 'Something amid a snapshot');
      }
    }
    switch (message.type) {
      case 'opened':
      case 'failed':
      case 'exited':
      case 'closed':
      case 'taken':
        return this.#onTerminalMessage(message);
      case 'output':
        return this.#attachment(message.attachment).output(message);
      case 'snapshot': {
        const isWhole = this.#attachment(message.attachment).snapshot(message);
        this.#snapshotOf = isWhole ? undefined : message.attachment;
        return;
      }
      case 'end':
        return this.#attachment(message.attachment).exit(message);
      case 'gone': {
        const attachment = this.#attachment(message.attachment);
        this.#attachments.delete(message.attachment);
        return attachment.lose();
      }
      case 'killed':
        return this.#answer(message.request, 'kill-all', message.processes);
      case 'counted':
        return this.#answer(message.request, 'count', message.bytes);
    }
  }

  #onTerminalMessage(message: Extract<AgentMessage, { terminal: number }>): void {
    const terminal = this.#terminals.get(message.terminal);
    if (!terminal) throw new ProtocolError('message', 'A terminal that does not exist');
    switch (message.type) {
      case 'opened':
        return terminal.onOpened();
      case 'failed':
        if (terminal.isOpen) throw new ProtocolError('message', 'An open terminal failed');
        this.#terminals.delete(terminal.number);
        return terminal.fail(new Fault(message.code === 'limit' ? 'quota_exceeded' : 'unavailable', message.message));
      case 'exited':
        if (terminal.exit) throw new ProtocolError('message', 'A second exit');
        terminal.onExited(message.exit);
        if (!terminal.isClosed) this.#options.events?.onExited?.(terminal.id, message.exit);
        return;
      case 'closed':
        if (!terminal.isClosed) throw new ProtocolError('message', 'Closed without being asked');
        return this.#lose(terminal);
      case 'taken':
        return terminal.onTaken(message.input);
    }
  }

  /** A number stays an attachment's until the agent's last word on it. */
  #attachment(number: number): AgentAttachment {
    const attachment = this.#attachments.get(number);
    if (!attachment) throw new ProtocolError('message', 'An attachment that does not exist');
    return attachment;
  }
}
