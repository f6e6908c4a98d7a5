/**
 * The connections of stock Yjs providers on this node: lets each in by its token, ends them with their sessions, and
 * looks after all of them once a second.
 */
import type { WebSocket } from 'ws';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import { systemClock, type Clock } from '../../cluster/clock.ts';
import { Fault, Id, LIMITS, type Origin, type Session } from '../../protocol/index.ts';
import { asSessionRevoked } from '../auth/index.ts';
import { isTicket, type Tickets } from './tickets.ts';
import { CLOSE, YjsPeer, type CloseCode, type PeerSession, type YjsPeerDeps } from './yjs-peer.ts';

export interface YjsEndpointDeps extends Pick<
  YjsPeerDeps,
  'openPeer' | 'awareness' | 'limit' | 'messagesPerSecond' | 'onBug'
> {
  /** The session that an access token speaks for; rejects with `unauthenticated`. */
  authenticate: (accessToken: string) => Promise<Session>;
  /** Whether a session of a user's has not ended. Rejects when nobody can say. */
  isLive: (sessionId: string, userId: string) => Promise<boolean>;
  tickets: Pick<Tickets, 'use'>;
  /** Connections of one user. */
  maxPerUser: number;
  bus: Pick<Bus, 'subscribe'>;
  onSlow: (reader: { userId: string | undefined; connectionId: string; bytes: number }) => void;
  now: () => number;
  clock?: Clock;
}

/** A connection that was let through to here. */
export interface Arrival {
  fileId: string;
  token: string;
  origin: Origin;
  /** Why it cannot stay, where that is known before. */
  refused?: { code: CloseCode; reason: string } | undefined;
  /** Called once when it has ended. */
  left: () => void;
}

const TICK_MS = 1_000;
/** A notice of a session's end may be lost, and it may end by itself. */
const RECHECK_MS = 30_000;
const LONGEST_TOKEN = 4_096;

export class YjsEndpoint {
  readonly #deps: YjsEndpointDeps;
  readonly #clock: Clock;
  readonly #peers = new Map<YjsPeer, { left: () => void; checkedAtMs: number }>();
  readonly #stops: (() => void)[];
  #drained: (() => void) | undefined;
  #draining = false;

  constructor(deps: YjsEndpointDeps) {
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
    this.#stops = [
      deps.bus.subscribe(ALL_NODES, (data) => {
        const { sessionIds = [] } = asSessionRevoked(data) ?? {};
        for (const sessionId of sessionIds) this.#endSession(sessionId);
      }),
      this.#clock.every(TICK_MS, () => this.#tick()),
    ];
  }

  get size(): number {
    return this.#peers.size;
  }

  /** What is kept for those who have not taken it. */
  get outboundBytes(): number {
    let bytes = 0;
    for (const { waitingBytes } of this.#peers.keys()) bytes += waitingBytes;
    return bytes;
  }

  /** Never rejects. */
  async accept(ws: WebSocket, { fileId, token, origin, refused, left }: Arrival): Promise<void> {
    const { openPeer, awareness, limit, messagesPerSecond, onBug, onSlow } = this.#deps;
    const peer = new YjsPeer(ws, {
      fileId,
      origin,
      openPeer,
      awareness,
      limit,
      messagesPerSecond,
      clock: () => this.#clock.now(),
      onClosed: () => this.#closed(peer),
      onSlow: (_peer, bytes) => onSlow({ userId: peer.session?.userId, connectionId: peer.id, bytes }),
      onBug,
    });
    this.#peers.set(peer, { left, checkedAtMs: this.#clock.now() });
    if (this.#draining) peer.close(CLOSE.later, 'This server stops');
    else if (refused) peer.close(refused.code, refused.reason);
    else await this.#open(peer, fileId, token);
  }

  /** Lets everybody go, who come back elsewhere; resolves when they have gone. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#peers.size === 0) return;
    const gone = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    const timers = [...this.#peers.keys()].map((peer) =>
      setTimeout(() => peer.close(CLOSE.later, 'This server stops'), Math.random() * LIMITS.drainMs),
    );
    const late = setTimeout(() => this.#terminateAll(), LIMITS.drainMs + 2_000);
    await gone;
    for (const timer of [...timers, late]) clearTimeout(timer);
  }

  close(): void {
    this.#draining = true;
    for (const stop of this.#stops) stop();
    this.#terminateAll();
  }

  async #open(peer: YjsPeer, fileId: string, token: string): Promise<void> {
    try {
      if (!Id.safeParse(fileId).success) throw new Fault('not_found', 'There is no such document');
      const session = await this.#sessionOf(token, fileId);
      this.#assertRoom(session.userId);
      if (peer.isOpen) await peer.open(session);
    } catch (error) {
      peer.refuse(error);
    }
  }

  async #sessionOf(token: string, fileId: string): Promise<PeerSession> {
    if (token === '' || token.length > LONGEST_TOKEN) {
      throw new Fault('unauthenticated', 'Connect with ?token=, an access token or a ticket');
    }
    if (!isTicket(token)) return this.#deps.authenticate(token);
    const { userId, sessionId } = await this.#deps.tickets.use(token, fileId);
    if (!(await this.#deps.isLive(sessionId, userId))) throw sessionEnded();
    return { userId, sessionId, expiresAtMs: undefined };
  }

  #assertRoom(userId: string): void {
    let count = 0;
    for (const { session, isOpen } of this.#peers.keys()) if (isOpen && session?.userId === userId) count++;
    if (count < this.#deps.maxPerUser) return;
    throw new Fault('rate_limited', `At most ${this.#deps.maxPerUser} connections for one user`);
  }

  #endSession(sessionId: string): void {
    for (const peer of this.#peers.keys()) {
      if (peer.session?.sessionId === sessionId) peer.refuse(sessionEnded());
    }
  }

  #tick(): void {
    const now = this.#clock.now();
    for (const [peer, entry] of this.#peers) {
      peer.tick();
      const { session, isOpen } = peer;
      if (!session || !isOpen) continue;
      if (session.expiresAtMs !== undefined && this.#deps.now() > session.expiresAtMs + LIMITS.expiryGraceMs) {
        peer.refuse(new Fault('unauthenticated', 'The access token has expired'));
      } else if (now - entry.checkedAtMs > RECHECK_MS) {
        entry.checkedAtMs = now;
        void this.#recheck(peer, session);
      }
    }
  }

  async #recheck(peer: YjsPeer, { sessionId, userId }: PeerSession): Promise<void> {
    // Where nobody can say, it is asked again.
    const isLive = await this.#deps.isLive(sessionId, userId).catch(() => true);
    if (!isLive) peer.refuse(sessionEnded());
  }

  #closed(peer: YjsPeer): void {
    this.#peers.get(peer)?.left();
    this.#peers.delete(peer);
    if (this.#peers.size === 0) this.#drained?.();
  }

  #terminateAll(): void {
    for (const peer of this.#peers.keys()) peer.terminate();
  }
}

const sessionEnded = (): Fault => new Fault('unauthenticated', 'The session has ended');
