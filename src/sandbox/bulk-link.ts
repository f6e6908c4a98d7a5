/** The server's end of a sandbox's bulk link. Streams live no longer than the connection; takers and listeners do. */
import type { Duplex } from 'node:stream';
import { Fault, withResolvers } from '../protocol/index.ts';
import type { AgentConnection, Hearer } from './agent-connection.ts';
import type { AgentStreams, SandboxProcess, SpawnRequest } from './agent-streams.ts';
import { BulkSession } from './bulk-session.ts';

export class BulkLink implements AgentStreams {
  readonly #takers = new Map<string, (stream: Duplex) => void>();
  readonly #listeners = new Set<() => void>();
  readonly #served = withResolvers();
  #current: { connection: AgentConnection; session: BulkSession } | undefined;

  constructor() {
    this.#served.promise.catch(() => {});
  }

  /** Resolves once there has been a connection; rejects when it is stopped before. */
  get served(): Promise<void> {
    return this.#served.promise;
  }

  get isConnected(): boolean {
    return this.#current !== undefined;
  }

  async spawn(request: SpawnRequest, signal?: AbortSignal): Promise<SandboxProcess> {
    return this.#session().spawn(request, signal);
  }

  async connect(port: number, signal?: AbortSignal): Promise<Duplex> {
    return this.#session().connect(port, signal);
  }

  accept(listener: string, take: (stream: Duplex) => void): () => void {
    if (this.#takers.has(listener)) throw new Error(`There is a taker for ${listener}`);
    this.#takers.set(listener, take);
    return () => void this.#takers.delete(listener);
  }

  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A welcomed connection, in place of the one before. Gives who hears what comes on it. */
  serve(connection: AgentConnection): Hearer {
    this.#current?.connection.end('replaced', 'The agent has connected anew');
    const session = new BulkSession(connection, (listener) => this.#takers.get(listener));
    this.#current = { connection, session };
    this.#served.resolve();
    // When the connection hears already what it answers.
    process.nextTick(() => {
      if (this.#current?.connection === connection) for (const listener of this.#listeners) listener();
    });
    return (message) => session.handle(message);
  }

  stop(): void {
    this.#served.reject(new Fault('unavailable', 'The server stops'));
    this.#current?.connection.end('stopping', 'The server stops');
  }

  /** A connection has ended, this link's or another. */
  onEnded(connection: AgentConnection): void {
    if (this.#current?.connection !== connection) return;
    const { session } = this.#current;
    this.#current = undefined;
    session.end();
  }

  #session(): BulkSession {
    if (!this.#current) throw new Fault('unavailable', 'The sandbox cannot be reached');
    return this.#current.session;
  }
}
