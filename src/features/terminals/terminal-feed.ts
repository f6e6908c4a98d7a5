/**
 * One reader of a terminal for all viewers of this node that are about equally far. It reads on when the fastest of them
 * has taken what was read, so the terminal's programs go at that one's pace; the others have 256 KiB to fall behind.
 */
import { Fault, LIMITS, withResolvers, type Packet, type Rooms } from '../../protocol/index.ts';
import type { Attached, terminalsEvents } from './contract.ts';
import { OutputRing } from './output-ring.ts';
import type { TerminalEnd, TerminalFrame } from './owner.ts';
import type { Viewer } from './viewer.ts';

export interface FeedDeps {
  terminalId: string;
  rooms: Pick<Rooms<typeof terminalsEvents>, 'encode' | 'deliverTo'>;
  /** The terminal's output, from whoever has it. */
  follow: (after: number, signal: AbortSignal) => AsyncIterable<TerminalFrame>;
  /** What follows the viewer's position is not kept here: it has to be read again. */
  onLagging: (viewer: Viewer) => void;
  /** Viewers may have become equally far as others. */
  onPumped: (feed: TerminalFeed) => void;
  /** The viewer was given the terminal's last word. */
  onExited: (viewer: Viewer) => void;
  /** Nothing can be read any more. */
  onFailed: (feed: TerminalFeed, error: unknown) => void;
}

type Snapshot = Extract<TerminalFrame, { type: 'snapshot' }>;
type Piece =
  | { type: 'output'; offset: number; data: Uint8Array }
  | { type: 'snapshot'; snapshot: Snapshot }
  | { type: 'exited'; end: TerminalEnd };

export class TerminalFeed {
  readonly #deps: FeedDeps;
  readonly #ring: OutputRing;
  readonly #viewers = new Set<Viewer>();
  readonly #closed = new AbortController();
  /** Kept while somebody waits for it. */
  #snapshot: Snapshot | undefined;
  #end: TerminalEnd | undefined;
  #changed = withResolvers();
  #isPumping = false;

  /** Reads from `after` on, once it has a viewer. */
  constructor(deps: FeedDeps, after: number) {
    this.#deps = deps;
    this.#ring = new OutputRing(after);
  }

  get viewers(): ReadonlySet<Viewer> {
    return this.#viewers;
  }

  /** Whether what follows this position is here. */
  covers(position: number): boolean {
    return this.#ring.covers(position);
  }

  add(viewer: Viewer): void {
    viewer.feed = this;
    this.#viewers.add(viewer);
    if (this.#viewers.size === 1) void this.#run();
    this.#change();
  }

  /** The last one to go ends it. */
  remove(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.feed = undefined;
    if (this.#viewers.size === 0) this.#closed.abort();
    this.#change();
  }

  /** What a viewer that is opening gets with its answer. Waits a little for the first of it. */
  async opening(viewer: Viewer): Promise<Pick<Attached, 'chunks' | 'snapshot'>> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#change();
    }, LIMITS.terminalReplayMs);
    while (viewer.feed === this && !isLate && !this.#pieceFor(viewer, 1)) await this.#changed.promise;
    clearTimeout(timer);
    const opening: Pick<Attached, 'chunks' | 'snapshot'> = { chunks: [] };
    while (viewer.feed === this && opening.chunks.length < LIMITS.terminalChunks && !viewer.isSpent) {
      const piece = this.#pieceFor(viewer, viewer.pieceBytes);
      if (!piece || piece === 'lagging' || piece.type === 'exited') break;
      if (piece.type === 'snapshot') opening.snapshot = { offset: piece.snapshot.offset, data: piece.snapshot.data };
      else opening.chunks.push({ offset: piece.offset, data: piece.data });
      this.#advance(viewer, piece);
    }
    return opening;
  }

  /** Gives every viewer what it has room for. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#giveOnePiece());
    } finally {
      this.#isPumping = false;
    }
    if (![...this.#viewers].some(({ needsSnapshot }) => needsSnapshot)) this.#snapshot = undefined;
    this.#change();
    this.#deps.onPumped(this);
  }

  /** A piece for each; those who are at one place get the same packet. Gives whether there was any. */
  #giveOnePiece(): boolean {
    const shares = new Map<string, { packet: Packet | undefined; ids: string[] }>();
    for (const viewer of this.#viewers) {
      const roomBytes = viewer.roomBytes;
      const isOver = viewer.isListening && this.#end !== undefined && this.#isAtEnd(viewer);
      if (roomBytes === 0 && !isOver) continue;
      const piece = this.#pieceFor(viewer, roomBytes);
      if (piece === 'lagging') this.#deps.onLagging(viewer);
      else if (piece) {
        const key = piece.type === 'output' ? `${piece.offset}:${piece.data.length}` : piece.type;
        const share = shares.get(key) ?? { packet: this.#encode(piece), ids: [] };
        shares.set(key, share);
        share.ids.push(viewer.connectionId);
        this.#advance(viewer, piece);
      }
    }
    for (const { packet, ids } of shares.values()) if (packet) this.#deps.rooms.deliverTo(ids, packet);
    return shares.size > 0;
  }

  /** What comes next for the viewer; undefined where there is nothing yet. */
  #pieceFor(viewer: Viewer, maxBytes: number): Piece | 'lagging' | undefined {
    if (viewer.needsSnapshot) {
      const snapshot = this.#snapshot;
      return snapshot && this.#ring.covers(snapshot.offset) ? { type: 'snapshot', snapshot } : 'lagging';
    }
    const data = this.#ring.read(viewer.position, maxBytes);
    if (!data) return 'lagging';
    if (data.length > 0) return { type: 'output', offset: viewer.position, data };
    return this.#end && this.#isAtEnd(viewer) ? { type: 'exited', end: this.#end } : undefined;
  }

  #advance(viewer: Viewer, piece: Piece): void {
    if (piece.type === 'output') viewer.advance(piece.offset + piece.data.length, piece.data.length);
    else if (piece.type === 'snapshot') viewer.advance(piece.snapshot.offset, piece.snapshot.data.length);
    else {
      this.remove(viewer);
      this.#deps.onExited(viewer);
    }
  }

  #encode(piece: Piece): Packet | undefined {
    const { terminalId, rooms } = this.#deps;
    if (piece.type === 'output') {
      return rooms.encode('terminal:output', { terminalId, offset: piece.offset, data: piece.data });
    }
    if (piece.type === 'exited') return rooms.encode('terminal:exited', { terminalId, ...piece.end });
    const { offset, size, data } = piece.snapshot;
    return rooms.encode('terminal:snapshot', { terminalId, offset, size, data });
  }

  #isAtEnd(viewer: Viewer): boolean {
    return !viewer.needsSnapshot && viewer.position === this.#ring.end;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    try {
      while (!signal.aborted && !this.#end) await this.#read(signal);
    } catch (error) {
      if (!signal.aborted) this.#deps.onFailed(this, error);
    }
  }

  /** Reads until the terminal's end, or until nobody has taken anything for a while: then its programs go on without. */
  async #read(signal: AbortSignal): Promise<void> {
    await this.#wanted(signal);
    if (signal.aborted) return;
    for await (const frame of this.#deps.follow(this.#ring.end, signal)) {
      this.#take(frame);
      this.pump();
      if (this.#end || !(await this.#wanted(signal, LIMITS.terminalStallMs))) return;
    }
  }

  #take(frame: TerminalFrame): void {
    if (frame.type === 'exited') this.#end = frame.end;
    else if (frame.type === 'snapshot') {
      this.#ring.reset(frame.offset);
      this.#snapshot = frame;
      for (const viewer of this.#viewers) viewer.needsSnapshot = true;
    } else if (frame.offset === this.#ring.end) this.#ring.push(frame.data);
    else throw new Fault('internal', `Output at ${frame.offset} instead of ${this.#ring.end}`);
  }

  /** Resolves with true when somebody takes more, and with false when for so long nobody has, and nobody holds it back. */
  async #wanted(signal: AbortSignal, stallMs = Infinity): Promise<boolean> {
    const until = performance.now() + stallMs;
    while (!signal.aborted) {
      const viewers = [...this.#viewers];
      if (viewers.some((viewer) => this.#takesMore(viewer))) return true;
      const leftMs = viewers.some(({ isSpent }) => isSpent) ? Infinity : until - performance.now();
      if (leftMs <= 0) return false;
      const timer = leftMs === Infinity ? undefined : setTimeout(() => this.#change(), leftMs).unref();
      await this.#changed.promise;
      clearTimeout(timer);
    }
    return false;
  }

  #takesMore(viewer: Viewer): boolean {
    if (viewer.state === 'opening') {
      return this.#ring.end - viewer.position < LIMITS.terminalChunks * LIMITS.terminalChunkBytes && !viewer.isSpent;
    }
    return viewer.roomBytes > 0;
  }

  #change(): void {
    const { resolve } = this.#changed;
    this.#changed = withResolvers();
    resolve();
  }
}
