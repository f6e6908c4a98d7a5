/**
 * One socket from its handshake to its end: the dispatcher that turns packets into calls, `hello`, and the clock of
 * its session.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'socket.io';
import {
  Fault,
  isSmallerThan,
  KeyedQueue,
  LIMITS,
  type Answer,
  type Call,
  type Caller,
  type Origin,
  type Session,
} from '../protocol/index.ts';
import { engineOf } from './engine.ts';

/** What a feature does for a socket that comes and goes. */
export interface ConnectionHook {
  /** Resolves when nothing of the user's rooms can be missed any more; `hello` waits for it. */
  connected?: (connection: ConnectionRef) => Promise<void>;
  /** `vanished`: the connection did not end but fell silent, until nobody waited for it any longer. */
  disconnected?: (connection: ConnectionRef, vanished: boolean) => void;
}

export interface ConnectionRef {
  id: string;
  userId: string;
}

/** Why the server ended a connection; told in `session:closed`. */
export type CloseReason = 'expired' | 'revoked' | 'logout' | 'reuse' | 'banned';

/** The same for all connections. */
export interface ConnectionDeps {
  call: Call;
  hooks: readonly ConnectionHook[];
  /** Resolves when what other nodes emit to the user is heard here. */
  listening: (userId: string) => Promise<void>;
  /** The `hello` of a session without what only the connection knows. */
  hello: (sessionId: string) => Record<string, unknown>;
  ended: (connection: Connection) => void;
  onBug: (error: unknown, fields: { connectionId: string; userId: string }) => void;
  now: () => number;
}

export class Connection {
  readonly socket: Socket;
  readonly ref: ConnectionRef;
  #session: Session;
  readonly #origin: Origin;
  readonly #deps: ConnectionDeps;
  /** These two exist only while operations are under way: most connections are idle. */
  #queue: KeyedQueue | undefined;
  #goneListeners: Set<() => void> | undefined;
  #underWay = 0;
  #expiry: NodeJS.Timeout | undefined;
  #closing = false;
  /** Undefined once `hello` is out; until then operations wait for it. */
  #opening: Promise<void> | undefined;

  constructor(socket: Socket, session: Session, origin: Origin, deps: ConnectionDeps) {
    this.socket = socket;
    this.#session = session;
    this.#origin = origin;
    this.#deps = deps;
    this.ref = { id: socket.id, userId: session.userId };
    // Attached before any await: an event that came earlier would be lost.
    socket.onAny((name: unknown, ...args: unknown[]) => this.#dispatch(String(name), args));
    socket.on('disconnect', (reason) => this.#ended(reason === 'ping timeout'));
    this.#watchExpiry();
    this.#opening = this.#open();
  }

  get session(): Session {
    return this.#session;
  }

  /**
   * Tells why and closes the transport. A client library reconnects after it, and is refused if its session has ended.
   * Operations under way may answer first, within LIMITS.lastAnswerMs: one of them may be what ended the session.
   */
  close(reason: CloseReason): void {
    if (this.#closing) return;
    this.#closing = true;
    this.socket.emit('session:closed', { reason });
    // engine.io's close lets what is queued leave first.
    if (this.#underWay === 0) this.socket.conn.close();
    else setTimeout(() => this.socket.conn.close(), LIMITS.lastAnswerMs).unref();
  }

  async #open(): Promise<void> {
    try {
      // First, so that what the hooks read is not older than what is heard.
      await this.#deps.listening(this.ref.userId);
      await Promise.all(this.#deps.hooks.map(async (hook) => hook.connected?.(this.ref)));
      this.socket.emit('hello', {
        ...this.#deps.hello(this.#session.sessionId),
        userId: this.#session.userId,
        sessionId: this.#session.sessionId,
        expiresInSeconds: this.#expiresInSeconds(),
      });
    } catch (error) {
      if (!(error instanceof Fault)) this.#deps.onBug(error, { connectionId: this.ref.id, userId: this.ref.userId });
      // Without its rooms the connection would miss messages silently; a new one may succeed.
      this.socket.conn.close();
    } finally {
      this.#opening = undefined;
    }
  }

  #dispatch(name: string, args: unknown[]): void {
    const last = args.at(-1);
    const ack = typeof last === 'function' ? (last as (answer: Answer<unknown>) => void) : undefined;
    const input = args[0] === last && ack ? undefined : args[0];
    const refusal = this.#refusal();
    if (refusal) {
      ack?.({ ok: false, error: refusal.toBody() });
      return;
    }
    this.#underWay++;
    const caller = this.#caller();
    const work = this.#opening
      ? this.#opening.then(() => this.#deps.call(name, input, caller))
      : this.#deps.call(name, input, caller);
    work
      .then((answer) => {
        this.#done();
        ack?.(answer.ok && !this.#takes(answer) ? { ok: false, error: unread().toBody() } : answer);
        if (this.#closing && this.#underWay === 0) this.socket.conn.close();
      })
      // An answer that cannot be encoded must not end the process.
      .catch((error: unknown) => this.#deps.onBug(error, { connectionId: this.ref.id, userId: this.ref.userId }));
  }

  #done(): void {
    this.#underWay--;
    if (this.#underWay > 0 || (this.#queue && this.#queue.size > 0)) return;
    this.#queue = undefined;
    this.#goneListeners = undefined;
  }

  #refusal(): Fault | undefined {
    if (this.#closing) return new Fault('unauthenticated', 'This session has ended');
    if (this.#underWay >= LIMITS.operationsUnderWay) {
      return new Fault('rate_limited', `At most ${LIMITS.operationsUnderWay} operations at once`, {
        retryAfterMs: 100,
      });
    }
    return this.#waitingBytes() > LIMITS.outboundWaitingBytes ? unread() : undefined;
  }

  /** Whether there is room for an answer: large ones wait for each other, up to a limit. */
  #takes(answer: Answer<unknown>): boolean {
    const waitingBytes = this.#waitingBytes();
    if (waitingBytes === 0) return true;
    const roomBytes = Math.max(LIMITS.outboundLargeBytes, LIMITS.outboundWaitingBytes - waitingBytes);
    return isSmallerThan(answer, roomBytes);
  }

  #waitingBytes(): number {
    return engineOf(this.socket).outlet?.waitingBytes ?? 0;
  }

  #caller(): Caller {
    return {
      session: this.#session,
      connectionId: this.ref.id,
      origin: this.#origin,
      requestId: randomUUID(),
      queue: (this.#queue ??= new KeyedQueue()),
      onGone: this.#onGone,
      renewSession: this.#renewSession,
    };
  }

  readonly #onGone = (listener: () => void): (() => void) => {
    const listeners = (this.#goneListeners ??= new Set());
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  readonly #renewSession = (session: Session): void => {
    this.#session = session;
    this.#watchExpiry();
  };

  #expiresInSeconds(): number {
    return Math.max(0, Math.round((this.#session.expiresAtMs - this.#deps.now()) / 1000));
  }

  #watchExpiry(): void {
    clearTimeout(this.#expiry);
    const leftMs = this.#session.expiresAtMs - this.#deps.now();
    const noticeInMs = Math.max(0, leftMs - LIMITS.expiryNoticeMs);
    this.#expiry = setTimeout(() => {
      this.socket.emit('session:expiring', { expiresInSeconds: this.#expiresInSeconds() });
      const closeInMs = Math.max(0, this.#session.expiresAtMs - this.#deps.now()) + LIMITS.expiryGraceMs;
      this.#expiry = setTimeout(() => this.close('expired'), closeInMs).unref();
    }, noticeInMs).unref();
  }

  #ended(vanished: boolean): void {
    clearTimeout(this.#expiry);
    for (const listener of this.#goneListeners ?? []) listener();
    for (const hook of this.#deps.hooks) hook.disconnected?.(this.ref, vanished);
    this.#deps.ended(this);
  }
}

const unread = (): Fault =>
  new Fault('rate_limited', 'Too much that you have asked for waits to be read', { retryAfterMs: 1_000 });
