/** Which terminals the sockets of this node are attached to. Who may not see one any more is detached at once. */
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, toFault, type Rooms } from '../../protocol/index.ts';
import type { Attached, Size, terminalsEvents } from './contract.ts';
import type { OwnerOf, TerminalOwner } from './owner.ts';
import { projectOf } from './terminal-id.ts';
import { TerminalWatch } from './terminal-watch.ts';
import { Viewer } from './viewer.ts';

export interface WatchesDeps {
  rooms: Rooms<typeof terminalsEvents>;
  ownerOf: OwnerOf;
  nodeId: string;
  /** What the user may do in a project now. Rejects with `not_found` or `forbidden` where that is nothing. */
  accessOf: (projectId: string, userId: string) => Promise<'read' | 'write'>;
  log: Log;
}

export interface AttachRequest {
  connectionId: string;
  userId: string;
  terminalId: string;
  after: number;
  size: Size | undefined;
  credits: number | undefined;
}

export class TerminalWatches {
  readonly #deps: WatchesDeps;
  readonly #watches = new Map<string, TerminalWatch>();
  readonly #bySocket = new Map<string, Set<TerminalWatch>>();

  constructor(deps: WatchesDeps) {
    this.#deps = deps;
  }

  /** Terminals that are watched on this node. */
  get size(): number {
    return this.#watches.size;
  }

  async attach({ connectionId, userId, terminalId, after, size, credits }: AttachRequest): Promise<Attached> {
    const { rooms, ownerOf, accessOf } = this.#deps;
    const projectId = projectOf(terminalId);
    await accessOf(projectId, userId);
    const owner = await ownerOf(projectId, { start: false });
    if (!owner) throw new Fault('not_found', 'There is no such terminal');
    const terminal = await owner.get({ terminalId });

    // It went meanwhile, and nobody would take the viewer out again.
    if (rooms.waitingBytes(connectionId) === undefined) throw new Fault('unavailable', 'The caller has gone');
    const viewer = new Viewer({ connectionId, userId, after, credits, rooms });
    const watch = this.#add(viewer, terminalId);
    try {
      // Once more: from here on a change finds the viewer.
      const access = await accessOf(projectId, userId);
      const opened = watch.open(viewer);
      const shared = size && access === 'write' ? await watch.resize(viewer, size, owner) : undefined;
      const { chunks, snapshot } = await opened;
      await accessOf(projectId, userId);
      if (viewer.state === 'gone') throw new Fault('not_found', 'There is no such terminal');
      setImmediate(() => this.#goLive(viewer));
      return {
        terminalId,
        size: shared ?? terminal.size,
        offset: viewer.position,
        chunks,
        ...(snapshot ? { snapshot } : {}),
      };
    } catch (error) {
      watch.remove(viewer);
      throw error;
    }
  }

  /** The viewer that a socket is, throws `not_found` where it is none. */
  get(connectionId: string, terminalId: string): { viewer: Viewer; watch: TerminalWatch } {
    const watch = this.#watches.get(terminalId);
    const viewer = watch?.get(connectionId);
    if (!watch || !viewer) throw new Fault('not_found', 'This terminal is not attached to this socket');
    return { viewer, watch };
  }

  resize(connectionId: string, terminalId: string, size: Size, owner: TerminalOwner): Promise<Size | undefined> {
    const { viewer, watch } = this.get(connectionId, terminalId);
    return watch.resize(viewer, size, owner);
  }

  grant(connectionId: string, terminalId: string, credits: number): void {
    const { viewer } = this.get(connectionId, terminalId);
    if (!viewer.hasCredits) throw new Fault('conflict', 'This socket attached without credits');
    viewer.grant(credits);
    viewer.feed?.pump();
  }

  /** Repeatable. */
  detach(connectionId: string, terminalId: string): void {
    const watch = this.#watches.get(terminalId);
    const viewer = watch?.get(connectionId);
    if (viewer) watch?.remove(viewer);
  }

  disconnected(connectionId: string): void {
    for (const watch of this.#bySocket.get(connectionId) ?? []) {
      const viewer = watch.get(connectionId);
      if (viewer) watch.remove(viewer);
    }
  }

  /** Nothing more is sent to those whom it may concern, until it is known. */
  accessChanged({ projectId, userIds }: { projectId: string; userIds: readonly string[] | undefined }): void {
    for (const watch of this.#watches.values()) {
      if (projectOf(watch.terminalId) !== projectId) continue;
      for (const viewer of watch.viewers) {
        if (!userIds || userIds.includes(viewer.userId)) void this.#recheck(watch, viewer);
      }
    }
  }

  close(): void {
    for (const watch of this.#watches.values()) for (const viewer of watch.viewers) watch.remove(viewer);
  }

  async #recheck(watch: TerminalWatch, viewer: Viewer): Promise<void> {
    viewer.suspend();
    try {
      const access = await this.#deps.accessOf(projectOf(watch.terminalId), viewer.userId);
      if (access === 'read') watch.demote(viewer);
      viewer.resume();
    } catch (error) {
      if (!(error instanceof Fault)) this.#deps.log.error('Who may watch a terminal could not be read', { error });
      watch.fail(viewer, toFault(error));
    }
  }

  #add(viewer: Viewer, terminalId: string): TerminalWatch {
    const { connectionId } = viewer;
    const own = this.#bySocket.get(connectionId) ?? new Set();
    let watch = this.#watches.get(terminalId);
    if (own.size >= LIMITS.terminalsPerSocket && !(watch && own.has(watch))) {
      throw new Fault('rate_limited', `At most ${LIMITS.terminalsPerSocket} terminals on one socket`);
    }
    watch ??= new TerminalWatch(terminalId, {
      ...this.#deps,
      onLeft: (left) => this.#left(left, terminalId),
      onIdle: () => this.#forgetIdle(terminalId),
    });
    watch.add(viewer);
    this.#watches.set(terminalId, watch);
    this.#bySocket.set(connectionId, own.add(watch));
    return watch;
  }

  #left({ connectionId }: Viewer, terminalId: string): void {
    const watch = this.#watches.get(terminalId);
    if (!watch || watch.get(connectionId)) return;
    const own = this.#bySocket.get(connectionId);
    own?.delete(watch);
    if (own?.size === 0) this.#bySocket.delete(connectionId);
    this.#forgetIdle(terminalId);
  }

  #forgetIdle(terminalId: string): void {
    if (this.#watches.get(terminalId)?.isIdle) this.#watches.delete(terminalId);
  }

  #goLive(viewer: Viewer): void {
    if (viewer.state === 'gone') return;
    viewer.state = 'live';
    viewer.feed?.pump();
  }
}
