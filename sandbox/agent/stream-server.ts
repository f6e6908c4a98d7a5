/** The agent's end of the bulk link: processes and connections that live no longer than their connection to the server. */
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  AGENT_LIMITS,
  encodeAgentMessage,
  FIRST_AGENT_STREAM,
  ProtocolError,
  type AgentMessage,
  type ServerMessage,
  type SpawnRequest,
} from '../../src/sandbox/agent-protocol/index.ts';
import type { ByteStream } from '../../src/sandbox/streams/byte-stream.ts';
import { Sender } from '../../src/sandbox/streams/sender.ts';
import { StreamTable } from '../../src/sandbox/streams/stream-table.ts';
import type { Listeners } from './listeners.ts';
import { killAll } from './processes.ts';
import { Spawned } from './spawned.ts';

/** Programs listen on either. */
const LOOPBACKS = ['127.0.0.1', '::1'];

export class StreamServer {
  readonly #listeners: Listeners;
  #session: Session | undefined;

  constructor(listeners: Listeners) {
    this.#listeners = listeners;
  }

  /** A server has welcomed this agent: it is the one to be served until the signal. */
  serve(connection: Duplex, ended: AbortSignal): void {
    const session = new Session(connection);
    this.#session = session;
    this.#listeners.taker = (name, socket) => session.take(name, socket);
    ended.addEventListener('abort', () => {
      session.end();
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#listeners.taker = undefined;
    });
  }

  /** Throws `ProtocolError` when the message does not fit what was said before. */
  handle(message: ServerMessage): void {
    this.#session?.handle(message);
  }

  stop(): void {
    this.#session?.end();
  }
}

/** Everything of one connection. */
class Session {
  readonly #sender: Sender<AgentMessage>;
  readonly #table: StreamTable;
  readonly #processes = new Map<number, Spawned>();
  #nextNumber = FIRST_AGENT_STREAM;

  constructor(connection: Duplex) {
    this.#sender = new Sender(connection, encodeAgentMessage);
    this.#table = new StreamTable(this.#sender);
  }

  handle(message: ServerMessage): void {
    if (!('stream' in message)) throw new ProtocolError('message', `The bulk link has no ${message.type}`);
    switch (message.type) {
      case 'spawn':
        return this.#spawn(message.stream, message.request);
      case 'connect':
        return this.#connect(message.stream, message.port);
      case 'kill':
        return this.#processes.get(message.stream)?.kill(message.signal);
      case 'data':
      case 'finish':
      case 'reset':
      case 'more':
        return this.#table.handle(message);
    }
  }

  /** What a program has connected to a listener. */
  take(listener: string, socket: Socket): void {
    if (this.#table.count('agent') >= AGENT_LIMITS.agentStreams) return void socket.resetAndDestroy();
    const stream = this.#table.add(this.#nextNumber++, 'both');
    this.#sender.answer({ type: 'incoming', stream: stream.number, listener });
    join(socket, stream);
  }

  end(): void {
    const sessions = [...this.#processes.values()].map(({ session }) => session).filter((pid) => pid !== undefined);
    if (sessions.length > 0) killAll({ sessions: new Set(sessions), uids: new Set() });
    this.#processes.clear();
    this.#table.fail(new Error('The connection has ended'));
  }

  #spawn(number: number, request: SpawnRequest): void {
    const streams = {
      stdin: this.#table.add(number, 'read'),
      stdout: this.#table.add(number + 1, 'write'),
      stderr: this.#table.add(number + 2, 'write'),
    };
    const fail = (code: 'fork' | 'limit'): void => {
      this.#processes.delete(number);
      for (const stream of Object.values(streams)) stream.fail(new Error('No process'));
      this.#sender.answer({ type: 'unable', stream: number, code });
    };
    if (this.#table.count('server') > AGENT_LIMITS.serverStreams) return fail('limit');
    try {
      const spawned = new Spawned(request, streams, {
        onStarted: () => this.#sender.answer({ type: 'started', stream: number }),
        onFailed: () => fail('fork'),
        onEnded: (exit) => {
          this.#processes.delete(number);
          this.#sender.answer({ type: 'ended', stream: number, exit });
        },
      });
      this.#processes.set(number, spawned);
    } catch {
      // What the system refuses at once, as a command line that is too long.
      fail('fork');
    }
  }

  #connect(number: number, port: number): void {
    const stream = this.#table.add(number, 'both');
    if (this.#table.count('server') > AGENT_LIMITS.serverStreams) return this.#cannotConnect(stream, 'limit');
    this.#try(stream, port, LOOPBACKS);
  }

  #try(stream: ByteStream, port: number, [host, ...others]: readonly string[]): void {
    if (host === undefined || stream.destroyed) return this.#cannotConnect(stream, 'port');
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const giveUp = (): void => void socket.destroy();
    stream.once('close', giveUp);
    socket.on('error', () => {});
    const onClose = (): void => {
      stream.off('close', giveUp);
      this.#try(stream, port, others);
    };
    socket.once('close', onClose);
    socket.once('connect', () => {
      socket.off('close', onClose);
      stream.off('close', giveUp);
      this.#sender.answer({ type: 'started', stream: stream.number });
      join(socket, stream);
    });
  }

  #cannotConnect(stream: ByteStream, code: 'limit' | 'port'): void {
    stream.fail(new Error('No connection'));
    this.#sender.answer({ type: 'unable', stream: stream.number, code });
  }
}

/** Each into the other, half by half. What breaks one breaks the other. */
function join(socket: Socket, stream: ByteStream): void {
  socket.pipe(stream);
  stream.pipe(socket);
  socket.once('close', () => {
    if (!socket.readableEnded || !socket.writableFinished) stream.destroy();
  });
  stream.once('close', () => {
    if (stream.readableEnded && stream.writableFinished) return;
    socket.resetAndDestroy();
  });
}
