/** The agent: terminals that live on whoever is connected, and what a server asks of them. */
import type { Duplex } from 'node:stream';
import {
  AGENT_LIMITS,
  encodeAgentMessage,
  ProtocolError,
  type AgentMessage,
  type OpenFailure,
  type OpenRequest,
  type ServerMessage,
  type TerminalState,
} from '../../src/sandbox/agent-protocol/index.ts';
import { Sender } from '../../src/sandbox/streams/sender.ts';
import { foregroundGroup, killAll, send, signalAll, type Targets } from './processes.ts';
import { Reader } from './reader.ts';
import { ShellFailed } from './start-shell.ts';
import { Terminal } from './terminal.ts';

/** What hangs up on its terminal's close may do so for this long, then it is killed. */
const HANG_UP_MS = 1_000;

export class Agent {
  readonly #terminals = new Map<number, Terminal>();
  readonly #readers = new Map<number, Reader>();
  /** Users that shells run as, all of whose processes `kill-all` ends. */
  readonly #uids = new Set<number>();
  /** Undefined while nobody is connected. */
  #sender: Sender<AgentMessage> | undefined;

  get terminals(): TerminalState[] {
    return [...this.#terminals.values()].map((terminal) => terminal.state);
  }

  /** A server has welcomed this agent: it is the one to be told everything until the signal. */
  serve(connection: Duplex, ended: AbortSignal): void {
    const sender = new Sender<AgentMessage>(connection, encodeAgentMessage);
    this.#sender = sender;
    ended.addEventListener('abort', () => {
      if (this.#sender === sender) this.#sender = undefined;
      for (const attachment of this.#readers.keys()) this.#detach(attachment);
    });
  }

  /** Throws `ProtocolError` when the message does not fit what was said before. */
  handle(message: ServerMessage): void {
    if ('stream' in message) throw new ProtocolError('message', `The terminal link has no ${message.type}`);
    switch (message.type) {
      case 'open':
        return this.#open(message.terminal, message.request);
      case 'input':
        return this.#terminals.get(message.terminal)?.type(message.offset, message.data);
      case 'resize':
        return this.#terminals.get(message.terminal)?.resize(message);
      case 'signal': {
        const terminal = this.#terminals.get(message.terminal);
        const session = terminal?.exit ? undefined : terminal?.session;
        const group = session === undefined ? undefined : foregroundGroup(session);
        if (group !== undefined) send(-group, message.signal);
        return;
      }
      case 'close':
        return this.#close(message.terminal);
      case 'attach':
        return this.#attach(message);
      case 'credit': {
        const reader = this.#readers.get(message.attachment);
        if (!reader) return;
        reader.grant(message.bytes);
        this.#sender?.wake(reader);
        return;
      }
      case 'detach':
        // The last word on it, unless the terminal's close has said it already.
        if (this.#detach(message.attachment)) this.#sender?.answer({ type: 'gone', attachment: message.attachment });
        return;
      case 'count': {
        const bytes = [...this.#terminals.values()].reduce((sum, { output }) => sum + output.end, 0);
        return this.#sender?.answer({ type: 'counted', request: message.request, bytes });
      }
      case 'kill-all':
        return this.#killAll(message.request);
      case 'welcome':
      case 'refused':
        throw new ProtocolError('message', 'Welcomed twice');
    }
  }

  /** Kills what its terminals run. */
  stop(): void {
    killAll(sessionsOf(this.#terminals.values()));
  }

  #open(number: number, request: OpenRequest): void {
    const known = this.#terminals.get(number);
    if (known && known.id !== request.id) throw new ProtocolError('message', 'The number of another terminal');
    if (known) return this.#sender?.answer({ type: 'opened', terminal: number });
    if (this.#terminals.size >= AGENT_LIMITS.terminals)
      return this.#fail(number, 'limit', 'There are too many terminals');
    try {
      const terminal = new Terminal(number, request, {
        wake: (source) => this.#sender?.wake(source),
        onExit: ({ output }, exit) => {
          this.#sender?.answer({ type: 'exited', terminal: number, seq: output.end, exit });
        },
      });
      this.#terminals.set(number, terminal);
    } catch (error) {
      if (error instanceof ShellFailed) return this.#fail(number, 'fork', error.message);
      throw error;
    }
    const uid = request.owner?.uid;
    if (uid !== undefined && uid !== 0 && uid !== process.getuid?.()) this.#uids.add(uid);
    this.#sender?.answer({ type: 'opened', terminal: number });
  }

  #fail(terminal: number, code: OpenFailure, message: string): void {
    this.#sender?.answer({ type: 'failed', terminal, code, message });
  }

  #close(number: number): void {
    const terminal = this.#terminals.get(number);
    if (!terminal) return;
    this.#terminals.delete(number);
    for (const reader of this.#readers.values()) {
      if (reader.terminal !== terminal) continue;
      this.#detach(reader.attachment);
      this.#sender?.answer({ type: 'gone', attachment: reader.attachment });
    }
    this.#sender?.forget(terminal);
    this.#sender?.answer({ type: 'closed', terminal: number });
    terminal.dispose();
    signalAll(sessionsOf([terminal]), 'SIGHUP');
    // What is stopped hears nothing else.
    signalAll(sessionsOf([terminal]), 'SIGCONT');
    setTimeout(() => killAll(sessionsOf([terminal])), HANG_UP_MS);
  }

  #attach({ attachment, terminal: number, after, creditBytes }: ServerMessage & { type: 'attach' }): void {
    if (this.#readers.has(attachment)) throw new ProtocolError('message', 'The number of another attachment');
    const terminal = this.#terminals.get(number);
    if (!terminal || this.#readers.size >= AGENT_LIMITS.attachments) {
      return this.#sender?.answer({ type: 'gone', attachment });
    }
    const reader = new Reader(attachment, terminal, after, creditBytes);
    this.#readers.set(attachment, reader);
    terminal.add(reader);
  }

  #detach(attachment: number): boolean {
    const reader = this.#readers.get(attachment);
    if (!reader) return false;
    this.#readers.delete(attachment);
    this.#sender?.forget(reader);
    reader.terminal.remove(reader);
    return true;
  }

  #killAll(request: number): void {
    const processes = killAll({ ...sessionsOf(this.#terminals.values()), uids: this.#uids });
    this.#sender?.answer({ type: 'killed', request, processes });
  }
}

/** All that their shells have started and that has not left their sessions. */
function sessionsOf(terminals: Iterable<Terminal>): Targets {
  const sessions = [...terminals].map((terminal) => terminal.session).filter((session) => session !== undefined);
  return { sessions: new Set(sessions), uids: new Set() };
}
