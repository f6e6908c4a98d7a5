/**
 * Which machine each project's volume is on, and what is kept of it elsewhere. A volume that is its project's no more
 * waits until a node of its machine removes it: nobody else can.
 */
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { DAY_MS, Fault, LIMITS } from '../../protocol/index.ts';
import type { LeftVolume, SandboxModels, VolumeRecord } from './model.ts';

export interface ProjectVolumesDeps {
  models: Pick<SandboxModels, 'volumes' | 'hosts'>;
  nodeId: string;
  /** Of this machine. */
  hostId: string;
  isGone: (nodeId: string) => Promise<boolean>;
  removeVolume: (volume: string) => Promise<void>;
  log: Log;
  now: () => number;
}

export class ProjectVolumes {
  readonly #deps: ProjectVolumesDeps;

  constructor(deps: ProjectVolumesDeps) {
    this.#deps = deps;
  }

  /** This node is there, on this machine. To be said again and again. */
  async announce(): Promise<void> {
    const { models, nodeId, hostId } = this.#deps;
    await models.hosts.updateOne({ _id: nodeId }, { $set: { hostId, seenAt: this.#time() } }, { upsert: true });
    await models.hosts.deleteMany({ seenAt: { $lt: this.#time(-DAY_MS) } });
  }

  async find(projectId: string): Promise<VolumeRecord | undefined> {
    return (await this.#rows.findOne({ _id: new Types.ObjectId(projectId) })) ?? undefined;
  }

  /** Whether the volume is on this machine. */
  isHere(row: VolumeRecord | undefined): row is VolumeRecord & { volume: string } {
    return row?.volume !== undefined && row.hostId === this.#deps.hostId;
  }

  /**
   * A node of the machine that the volume is on, where that is another one. Rejects with `unavailable` while that one may
   * only be restarting, and has more than was archived.
   */
  async nodeElsewhere(row: VolumeRecord | undefined): Promise<string | undefined> {
    if (row?.volume === undefined || this.isHere(row)) return undefined;
    const nodes = await this.#deps.models.hosts.find({ hostId: row.hostId }).toArray();
    for (const { _id } of nodes) if (!(await this.#deps.isGone(_id))) return _id;
    const lately = this.#time(-LIMITS.machineAwayMs);
    if (!row.isArchived && nodes.some(({ seenAt }) => seenAt > lately)) {
      throw new Fault('unavailable', 'The machine that has the sandbox is away', { retryAfterMs: 10_000 });
    }
    return undefined;
  }

  /** Whether a project may have to start where its volume is not. */
  async areOnSeveralMachines(): Promise<boolean> {
    const { models, hostId, isGone } = this.#deps;
    const others = await models.hosts.find({ hostId: { $ne: hostId } }, { projection: { _id: 1 } }).toArray();
    for (const { _id } of others) if (!(await isGone(_id))) return true;
    return false;
  }

  /**
   * This volume is the project's from now on; undefined for one that ends with its sandbox. A former one on a machine
   * that is gone stays there for some days, in case somebody misses something.
   */
  async use(projectId: string, volume: string | undefined, former: VolumeRecord | undefined): Promise<void> {
    const left = this.isHere(former) ? undefined : leftOf(former, this.#time(LIMITS.lostVolumeDays * DAY_MS));
    const lasting = volume === undefined ? {} : { volume };
    await this.#rows.updateOne(
      { _id: new Types.ObjectId(projectId) },
      {
        $set: { ...lasting, hostId: this.#deps.hostId, usedAt: this.#time() },
        $unset: { isArchived: '', ...(volume === undefined ? { volume: '' } : {}) },
        ...(left ? { $push: { left } } : {}),
      },
      { upsert: true },
    );
  }

  /** Its sandbox has ended. `isArchived`: nothing in the volume is new to the archive. */
  async rest(projectId: string, isArchived: boolean): Promise<void> {
    await this.#rows.updateOne({ _id: new Types.ObjectId(projectId) }, { $set: { usedAt: this.#time(), isArchived } });
  }

  /** Removes the project's volume, all of which is archived. */
  async giveUp(projectId: string): Promise<void> {
    const row = await this.find(projectId);
    const left = leftOf(row, this.#time());
    if (!left) return;
    await this.#rows.updateOne(
      { _id: new Types.ObjectId(projectId), volume: left.volume, isArchived: true },
      { $unset: { volume: '' }, $push: { left } },
    );
    await this.removeLeft();
  }

  /** The project is gone for good. */
  async forget(projectId: string): Promise<void> {
    await this.#rows.updateOne({ _id: new Types.ObjectId(projectId) }, { $set: { isGone: true } });
    await this.removeLeft();
  }

  /** The projects with volumes on this machine that have not been used since; those used longest ago first. */
  async unusedSince(time: Date): Promise<{ projectId: string; usedAt: Date }[]> {
    const { hostId } = this.#deps;
    const rows = await this.#rows
      .find({ hostId, usedAt: { $lte: time }, volume: { $exists: true }, isGone: { $ne: true } })
      .project<Pick<VolumeRecord, '_id' | 'usedAt'>>({ usedAt: 1 })
      .sort({ usedAt: 1 })
      .toArray();
    return rows.map(({ _id, usedAt }) => ({ projectId: _id.toHexString(), usedAt }));
  }

  /** Removes those on this machine that are nobody's any more. One that cannot be removed yet is left for the next time. */
  async removeLeft(): Promise<void> {
    const { hostId, log } = this.#deps;
    const rows = await this.#rows.find({ $or: [{ hostId, isGone: true }, { 'left.hostId': hostId }] }).toArray();
    for (const row of rows) {
      await this.#removeLeft(row).catch((error: unknown) => {
        log.warn('a volume could not be removed', { projectId: row._id.toHexString(), error });
      });
    }
    await this.#rows.deleteMany({ isGone: true, volume: { $exists: false }, 'left.0': { $exists: false } });
  }

  async #removeLeft(row: VolumeRecord): Promise<void> {
    const { hostId, removeVolume } = this.#deps;
    const { _id, isGone, left = [] } = row;
    if (isGone && this.isHere(row)) {
      await removeVolume(row.volume);
      await this.#rows.updateOne({ _id, volume: row.volume }, { $unset: { volume: '' } });
    }
    for (const { hostId: onHost, volume, removeAt } of left) {
      if (onHost !== hostId || (!isGone && removeAt > this.#time())) continue;
      await removeVolume(volume);
      await this.#rows.updateOne({ _id }, { $pull: { left: { hostId, volume } } });
    }
  }

  get #rows() {
    return this.#deps.models.volumes;
  }

  #time(inMs = 0): Date {
    return new Date(this.#deps.now() + inMs);
  }
}

const leftOf = (row: VolumeRecord | undefined, removeAt: Date): LeftVolume | undefined =>
  row?.volume === undefined ? undefined : { hostId: row.hostId, volume: row.volume, removeAt };
