/**
 * The sandboxes that this node holds on its machine: makes them, keeps some ready, counts them, and removes what nodes
 * that are gone have left.
 */
import { randomBytes } from 'node:crypto';
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import type { Sandbox, SandboxDriver, SandboxKind, SandboxLimits } from '../../sandbox/driver.ts';
import type { SandboxModels, SandboxRecord } from './model.ts';

export interface MachineDeps {
  driver: SandboxDriver;
  models: SandboxModels;
  nodeId: string;
  /** Of the machine: its engine and its folder of sandboxes. */
  hostId: string;
  isGone: (nodeId: string) => Promise<boolean>;
  limits: Readonly<Record<SandboxKind, SandboxLimits & { perUser: number }>>;
  perHost: number;
  /** Sandboxes of each kind that are ready before anybody asks. */
  warm: number;
  log: Log;
  now: () => number;
}

export interface Wanted {
  kind: SandboxKind;
  projectId: string | undefined;
  /** Whose it counts as. */
  ownerId: string;
  /** The project's; undefined: a new one, with a name that no other has. */
  volume: string | undefined;
  /** Of the lease under which it is held; 0 without one. */
  fence: number;
}

/** One whose node is gone. */
export interface LeftSandbox {
  id: string;
  projectId: string;
  ownerId: string;
  volume: string | undefined;
}

interface WarmSandbox {
  sandbox: Sandbox;
  volume: string | undefined;
}

/** What could not be made ready is tried again after this. */
const WARM_AGAIN_MS = 60_000;

export class Machine {
  readonly #deps: MachineDeps;
  readonly #warm: Record<SandboxKind, WarmSandbox[]> = { project: [], run: [] };
  readonly #held = new Set<string>();
  #filling: Promise<void> | undefined;
  #fillAgain: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(deps: MachineDeps) {
    this.#deps = deps;
  }

  /** Whether this node has it, or is making it. */
  holds(id: string): boolean {
    return this.#held.has(id);
  }

  /**
   * A sandbox, and the volume that it has. Rejects with `quota_exceeded` when its owner has too many, `unavailable`
   * when this machine has, or none can be started.
   */
  async take(wanted: Wanted, signal?: AbortSignal): Promise<{ sandbox: Sandbox; volume: string | undefined }> {
    const ready = wanted.volume === undefined ? await this.#takeWarm(wanted) : undefined;
    if (ready) return ready;
    const made = await this.#make(wanted, signal);
    // The first one may have prepared the driver.
    this.fill();
    return made;
  }

  /** Takes one that a node that is gone, or this one in an earlier life, has left. Rejects with `not_found`. */
  async adopt(id: string, fence: number): Promise<Sandbox> {
    this.#held.add(id);
    try {
      const sandbox = await this.#deps.driver.adopt(id, fence);
      await this.#rows.updateOne({ _id: id }, { $set: { nodeId: this.#deps.nodeId } });
      return sandbox;
    } catch (error) {
      this.#held.delete(id);
      throw error;
    }
  }

  /** Ends one of this node's. */
  async end(sandbox: Pick<Sandbox, 'id' | 'remove'>): Promise<void> {
    await sandbox.remove();
    await this.#rows.deleteOne({ _id: sandbox.id });
    this.#held.delete(sandbox.id);
  }

  /** Leaves one of this node's to whoever comes. */
  async leave(sandbox: Sandbox): Promise<void> {
    await sandbox.leave();
    if (!this.#deps.driver.survives) await this.#rows.deleteOne({ _id: sandbox.id });
    this.#held.delete(sandbox.id);
  }

  /**
   * Removes what nobody holds: containers without a row, and those of nodes that are gone. Gives those of projects,
   * which are to be adopted, or discarded.
   */
  async sweep(): Promise<LeftSandbox[]> {
    const { driver, hostId, nodeId, isGone } = this.#deps;
    // Before the rows are read: each container's row was there before it. Machines may share an engine.
    const found = await driver.find();
    const ids = found.map(({ id }) => id);
    const rows = await this.#rows.find({ $or: [{ hostId }, { _id: { $in: ids } }] }).toArray();
    const known = new Set(rows.map(({ _id }) => _id));
    for (const { id, volume } of found) {
      if (!known.has(id) && !this.#held.has(id)) await this.#remove(id, volume);
    }
    const running = new Set(found.filter(({ state }) => state !== 'ended').map(({ id }) => id));
    const left = [];
    for (const row of rows) {
      if (row.hostId !== hostId || this.#held.has(row._id)) continue;
      if (row.nodeId !== nodeId && !(await isGone(row.nodeId))) continue;
      const { _id: id, projectId, ownerId, volume } = row;
      if (projectId && ownerId && running.has(id)) {
        left.push({ id, projectId: projectId.toHexString(), ownerId: ownerId.toHexString(), volume });
      } else await this.#discard(row);
    }
    return left;
  }

  /** Ends one that was left, and is nobody's any more. */
  async discard(id: string): Promise<void> {
    const row = await this.#rows.findOne({ _id: id });
    if (row && !this.#held.has(id)) await this.#discard(row);
  }

  /** Makes as many ready as shall be. Returns at once. */
  fill(): void {
    const { driver, warm } = this.#deps;
    if (this.#isClosed || !driver.survives || !driver.isReady || warm === 0) return;
    this.#filling ??= this.#fill()
      .catch((error: unknown) => {
        this.#deps.log.warn('no sandbox could be made ready', { error });
        this.#fillAgain = setTimeout(() => this.fill(), WARM_AGAIN_MS).unref();
      })
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** Ends those that are ready. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#fillAgain);
    await this.#filling;
    for (const ready of Object.values(this.#warm).flat()) await this.#endWarm(ready);
  }

  get #rows() {
    return this.#deps.models.sandboxes;
  }

  async #make(wanted: Wanted, signal?: AbortSignal): Promise<{ sandbox: Sandbox; volume: string | undefined }> {
    const { driver, limits } = this.#deps;
    const { kind, projectId, ownerId, fence } = wanted;
    const id = randomBytes(8).toString('hex');
    const volume = wanted.volume ?? (kind === 'project' ? id : undefined);
    this.#held.add(id);
    try {
      await this.#insert(id, kind, { projectId, ownerId, volume });
      await this.#admit(id, kind, ownerId);
      return {
        sandbox: await driver.start({ id, kind, projectId, volume, fence, limits: limits[kind] }, signal),
        volume,
      };
    } catch (error) {
      await this.#undo(id, wanted.volume === undefined ? volume : undefined);
      throw error;
    }
  }

  async #takeWarm({ kind, projectId, ownerId, fence }: Wanted): Promise<WarmSandbox | undefined> {
    const ready = this.#warm[kind].shift();
    if (!ready) return undefined;
    const { id } = ready.sandbox;
    try {
      await this.#rows.updateOne({ _id: id }, { $set: { ...idsOf({ projectId, ownerId }), createdAt: this.#time() } });
      await this.#admit(id, kind, ownerId);
      this.fill();
      if (fence === 0) return ready;
      // From here on it is held under the project's lease.
      await ready.sandbox.leave();
      return { sandbox: await this.#deps.driver.adopt(id, fence), volume: ready.volume };
    } catch (error) {
      await this.#endWarm(ready);
      throw error;
    }
  }

  /** It is nobody's, and so is its volume. */
  async #endWarm({ sandbox, volume }: WarmSandbox): Promise<void> {
    await this.end(sandbox);
    if (volume !== undefined) await this.#deps.driver.removeVolume(volume);
  }

  async #fill(): Promise<void> {
    const { driver, limits, warm } = this.#deps;
    for (const kind of ['project', 'run'] as const) {
      while (this.#warm[kind].length < warm && !this.#isClosed) {
        const id = randomBytes(8).toString('hex');
        const volume = kind === 'project' ? id : undefined;
        this.#held.add(id);
        try {
          await this.#insert(id, kind, { volume });
          const spec = { id, kind, projectId: undefined, volume, fence: 0, limits: limits[kind] };
          this.#keepWarm(kind, { sandbox: await driver.start(spec), volume });
        } catch (error) {
          await this.#undo(id, volume);
          throw error;
        }
      }
    }
  }

  /** It could not be made; the volume that is only its own may be there. What cannot be removed now the sweep finds. */
  async #undo(id: string, volume: string | undefined): Promise<void> {
    const { driver } = this.#deps;
    try {
      await driver.remove(id);
      if (volume !== undefined) await driver.removeVolume(volume);
    } catch {
      // The engine is away.
    }
    await this.#rows.deleteOne({ _id: id });
    this.#held.delete(id);
  }

  #keepWarm(kind: SandboxKind, ready: WarmSandbox): void {
    const all = this.#warm[kind];
    all.push(ready);
    void ready.sandbox.ended
      .then(async () => {
        const at = all.indexOf(ready);
        // One that was taken is its taker's.
        if (at === -1) return;
        all.splice(at, 1);
        await this.#endWarm(ready);
        this.fill();
      })
      .catch((error: unknown) => this.#deps.log.warn('a sandbox that was ready could not be put away', { error }));
  }

  async #insert(
    _id: string,
    kind: SandboxKind,
    { volume, ...ids }: { projectId?: string | undefined; ownerId?: string; volume: string | undefined },
  ): Promise<void> {
    const { nodeId, hostId } = this.#deps;
    const more = { ...idsOf(ids), ...(volume === undefined ? {} : { volume }) };
    await this.#rows.insertOne({ _id, kind, nodeId, hostId, ...more, createdAt: this.#time() });
  }

  /** Of those that come at once the earliest rows are let in, whoever looks. */
  async #admit(id: string, kind: SandboxKind, ownerId: string): Promise<void> {
    const { limits, perHost, hostId } = this.#deps;
    const { perUser } = limits[kind];
    const first = await this.#rows
      .find({ ownerId: new Types.ObjectId(ownerId), kind }, { projection: { _id: 1 } })
      .sort({ createdAt: 1, _id: 1 })
      .limit(perUser)
      .toArray();
    if (!first.some(({ _id }) => _id === id)) {
      throw new Fault('quota_exceeded', `There may be ${perUser} at once: stop one first`);
    }
    if ((await this.#rows.countDocuments({ hostId })) > perHost) {
      throw new Fault('unavailable', 'This machine has as many sandboxes as it takes', { retryAfterMs: 60_000 });
    }
  }

  async #discard({ _id, volume }: SandboxRecord): Promise<void> {
    await this.#remove(_id, volume);
    await this.#rows.deleteOne({ _id });
  }

  async #remove(id: string, volume: string | undefined): Promise<void> {
    const { driver, models } = this.#deps;
    await driver.remove(id);
    if (volume === undefined) return;
    // That of a warm one is nobody's, nor is one that its project has never come to have.
    const isOwned = await models.volumes.findOne({ $or: [{ volume }, { 'left.volume': volume }] });
    if (!isOwned) await driver.removeVolume(volume);
  }

  #time(): Date {
    return new Date(this.#deps.now());
  }
}

const idsOf = ({ projectId, ownerId }: { projectId?: string | undefined; ownerId?: string }) => ({
  ...(projectId === undefined ? {} : { projectId: new Types.ObjectId(projectId) }),
  ...(ownerId === undefined ? {} : { ownerId: new Types.ObjectId(ownerId) }),
});
