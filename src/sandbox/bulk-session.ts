/** Everything that one bulk connection carries, until it ends. What the agent says is believed as far as it was asked. */
import type { Duplex } from 'node:stream';
import { Fault, withResolvers } from '../protocol/index.ts';
import type { AgentConnection } from './agent-connection.ts';
import {
  AGENT_LIMITS,
  encodeServerMessage,
  FIRST_AGENT_STREAM,
  ProtocolError,
  spawnShape,
  type AgentMessage,
  type ServerMessage,
  type UnableCode,
} from './agent-protocol/index.ts';
import type { SandboxProcess, SpawnRequest } from './agent-streams.ts';
import { BulkProcess } from './bulk-process.ts';
import { orAborted, valid } from './requests.ts';
import { Sender } from './streams/sender.ts';
import { StreamTable } from './streams/stream-table.ts';

/** Answers that an agent has not read: all of its streams have one or two. */
const WAITING_ANSWERS = 4 * (AGENT_LIMITS.serverStreams + AGENT_LIMITS.agentStreams);
/** Stdin, stdout and stderr. */
const STREAMS_OF_PROCESS = 3;

const FAULTS: Record<UnableCode, [code: 'unavailable' | 'quota_exceeded' | 'upstream', message: string]> = {
  fork: ['unavailable', 'No process could be started'],
  limit: ['quota_exceeded', 'The sandbox has too many connections'],
  port: ['upstream', 'Nothing listens on this port'],
};

type Started = ReturnType<typeof withResolvers<void>>;

export class BulkSession {
  readonly #connection: AgentConnection;
  readonly #takerOf: (listener: string) => ((stream: Duplex) => void) | undefined;
  readonly #sender: Sender<ServerMessage>;
  readonly #table: StreamTable;
  /** Asked for, and neither started nor refused. */
  readonly #starting = new Map<number, Started>();
  readonly #processes = new Map<number, BulkProcess>();
  #nextNumber = 1;

  constructor(connection: AgentConnection, takerOf: (listener: string) => ((stream: Duplex) => void) | undefined) {
    this.#connection = connection;
    this.#takerOf = takerOf;
    this.#sender = new Sender(connection.stream, encodeServerMessage);
    this.#table = new StreamTable(this.#sender);
  }

  async spawn(request: SpawnRequest, signal?: AbortSignal): Promise<SandboxProcess> {
    const { argv, env, cwd } = request;
    valid(() => spawnShape({ argv, env, cwd }, 'The request'));
    if (Buffer.byteLength(JSON.stringify({ argv, env, cwd })) > AGENT_LIMITS.payloadBytes) {
      throw new Fault('too_large', 'The command line and the environment are too long');
    }
    signal?.throwIfAborted();
    const number = this.#numbers(STREAMS_OF_PROCESS);
    this.#sender.answer({ type: 'spawn', stream: number, request: { argv, env, cwd } });
    const child = new BulkProcess(
      {
        stdin: this.#table.add(number, 'write'),
        stdout: this.#table.add(number + 1, 'read'),
        stderr: this.#table.add(number + 2, 'read'),
      },
      (name) => {
        if (this.#processes.has(number)) this.#sender.answer({ type: 'kill', stream: number, signal: name });
      },
    );
    this.#processes.set(number, child);
    try {
      await orAborted(this.#started(number), signal);
    } catch (error) {
      child.abandon();
      throw error;
    }
    return child;
  }

  async connect(port: number, signal?: AbortSignal): Promise<Duplex> {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Fault('invalid', 'This is no port');
    signal?.throwIfAborted();
    const number = this.#numbers(1);
    this.#sender.answer({ type: 'connect', stream: number, port });
    const stream = this.#table.add(number, 'both');
    try {
      await orAborted(this.#started(number), signal);
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return stream;
  }

  /** Throws `ProtocolError` where the agent says what it may not. */
  handle(message: Exclude<AgentMessage, { type: 'hello' }>): void {
    if (!('stream' in message)) throw new ProtocolError('message', `The bulk link has no ${message.type}`);
    switch (message.type) {
      case 'data':
      case 'finish':
      case 'reset':
      case 'more':
        this.#table.handle(message);
        break;
      case 'started':
        this.#answered(message.stream).resolve();
        break;
      case 'unable': {
        const answered = this.#answered(message.stream);
        this.#processes.delete(message.stream);
        const [code, text] = FAULTS[message.code];
        answered.reject(new Fault(code, text));
        break;
      }
      case 'ended': {
        const child = this.#processes.get(message.stream);
        if (!child || this.#starting.has(message.stream)) throw new ProtocolError('message', 'No such process ran');
        this.#processes.delete(message.stream);
        child.onEnded(message.exit);
        break;
      }
      case 'incoming':
        this.#onIncoming(message.stream, message.listener);
        break;
    }
    if (this.#sender.waiting > WAITING_ANSWERS) this.#connection.end('timeout', 'The agent does not read');
  }

  /** The connection has ended. */
  end(): void {
    const gone = new Fault('unavailable', 'The sandbox cannot be reached');
    for (const { reject } of this.#starting.values()) reject(gone);
    for (const child of this.#processes.values()) child.fail(gone);
    this.#processes.clear();
    this.#table.fail(gone);
  }

  #onIncoming(number: number, listener: string): void {
    if (number < FIRST_AGENT_STREAM) throw new ProtocolError('message', 'A number that is not for agents');
    const stream = this.#table.add(number, 'both');
    const take = this.#takerOf(listener);
    if (take && this.#table.count('agent') <= AGENT_LIMITS.agentStreams) take(stream);
    else stream.destroy();
  }

  #numbers(count: number): number {
    const isFull = this.#table.count('server') + count > AGENT_LIMITS.serverStreams;
    if (isFull) throw new Fault(...FAULTS.limit);
    const number = this.#nextNumber;
    this.#nextNumber += count;
    return number;
  }

  #started(number: number): Promise<void> {
    const started = withResolvers();
    // It may have been given up.
    started.promise.catch(() => {});
    this.#starting.set(number, started);
    return started.promise;
  }

  #answered(number: number): Started {
    const started = this.#starting.get(number);
    if (!started) throw new ProtocolError('message', 'An answer to no question');
    this.#starting.delete(number);
    return started;
  }
}
