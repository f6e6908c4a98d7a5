/**
 * Which project's sandbox is where. One node holds a project's at a time, under a lease; whoever needs it asks here, and
 * is told that it is here or on which node. A node's end leaves what it held to the others of its machine, or to itself
 * when it is started again.
 */
import type { Leases, NodeCalls } from '../../cluster/index.ts';
import type { Lease } from '../../cluster/lease.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, KeyedQueue, LIMITS, projectRoom, type Rooms } from '../../protocol/index.ts';
import type { SandboxDriver } from '../../sandbox/driver.ts';
import type { sandboxesEvents } from './contract.ts';
import type { Machine } from './machine.ts';
import { ProjectSandbox, type RunningSandbox, type SandboxPart } from './project-sandbox.ts';
import type { ProjectVolumes } from './project-volumes.ts';
import type { SandboxStatus, StopReason } from './shapes.ts';
import type { VolumeArchives } from './volume-archive.ts';

/** Where a project's sandbox is. */
export type Place<P extends Record<string, SandboxPart>> =
  | { kind: 'here'; running: ProjectSandbox<P> }
  | { kind: 'there'; nodeId: string };

export interface SandboxesDeps<P extends Record<string, SandboxPart>> {
  driver: SandboxDriver;
  machine: Machine;
  archives: Pick<VolumeArchives, 'write' | 'read' | 'installPackages'>;
  volumes: ProjectVolumes;
  leases: Leases;
  calls: NodeCalls;
  rooms: Pick<Rooms<typeof sandboxesEvents>, 'emit'>;
  nodeId: string;
  ownerOf: (projectId: string) => Promise<string>;
  /** What each running sandbox is given. Its sandbox is ended when this rejects. */
  makeParts: (running: RunningSandbox) => Promise<P>;
  /** Nobody has used it for so long: it is paused, and after twice that stopped. */
  idleMs: number;
  log: Log;
  now: () => number;
}

/** How often it is looked whether sandboxes are idle, at most. */
const LOOK_MS = 30_000;
/** Leftovers of nodes that are gone are looked for this often, besides when one goes. */
const SWEEP_MS = 60_000;

/** What an archive may take: within the time in which a sandbox is to be started again, or this server is to end. */
const ARCHIVE_MS = { stop: 40_000, shutdown: 8_000 };

const leaseOf = (projectId: string): string => `sandbox:${projectId}`;

export class Sandboxes<P extends Record<string, SandboxPart>> {
  readonly #deps: SandboxesDeps<P>;
  readonly #running = new Map<string, ProjectSandbox<P>>();
  /** What is on its way up or down, for who asks how it is. */
  readonly #changing = new Map<string, SandboxStatus>();
  readonly #queue = new KeyedQueue();
  readonly #timers: NodeJS.Timeout[] = [];
  #sweeping: Promise<void> | undefined;
  #isClosed = false;

  constructor(deps: SandboxesDeps<P>) {
    this.#deps = deps;
  }

  /** Takes over what was left on this machine, and goes on doing so. */
  async start(): Promise<void> {
    await this.sweep();
    this.#timers.push(
      setInterval(() => void this.sweep().catch(this.#warn('leftovers could not be looked for')), SWEEP_MS).unref(),
      setInterval(() => void this.#reap(), Math.min(LOOK_MS, this.#deps.idleMs / 2)).unref(),
    );
    this.#deps.machine.fill();
  }

  /** Those that this node holds. */
  get here(): readonly ProjectSandbox<P>[] {
    return [...this.#running.values()];
  }

  /** Where the project's sandbox runs; undefined when it does not. */
  async find(projectId: string): Promise<Place<P> | undefined> {
    const running = this.#running.get(projectId);
    if (running) return { kind: 'here', running };
    const nodeId = await this.#deps.leases.ownerOf(leaseOf(projectId));
    // This node's own is on its way up or down.
    if (nodeId === this.#deps.nodeId) return this.#queue.run(projectId, async () => this.#place(projectId));
    return nodeId === undefined ? undefined : { kind: 'there', nodeId };
  }

  /** Where the project's sandbox runs, once it does; starts it where it does not. */
  async use(projectId: string): Promise<Place<P>> {
    const place = await this.#placeOrBegin(projectId);
    if (place.kind === 'here') await place.running.awake();
    // It may be on its way up there, or paused.
    else await this.#deps.calls.call(place.nodeId, 'sandbox.start', { projectId }, LIMITS.sandboxStartMs);
    return place;
  }

  /** As `use`, asked for by a node that has found out that it is to be here. */
  async useHere(projectId: string): Promise<void> {
    const place = await this.#placeOrBegin(projectId);
    if (place.kind === 'there') throw new Fault('unavailable', 'The sandbox has moved', { retryAfterMs: 1_000 });
    await place.running.awake();
  }

  /** Ends the project's sandbox, wherever it runs. */
  async stop(projectId: string, reason: StopReason): Promise<void> {
    const place = await this.find(projectId);
    if (place?.kind === 'there') {
      await this.#deps.calls.call(place.nodeId, 'sandbox.stop', { projectId, reason }, LIMITS.sandboxStartMs);
    } else if (place) await this.stopHere(projectId, reason);
  }

  /** As `stop`, where this node holds it. */
  async stopHere(projectId: string, reason: StopReason, which?: ProjectSandbox<P>): Promise<void> {
    await this.#queue.run(projectId, async () => {
      const running = this.#running.get(projectId);
      if (!running || (which && running !== which)) return;
      await this.#end(running, reason);
    });
  }

  statusHere(projectId: string): SandboxStatus {
    const running = this.#running.get(projectId);
    return this.#changing.get(projectId) ?? (running ? (running.isPaused ? 'paused' : 'running') : 'stopped');
  }

  /** Looks for what nodes that are gone have left. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  /** Ends the sandbox of a project that is gone for good, and removes its volume, or lets a node of its machine do so. */
  async forget(projectId: string): Promise<void> {
    await this.stop(projectId, 'deleted');
    await this.#deps.volumes.forget(projectId);
  }

  /**
   * Puts what is in the volume of a project whose sandbox does not run into its archive, and removes the volume. False
   * where it runs, or not all of it can be archived: then the volume stays.
   */
  async giveUpVolume(projectId: string): Promise<boolean> {
    return this.#queue.run(projectId, async () => {
      if (this.#running.has(projectId)) return false;
      const place = await this.#begin(projectId);
      if (place.kind === 'there' || !(await this.#end(place.running, 'idle', { isArchived: true }))) return false;
      await this.#deps.volumes.giveUp(projectId);
      return true;
    });
  }

  /** Leaves all sandboxes of this node to whoever comes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#sweeping?.catch(() => {});
    await Promise.all(
      [...this.#running.keys()].map((projectId) =>
        this.#queue.run(projectId, async () => {
          const running = this.#running.get(projectId);
          if (running) await this.#leave(running);
        }),
      ),
    );
  }

  async #placeOrBegin(projectId: string): Promise<Place<P>> {
    // One on its way down, which may take a while, is no place to be.
    const place = this.#changing.get(projectId) === 'stopping' ? undefined : await this.find(projectId);
    return place ?? this.#queue.run(projectId, () => this.#begin(projectId));
  }

  #place(projectId: string): Place<P> | undefined {
    const running = this.#running.get(projectId);
    return running && { kind: 'here', running };
  }

  /** In the project's turn. */
  async #begin(projectId: string): Promise<Place<P>> {
    const here = this.#place(projectId);
    if (here) return here;
    if (this.#isClosed) throw new Fault('unavailable', 'This server stops', { retryAfterMs: 1_000 });
    const { driver, leases, ownerOf, volumes, archives } = this.#deps;
    const row = await volumes.find(projectId);
    const elsewhere = await volumes.nodeElsewhere(row);
    if (elsewhere !== undefined) return { kind: 'there', nodeId: elsewhere };
    const lease = await leases.tryAcquire(leaseOf(projectId));
    if (!lease) {
      const nodeId = await leases.ownerOf(leaseOf(projectId));
      if (nodeId !== undefined && nodeId !== this.#deps.nodeId) return { kind: 'there', nodeId };
      throw new Fault('unavailable', 'The sandbox is about to be started elsewhere', { retryAfterMs: 1_000 });
    }
    this.#tell(projectId, 'starting');
    try {
      const ownerId = await ownerOf(projectId);
      // Its files are the project's wherever it is; of what else was in a volume that nobody can reach there is the archive.
      const kept = volumes.isHere(row) ? row.volume : undefined;
      const wanted = { kind: 'project' as const, projectId, ownerId, volume: kept, fence: lease.fence };
      const { sandbox, volume } = await this.#deps.machine.take(wanted);
      const running = this.#hold(projectId, ownerId, sandbox, lease);
      try {
        await volumes.use(projectId, driver.survives || driver.volumes !== 'memory' ? volume : undefined, row);
        const isEmpty = kept === undefined || driver.volumes === 'memory';
        const archive = isEmpty ? row?.archive : undefined;
        if (archive) await archives.read(running, archive);
        await running.begin(this.#deps.makeParts);
        if (archive?.packages?.length) await archives.installPackages(running, archive.packages);
      } catch (error) {
        await this.#end(running, 'failed');
        throw error;
      }
      this.#tell(projectId, 'running');
      return { kind: 'here', running };
    } catch (error) {
      await lease.release();
      if (this.#changing.get(projectId) === 'starting') this.#tell(projectId, 'stopped', 'failed');
      throw error;
    }
  }

  #hold(projectId: string, ownerId: string, sandbox: ProjectSandbox<P>['sandbox'], lease: Lease): ProjectSandbox<P> {
    const { now } = this.#deps;
    const running = new ProjectSandbox<P>({
      projectId,
      ownerId,
      sandbox,
      lease,
      startedAtMs: now(),
      now,
      onStatus: (status) => this.#tell(projectId, status),
    });
    this.#running.set(projectId, running);
    void sandbox.ended
      .then((reason) => this.stopHere(projectId, reason, running))
      .catch(this.#warn('a sandbox that ended could not be put away'));
    lease.lost.addEventListener('abort', () => {
      void this.#queue
        .run(projectId, async () => {
          if (this.#running.get(projectId) === running) await this.#leave(running);
        })
        // It may still be this node's: then it is taken anew.
        .then(() => this.sweep())
        .catch(this.#warn('a sandbox whose lease was lost could not be left'));
    });
    return running;
  }

  /** Tells whether all that was in it is kept elsewhere. */
  async #end(running: ProjectSandbox<P>, reason: StopReason, { isArchived = false } = {}): Promise<boolean> {
    const { projectId } = running;
    const { machine, volumes } = this.#deps;
    const isOrderly = reason === 'stopped' || reason === 'idle';
    const archiveMs = isArchived || (isOrderly && (await this.#isOnlyHere())) ? ARCHIVE_MS.stop : undefined;
    // One that is paused answers nothing. Where that fails, so does what follows.
    if (archiveMs !== undefined) await running.awake().catch(() => {});
    this.#tell(projectId, 'stopping');
    try {
      const isKept = await this.#closeParts(running, 'ended', archiveMs);
      await machine.end(running.sandbox);
      await volumes.rest(projectId, isKept);
      return isKept;
    } finally {
      this.#running.delete(projectId);
      await running.lease.release();
      this.#tell(projectId, 'stopped', reason);
    }
  }

  /** Whether what is in a sandbox may be lost although it ends in order. */
  async #isOnlyHere(): Promise<boolean> {
    const { driver, volumes } = this.#deps;
    return driver.volumes === 'memory' || volumes.areOnSeveralMachines();
  }

  /** With an archive before its end where there is time for one: tells whether it has all. */
  async #closeParts(
    running: ProjectSandbox<P>,
    how: 'ended' | 'left',
    archiveMs: number | undefined,
  ): Promise<boolean> {
    const leftOut = archiveMs === undefined ? undefined : await running.settle();
    await running.closeParts(how);
    if (archiveMs === undefined) return false;
    const isWritten = await this.#deps.archives.write(running, leftOut ?? [], archiveMs);
    return isWritten && leftOut !== undefined;
  }

  async #leave(running: ProjectSandbox<P>): Promise<void> {
    const { driver } = this.#deps;
    const isArchived = driver.volumes === 'memory' && !driver.survives && !running.lease.lost.aborted;
    if (isArchived) await running.awake().catch(() => {});
    await this.#closeParts(running, 'left', isArchived ? ARCHIVE_MS.shutdown : undefined);
    await this.#deps.machine.leave(running.sandbox);
    this.#running.delete(running.projectId);
    await running.lease.release();
  }

  async #sweep(): Promise<void> {
    const { machine, leases, volumes } = this.#deps;
    await volumes.announce();
    await volumes.removeLeft();
    for (const { id, projectId, ownerId, volume } of await machine.sweep()) {
      await this.#queue.run(projectId, async () => {
        if (this.#isClosed || this.#running.has(projectId)) return;
        // The project has begun anew elsewhere.
        const row = await volumes.find(projectId);
        if (!volumes.isHere(row) || row.volume !== volume) return machine.discard(id);
        const lease = await leases.tryAcquire(leaseOf(projectId));
        if (!lease) return;
        try {
          const sandbox = await machine.adopt(id, lease.fence);
          const running = this.#hold(projectId, ownerId, sandbox, lease);
          await running.begin(this.#deps.makeParts).catch(async (error: unknown) => {
            await this.#end(running, 'failed');
            throw error;
          });
          this.#tell(projectId, 'running');
        } catch (error) {
          this.#warn('a sandbox could not be taken over')(error);
          await lease.release();
        }
      });
    }
  }

  async #reap(): Promise<void> {
    const waiting = [...this.#running.values()].filter(({ projectId }) => !this.#changing.has(projectId));
    await Promise.all(
      waiting.map((running) => this.#reapOne(running).catch(this.#warn('an idle sandbox could not be put away'))),
    );
  }

  async #reapOne(running: ProjectSandbox<P>): Promise<void> {
    const { idleMs } = this.#deps;
    const unusedMs = await running.idleMs();
    if (unusedMs >= 2 * idleMs) await this.stopHere(running.projectId, 'idle', running);
    else if (unusedMs >= idleMs && !running.isPaused) {
      await running.pause().catch(() => {
        // It goes on until its time is over.
      });
    }
  }

  #tell(projectId: string, status: SandboxStatus, reason?: StopReason): void {
    if (status === 'starting' || status === 'stopping') this.#changing.set(projectId, status);
    else this.#changing.delete(projectId);
    this.#deps.rooms.emit(projectRoom(projectId), 'sandbox:changed', {
      projectId,
      status,
      ...(reason === undefined ? {} : { reason }),
    });
  }

  #warn(message: string): (error: unknown) => void {
    return (error) => this.#deps.log.warn(message, { error });
  }
}
