/**
 * Which project's sandbox is where. One node holds a project's at a time, under a lease; whoever needs it asks here, and
 * is told that it is here or on which node. A node's end leaves what it held to the others of its machine, or to itself
 * when it is started again.
 */
import { Types } from 'mongoose';
import type { Leases, NodeCalls } from '../../cluster/index.ts';
import type { Lease } from '../../cluster/lease.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, KeyedQueue, LIMITS, projectRoom, type Rooms } from '../../protocol/index.ts';
import type { SandboxDriver } from '../../sandbox/driver.ts';
import type { sandboxesEvents } from './contract.ts';
import type { Machine } from './machine.ts';
import type { SandboxModels } from './model.ts';
import { ProjectSandbox, type RunningSandbox, type SandboxPart } from './project-sandbox.ts';
import type { SandboxStatus, StopReason } from './shapes.ts';
import type { VolumeArchives } from './volume-archive.ts';

/** Where a project's sandbox is. */
export type Place<P extends Record<string, SandboxPart>> =
  | { kind: 'here'; running: ProjectSandbox<P> }
  | { kind: 'there'; nodeId: string };

export interface SandboxesDeps<P extends Record<string, SandboxPart>> {
  driver: SandboxDriver;
  machine: Machine;
  archives: Pick<VolumeArchives, 'write' | 'read'>;
  models: SandboxModels;
  leases: Leases;
  calls: NodeCalls;
  rooms: Pick<Rooms<typeof sandboxesEvents>, 'emit'>;
  nodeId: string;
  hostId: string;
  isGone: (nodeId: string) => Promise<boolean>;
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
    await this.#deps.models.volumes.updateOne({ _id: new Types.ObjectId(projectId) }, { $set: { isGone: true } });
    await this.#removeVolumes();
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
    const { driver, leases, ownerOf, hostId, models, archives } = this.#deps;
    const row = await this.#volume(projectId);
    if (row && row.hostId !== hostId) {
      const nodeId = await this.#nodeOfHost(row.hostId);
      if (nodeId !== undefined) return { kind: 'there', nodeId };
    }
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
      const kept = row?.hostId === hostId ? row.volume : undefined;
      const wanted = { kind: 'project' as const, projectId, ownerId, volume: kept, fence: lease.fence };
      const { sandbox, volume } = await this.#deps.machine.take(wanted);
      const running = this.#hold(projectId, ownerId, sandbox, lease);
      try {
        await models.volumes.updateOne(
          { _id: new Types.ObjectId(projectId) },
          { $set: { volume: volume ?? projectId, hostId, usedAt: new Date(this.#deps.now()) } },
          { upsert: true },
        );
        const isEmpty = kept === undefined || driver.volumes === 'memory';
        if (isEmpty && row?.archive) await archives.read(running, row.archive);
        await running.begin(this.#deps.makeParts);
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

  async #end(running: ProjectSandbox<P>, reason: StopReason): Promise<void> {
    const { projectId } = running;
    const { driver, archives } = this.#deps;
    const isKept = driver.volumes === 'memory' && (reason === 'stopped' || reason === 'idle');
    // One that is paused answers nothing. Where that fails, so does what follows.
    if (isKept) await running.awake().catch(() => {});
    this.#tell(projectId, 'stopping');
    try {
      if (isKept) await running.settle();
      await running.closeParts('ended');
      if (isKept) await archives.write(running, false);
      await this.#deps.machine.end(running.sandbox);
    } finally {
      this.#running.delete(projectId);
      await running.lease.release();
      this.#tell(projectId, 'stopped', reason);
    }
  }

  async #leave(running: ProjectSandbox<P>): Promise<void> {
    const { driver, archives } = this.#deps;
    const isKept = driver.volumes === 'memory' && !driver.survives && !running.lease.lost.aborted;
    if (isKept) await running.awake().catch(() => {});
    if (isKept) await running.settle();
    await running.closeParts('left');
    if (isKept) await archives.write(running, true);
    await this.#deps.machine.leave(running.sandbox);
    this.#running.delete(running.projectId);
    await running.lease.release();
  }

  async #removeVolumes(): Promise<void> {
    const { models, hostId, driver } = this.#deps;
    for (const { _id, volume } of await models.volumes.find({ hostId, isGone: true }).toArray()) {
      await driver.removeVolume(volume);
      await models.volumes.deleteOne({ _id });
    }
  }

  async #sweep(): Promise<void> {
    const { machine, leases } = this.#deps;
    await this.#removeVolumes();
    for (const { id, projectId, ownerId } of await machine.sweep()) {
      await this.#queue.run(projectId, async () => {
        if (this.#isClosed || this.#running.has(projectId)) return;
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

  /** A living node of the machine that the volume is on. */
  async #nodeOfHost(hostId: string): Promise<string | undefined> {
    const rows = await this.#deps.models.hosts.find({ hostId }).toArray();
    for (const { _id } of rows) if (!(await this.#deps.isGone(_id))) return _id;
    return undefined;
  }

  #volume(projectId: string) {
    return this.#deps.models.volumes.findOne({ _id: new Types.ObjectId(projectId) });
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
