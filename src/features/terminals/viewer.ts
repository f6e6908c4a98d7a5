/** One socket that is attached to a terminal: what it has been given, and how much more it takes. */
import { LIMITS, type Rooms } from '../../protocol/index.ts';
import type { Size, terminalsEvents } from './contract.ts';
import type { TerminalFeed } from './terminal-feed.ts';

export interface ViewerOptions {
  connectionId: string;
  userId: string;
  after: number;
  /** Undefined for one that takes whatever comes. */
  credits: number | undefined;
  rooms: Pick<Rooms<typeof terminalsEvents>, 'waitingBytes' | 'onTaken'>;
}

export class Viewer {
  readonly connectionId: string;
  readonly userId: string;
  /** After the last byte that it was given. */
  position: number;
  /** What it was given does not go on at its position: it needs a screen first. */
  needsSnapshot = false;
  /** What it shows, while it may type. */
  size: Size | undefined;
  /** Where it gets its output from. */
  feed: TerminalFeed | undefined;
  /** `opening` until its answer has left. */
  state: 'opening' | 'live' | 'gone' = 'opening';
  #credits: number | undefined;
  readonly #rooms: ViewerOptions['rooms'];
  #isFull = false;
  /** What its user may do is being read. */
  #checks = 0;

  constructor({ connectionId, userId, after, credits, rooms }: ViewerOptions) {
    this.connectionId = connectionId;
    this.userId = userId;
    this.position = after;
    this.#credits = credits;
    this.#rooms = rooms;
  }

  get hasCredits(): boolean {
    return this.#credits !== undefined;
  }

  /** What it has granted is used up: it says itself when it takes more. */
  get isSpent(): boolean {
    return this.#credits !== undefined && this.#credits <= 0;
  }

  /** Whether anything may be sent to it. */
  get isListening(): boolean {
    return this.state === 'live' && this.#checks === 0;
  }

  /** So much output may be sent to it now; 0 while its client does not read what it has. */
  get roomBytes(): number {
    if (!this.isListening || this.isSpent || this.#isFull) return 0;
    const waitingBytes = this.#rooms.waitingBytes(this.connectionId);
    if (waitingBytes === undefined) return 0;
    if (waitingBytes >= LIMITS.terminalBacklogBytes) {
      this.#isFull = true;
      this.#rooms.onTaken(this.connectionId, () => {
        this.#isFull = false;
        this.feed?.pump();
      });
      return 0;
    }
    return this.pieceBytes;
  }

  /** As much as its credits and one event allow. */
  get pieceBytes(): number {
    return Math.max(0, Math.min(LIMITS.terminalChunkBytes, this.#credits ?? Infinity));
  }

  /** Nothing is sent to it until `resume`. */
  suspend(): void {
    this.#checks++;
  }

  resume(): void {
    this.#checks--;
    this.feed?.pump();
  }

  grant(bytes: number): void {
    if (this.#credits === undefined) return;
    this.#credits = Math.min(LIMITS.terminalCreditBytes, this.#credits + bytes);
  }

  /** It has been given so much; a snapshot goes as a whole, and may take more than there is. */
  advance(position: number, bytes: number): void {
    this.position = position;
    this.needsSnapshot = false;
    if (this.#credits !== undefined) this.#credits -= bytes;
  }
}
