/** A terminal that sockets of this node are attached to. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Log } from '../../observability/log.ts';
import { Fault, terminalRoom, toFault, type Rooms } from '../../protocol/index.ts';
import type { Attached, Size, terminalsEvents } from './contract.ts';
import { followTerminal } from './follow-terminal.ts';
import type { OwnerOf, TerminalOwner } from './owner.ts';
import { isSameSize, smallestOf } from './shared-size.ts';
import { TerminalFeed } from './terminal-feed.ts';
import { projectOf } from './terminal-id.ts';
import type { Viewer } from './viewer.ts';

export interface WatchDeps {
  rooms: Rooms<typeof terminalsEvents>;
  ownerOf: OwnerOf;
  nodeId: string;
  /** The viewer is not attached any more. */
  onLeft: (viewer: Viewer) => void;
  /** There may be nothing left to do for it. */
  onIdle: () => void;
  log: Log;
}

/** What could not be told of this node's writers is told again so often, so long apart. */
const SIZE_TRIES = 5;
const SIZE_RETRY_MS = 1_000;

export class TerminalWatch {
  readonly terminalId: string;
  readonly #deps: WatchDeps;
  readonly #viewers = new Map<string, Viewer>();
  /** The first is the one that the others catch up with. */
  #feeds: TerminalFeed[] = [];
  /** What the owner knows of this node's writers; `unknown` where it may be anything. */
  #toldSize: Size | undefined | 'unknown';
  #telling: Promise<unknown> = Promise.resolve();
  /** Sizes that are still to be told. */
  #owing = 0;

  constructor(terminalId: string, deps: WatchDeps) {
    this.terminalId = terminalId;
    this.#deps = deps;
  }

  /** Nobody is attached, and its owner knows. */
  get isIdle(): boolean {
    return this.#viewers.size === 0 && this.#owing === 0;
  }

  get viewers(): readonly Viewer[] {
    return [...this.#viewers.values()];
  }

  get(connectionId: string): Viewer | undefined {
    return this.#viewers.get(connectionId);
  }

  /** In place of one that the socket had. */
  add(viewer: Viewer): void {
    const former = this.#viewers.get(viewer.connectionId);
    if (former) this.remove(former);
    this.#viewers.set(viewer.connectionId, viewer);
    this.#deps.rooms.join({ connectionId: viewer.connectionId }, terminalRoom(this.terminalId));
  }

  /** What the viewer missed, as far as it is to be had at once; the rest follows when it is `live`. */
  open(viewer: Viewer): Promise<Pick<Attached, 'chunks' | 'snapshot'>> {
    return this.#place(viewer).opening(viewer);
  }

  /** Repeatable. */
  remove(viewer: Viewer): void {
    const { connectionId } = viewer;
    if (this.#viewers.get(connectionId) !== viewer) return;
    this.#viewers.delete(connectionId);
    viewer.state = 'gone';
    this.#takeOut(viewer);
    this.#deps.rooms.leave({ connectionId }, terminalRoom(this.terminalId));
    if (viewer.size) void this.#oweSize();
    this.#deps.onLeft(viewer);
  }

  /** As `remove`, with a word to the socket why. */
  fail(viewer: Viewer, { code, message }: Fault): void {
    this.remove(viewer);
    this.#deps.rooms.send(viewer.connectionId, 'terminal:failed', { terminalId: this.terminalId, code, message });
  }

  /** The viewer shows so much, or does not count any more. Gives the terminal's size. */
  async resize(viewer: Viewer, size: Size | undefined, owner: TerminalOwner): Promise<Size | undefined> {
    viewer.size = size;
    return this.#tellSize(owner);
  }

  /** The viewer's user may not type any more. */
  demote(viewer: Viewer): void {
    if (!viewer.size) return;
    viewer.size = undefined;
    void this.#oweSize();
  }

  #place(viewer: Viewer): TerminalFeed {
    viewer.needsSnapshot = false;
    let feed = this.#feeds.find((other) => other.covers(viewer.position));
    if (!feed) {
      feed = this.#newFeed(viewer.position);
      this.#feeds.push(feed);
    }
    feed.add(viewer);
    return feed;
  }

  #takeOut(viewer: Viewer): void {
    viewer.feed?.remove(viewer);
    // Without viewers they have ended.
    this.#feeds = this.#feeds.filter(({ viewers }) => viewers.size > 0);
  }

  #newFeed(after: number): TerminalFeed {
    const { rooms, ownerOf } = this.#deps;
    const { terminalId } = this;
    return new TerminalFeed(
      {
        terminalId,
        rooms,
        follow: (position, signal) =>
          followTerminal({
            ownerOf,
            terminalId,
            after: position,
            signal,
            onFound: () => this.#ownerFound(),
          }),
        onLagging: (viewer) => {
          this.#takeOut(viewer);
          this.#place(viewer);
        },
        onPumped: (feed) => this.#merge(feed),
        onExited: (viewer) => this.remove(viewer),
        onFailed: (feed, error) => {
          if (!(error instanceof Fault)) this.#deps.log.error('The output of a terminal broke', { error });
          for (const viewer of feed.viewers) this.fail(viewer, toFault(error));
        },
      },
      after,
    );
  }

  /** Who has caught up with the first goes on with it; where the first has moved, those of all others are looked at. */
  #merge(pumped: TerminalFeed): void {
    const [first, ...others] = this.#feeds;
    if (!first || others.length === 0) return;
    let hasMoved = false;
    for (const feed of pumped === first ? others : [pumped]) {
      if (feed === first) continue;
      for (const viewer of feed.viewers) {
        if (viewer.state === 'opening' || viewer.needsSnapshot || !first.covers(viewer.position)) continue;
        this.#takeOut(viewer);
        first.add(viewer);
        hasMoved = true;
      }
    }
    if (hasMoved) first.pump();
  }

  /** A new owner knows nothing of the sizes; the old one hears them again, which changes nothing. */
  #ownerFound(): void {
    if (this.#toldSize === undefined && !this.viewers.some(({ size }) => size)) return;
    this.#toldSize = 'unknown';
    void this.#oweSize();
  }

  /** One after the other, each what holds then. Gives the terminal's size if the owner was asked. */
  #tellSize(owner: TerminalOwner): Promise<Size | undefined> {
    const told = this.#telling.then(async () => {
      const size = smallestOf(this.viewers.flatMap((viewer) => viewer.size ?? []));
      if (this.#toldSize !== 'unknown' && isSameSize(size, this.#toldSize)) return undefined;
      this.#toldSize = 'unknown';
      const { terminalId } = this;
      const shared = await owner.resize({ terminalId, nodeId: this.#deps.nodeId, ...(size ? { size } : {}) });
      this.#toldSize = size;
      return shared;
    });
    this.#telling = told.catch(() => {});
    return told;
  }

  /** Tells the owner in the background. */
  async #oweSize(): Promise<void> {
    this.#owing++;
    let failure: unknown;
    for (let tries = 0; tries < SIZE_TRIES; tries++) {
      if (tries > 0) await wait(SIZE_RETRY_MS, undefined, { ref: false });
      try {
        const owner = await this.#deps.ownerOf(projectOf(this.terminalId), { start: false });
        if (owner) await this.#tellSize(owner);
        failure = undefined;
        break;
      } catch (error) {
        // It ended meanwhile.
        failure = error instanceof Fault && error.code === 'not_found' ? undefined : error;
        if (failure === undefined) break;
      }
    }
    if (failure !== undefined) this.#deps.log.warn('The size of a terminal could not be told', { error: failure });
    this.#owing--;
    this.#deps.onIdle();
  }
}
