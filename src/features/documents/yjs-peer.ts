/**
 * One connection of y-websocket's kind on one document. What it says is dealt with in order, and no faster than it can
 * be made durable: meanwhile the connection is not read.
 */
import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import { Fault, LIMITS, toFault, type FaultCode, type Origin } from '../../protocol/index.ts';
import type { Awareness } from './awareness.ts';
import { hasEnded, type PeerAccess } from './open-document.ts';
import {
  awarenessFrame,
  deniedFrame,
  isEmptyUpdate,
  readMessage,
  step1Frame,
  SYNCED_FRAME,
  updateFrame,
} from './yjs-messages.ts';
import { YjsOutlet } from './yjs-outlet.ts';

/** Why a connection ends. Stock providers come back after any code that is not 44xx. */
export const CLOSE = { unauthenticated: 4401, forbidden: 4403, notFound: 4404, tooLarge: 4413, later: 1013 } as const;
export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/** The document, as this connection has it open. */
export interface DocumentPeer {
  /** What is there, to be applied in order. */
  readonly updates: readonly Uint8Array[];
  readonly stateVector: Uint8Array;
  readonly access: 'write' | 'read';
  /** Resolves when it is durable; rejects with a `Fault`. */
  update(bytes: Uint8Array): Promise<unknown>;
  close(): void;
}

export type OpenPeer = (options: {
  fileId: string;
  userId: string;
  onUpdate: (update: Uint8Array) => void;
  onAccess: (access: PeerAccess) => void;
}) => Promise<DocumentPeer>;

/** Who is at the other end. */
export interface PeerSession {
  userId: string;
  sessionId: string;
  /** When the access token ends that let it in; undefined for a ticket, which lasts as long as its session. */
  expiresAtMs: number | undefined;
}

export interface YjsPeerDeps {
  fileId: string;
  origin: Origin;
  openPeer: OpenPeer;
  awareness: Pick<Awareness, 'join' | 'leave' | 'apply' | 'present' | 'everything'>;
  /** Takes a point of the user's or throws `rate_limited`. */
  limit: (userId: string) => void;
  /** More than these wait for the next second. */
  messagesPerSecond: number;
  /** Milliseconds of a clock that is never set back. */
  clock: () => number;
  onClosed: (peer: YjsPeer) => void;
  onSlow: (peer: YjsPeer, waitingBytes: number) => void;
  onBug: (error: unknown, fields: Record<string, unknown>) => void;
}

const OPEN = 1;
/** An update is taken in while no more than this waits for the log. */
const UNDER_WAY_BYTES = LIMITS.packetBytes;

export class YjsPeer {
  readonly id: string = randomUUID();
  readonly fileId: string;
  readonly origin: Origin;
  readonly #ws: WebSocket;
  readonly #deps: YjsPeerDeps;
  readonly #outlet: YjsOutlet;
  #session: PeerSession | undefined;
  #document: DocumentPeer | undefined;
  #access: 'write' | 'read' = 'read';
  /** What came while the document was being opened. */
  #early: Uint8Array[] | undefined = [];
  #closed = false;

  readonly #inbox: Uint8Array[] = [];
  #underWay = 0;
  #underWayBytes = 0;
  #wait: NodeJS.Timeout | undefined;
  /** Of this second. */
  #messages = 0;
  /**
   * Updates that came before the other side has told what the server lacks. They may build on that, and are in it: it
   * says everything that it has then. Undefined once it has.
   */
  #held: Uint8Array[] | undefined = [];
  #heldBytes = 0;
  #askedAtMs = 0;

  #heardAtMs: number;
  #pingedAtMs: number;

  constructor(ws: WebSocket, deps: YjsPeerDeps) {
    this.#ws = ws;
    this.#deps = deps;
    this.fileId = deps.fileId;
    this.origin = deps.origin;
    this.#heardAtMs = this.#pingedAtMs = deps.clock();
    this.#outlet = new YjsOutlet(ws, {
      clock: deps.clock,
      everything: () => deps.awareness.everything(deps.fileId),
      onSlow: (waitingBytes) => {
        deps.onSlow(this, waitingBytes);
        this.close(CLOSE.later, 'You read too slowly');
      },
    });
    ws.on('message', (data: Buffer, isBinary: boolean) => this.#received(data, isBinary));
    ws.on('pong', () => {
      this.#outlet.answered();
      this.#heard();
    });
    // What follows is its end.
    ws.on('error', () => {});
    ws.on('close', () => this.#ended());
    // Until it is known who it is.
    ws.pause();
  }

  get session(): PeerSession | undefined {
    return this.#session;
  }

  /** What it has not taken yet. */
  get waitingBytes(): number {
    return this.#outlet.waitingBytes;
  }

  get isOpen(): boolean {
    return !this.#closed && this.#ws.readyState === OPEN;
  }

  /** Opens the document and gives all of it. Rejects with a `Fault`. */
  async open(session: PeerSession): Promise<void> {
    this.#session = session;
    const { fileId, userId } = { fileId: this.fileId, userId: session.userId };
    const document = await this.#deps.openPeer({
      fileId,
      userId,
      onUpdate: (update) => this.#deliver(update),
      onAccess: (access) => this.#accessChanged(access),
    });
    if (!this.isOpen) {
      document.close();
      return;
    }
    this.#document = document;
    this.#access = document.access;
    this.#outlet.open([...document.updates, ...(this.#early ?? [])]);
    this.#early = undefined;
    if (this.#access === 'write') this.#ask(document.stateVector);
    this.#deps.awareness.join(fileId, {
      connectionId: this.id,
      userId,
      deliver: (update) => this.#outlet.sendAwareness(update),
    });
    this.#sendPresent();
    this.#heard();
    this.#ws.resume();
    this.#work();
  }

  close(code: CloseCode, reason = ''): void {
    if (this.#closed) return;
    this.#end();
    this.#ws.resume();
    // At most 123 bytes fit.
    this.#ws.close(code, reason.slice(0, 120).replaceAll(/[^ -~]/g, '?'));
  }

  /** Ends it for a reason that came up. */
  refuse(error: unknown): void {
    const fault = toFault(error);
    if (fault.code === 'internal') this.#bug(error);
    this.close(CODES[fault.code] ?? CLOSE.later, fault.message);
  }

  /** Ends it now, whatever waits. */
  terminate(): void {
    this.#end();
    this.#ws.terminate();
  }

  /** Once a second. */
  tick(): void {
    const now = this.#deps.clock();
    this.#messages = 0;
    if (this.#closed) return;
    if (!this.#document) {
      if (now - this.#heardAtMs > LIMITS.connectTimeoutMs) this.close(CLOSE.later, 'The document could not be opened');
      return;
    }
    this.#work();
    if (this.#held && now - this.#askedAtMs > LIMITS.connectTimeoutMs) this.#letGo();
    // Pings stand behind the opening; and who is not read cannot be heard.
    if (this.#outlet.isOpening || this.#ws.isPaused) this.#heardAtMs = now;
    if (now - this.#heardAtMs >= LIMITS.pingIntervalMs + LIMITS.pingTimeoutMs) {
      this.terminate();
      return;
    }
    if (now - this.#pingedAtMs >= LIMITS.pingIntervalMs) {
      this.#pingedAtMs = now;
      this.#ws.ping();
    }
    this.#outlet.tick();
  }

  #received(data: Buffer, isBinary: boolean): void {
    this.#heard();
    // This protocol has no text.
    if (this.#closed || !isBinary) return;
    this.#inbox.push(data);
    this.#work();
  }

  /** Deals with what has come, as far as it can now. */
  #work(): void {
    if (!this.#document) return;
    while (this.#inbox[0] && this.#mayGoOn()) {
      const [message] = this.#inbox;
      try {
        const waitMs = this.#take(message);
        if (waitMs > 0) {
          this.#rest(waitMs);
          break;
        }
        this.#inbox.shift();
      } catch {
        // Not understood. Whoever speaks another language is not answered, and has a bounded number of words.
        this.#inbox.shift();
      }
    }
    if (this.#closed) return;
    if (this.#inbox.length > 0) this.#ws.pause();
    else if (this.#ws.isPaused) this.#ws.resume();
  }

  #mayGoOn(): boolean {
    return (
      !this.#closed &&
      this.#wait === undefined &&
      this.#messages < this.#deps.messagesPerSecond &&
      this.#underWay < LIMITS.yjsUpdatesUnderWay &&
      this.#underWayBytes < UNDER_WAY_BYTES
    );
  }

  #rest(waitMs: number): void {
    this.#wait = setTimeout(() => {
      this.#wait = undefined;
      this.#work();
    }, waitMs).unref();
  }

  /** How long the message has to wait, or 0 when it has been dealt with. */
  #take(message: Uint8Array): number {
    const read = readMessage(message);
    this.#messages++;
    switch (read.kind) {
      case 'step1':
        // Everything has been sent that was there when it came, and what came later follows by itself.
        this.#outlet.send(SYNCED_FRAME);
        return 0;
      case 'step2':
        return this.#takeUpdate(read.bytes, true);
      case 'update':
        return this.#takeUpdate(read.bytes, false);
      case 'awareness':
        return this.#takeAwareness(read.bytes);
      case 'query':
        this.#sendPresent();
        return 0;
      case 'other':
      default:
        return 0;
    }
  }

  #takeUpdate(bytes: Uint8Array, isAnswer: boolean): number {
    if (isEmptyUpdate(bytes)) {
      if (isAnswer) this.#letGo();
      return 0;
    }
    if (this.#access === 'read') {
      this.#outlet.send(deniedFrame('You may read this document, but not change it'));
      return 0;
    }
    const waitMs = this.#limited();
    if (waitMs > 0) return waitMs;
    // A copy: what came in with it in one read would be kept as long.
    const update = new Uint8Array(bytes);
    if (isAnswer) this.#held = undefined;
    if (this.#held && this.#heldBytes + update.length <= LIMITS.packetBytes) {
      this.#held.push(update);
      this.#heldBytes += update.length;
      return 0;
    }
    this.#letGo();
    void this.#store(update);
    return 0;
  }

  /** What was held is not in an answer after all. */
  #letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const update of held) void this.#store(update);
  }

  async #store(bytes: Uint8Array): Promise<void> {
    this.#underWay++;
    this.#underWayBytes += bytes.length;
    try {
      await this.#document?.update(bytes);
    } catch (error) {
      this.#updateFailed(error);
    } finally {
      this.#underWay--;
      this.#underWayBytes -= bytes.length;
      this.#work();
    }
  }

  #updateFailed(error: unknown): void {
    if (this.#closed) return;
    const fault = toFault(error);
    if (fault.code === 'forbidden' && this.#access === 'read') this.#outlet.send(deniedFrame(fault.message));
    else this.refuse(error);
  }

  #takeAwareness(bytes: Uint8Array): number {
    const { session } = this;
    if (!session) return 0;
    let isNews = true;
    try {
      isNews = this.#deps.awareness.apply(this.fileId, this.id, bytes);
    } catch (error) {
      if (!(error instanceof Fault)) this.#bug(error);
    }
    // Paid afterwards: what a stock provider only sends back costs nothing.
    const waitMs = isNews ? this.#limited() : 0;
    if (waitMs > 0) this.#rest(waitMs);
    return 0;
  }

  #limited(): number {
    try {
      if (this.#session) this.#deps.limit(this.#session.userId);
      return 0;
    } catch (error) {
      return (error instanceof Fault ? error.retryAfterMs : undefined) ?? 1_000;
    }
  }

  #accessChanged(access: PeerAccess): void {
    if (hasEnded(access)) {
      if (access === 'gone') this.close(CLOSE.notFound, 'The document is deleted');
      else this.close(CLOSE.forbidden, 'Your access has ended');
      return;
    }
    const gains = access === 'write' && this.#access === 'read';
    this.#access = access;
    // It may have written meanwhile, and has not been asked for it.
    if (!gains || !this.#document) return;
    this.#ask(this.#document.stateVector);
  }

  /** Asks what the other side has and the server has not. */
  #ask(stateVector: Uint8Array): void {
    this.#held ??= [];
    this.#heldBytes = 0;
    this.#askedAtMs = this.#deps.clock();
    this.#outlet.send(step1Frame(stateVector));
  }

  #sendPresent(): void {
    const present = this.#deps.awareness.present(this.fileId);
    if (present) this.#outlet.send(awarenessFrame(present));
  }

  #deliver(update: Uint8Array): void {
    if (this.#early) this.#early.push(update);
    else this.#outlet.send(updateFrame(update));
  }

  #heard(): void {
    this.#heardAtMs = this.#deps.clock();
  }

  #ended(): void {
    this.#end();
    this.#deps.onClosed(this);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#wait);
    this.#inbox.length = 0;
    this.#outlet.end();
    this.#early = undefined;
    this.#deps.awareness.leave(this.fileId, this.id);
    this.#document?.close();
  }

  #bug(error: unknown): void {
    this.#deps.onBug(error, { connectionId: this.id, userId: this.#session?.userId, documentId: this.fileId });
  }
}

/** What a client library should make of it: whether coming back can help. */
const CODES: Partial<Record<FaultCode, CloseCode>> = {
  unauthenticated: CLOSE.unauthenticated,
  not_found: CLOSE.notFound,
  unsupported: CLOSE.notFound,
  too_large: CLOSE.tooLarge,
  quota_exceeded: CLOSE.tooLarge,
  forbidden: CLOSE.forbidden,
  invalid: CLOSE.forbidden,
};
