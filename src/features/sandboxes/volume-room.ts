/**
 * Keeps room for new volumes on this machine: those that nobody has used for long are archived and removed, and as long
 * as the disk is short the ones used longest ago. One that cannot be archived whole stays.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Leases } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import type { SandboxDriver } from '../../sandbox/driver.ts';
import type { ProjectVolumes } from './project-volumes.ts';

export interface VolumeRoomDeps {
  driver: Pick<SandboxDriver, 'volumes' | 'roomBytes'>;
  volumes: Pick<ProjectVolumes, 'unusedSince'>;
  /** Nodes of one machine do this one at a time. */
  leases: Pick<Leases, 'tryAcquire'>;
  hostId: string;
  /** Of one volume. */
  volumeBytes: number;
  /** For how many more there is to be room. */
  warm: number;
  unusedVolumeMs: number;
  /** Archives what is in a project's volume and removes it; false where it has to stay. */
  giveUp: (projectId: string) => Promise<boolean>;
  log: Log;
  now: () => number;
}

const LOOK_MS = 60_000;
/** One that had to stay is left alone for so long: each attempt starts its sandbox. */
const AGAIN_MS = 3_600_000;
/** Also where the disk is short, one that was used so lately is about to be used again. */
const LEAST_UNUSED_MS = 600_000;

export class VolumeRoom {
  readonly #deps: VolumeRoomDeps;
  /** Until when projects are left alone. */
  readonly #stays = new Map<string, number>();
  readonly #closing = new AbortController();
  #looking: Promise<void> = Promise.resolve();

  constructor(deps: VolumeRoomDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#looking = this.#lookAgainAndAgain();
  }

  /** Resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#looking;
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => {
        this.#deps.log.warn('room for volumes could not be made', { error });
      });
      await pause(LOOK_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #look(): Promise<void> {
    const { driver, volumes, leases, hostId, unusedVolumeMs, now } = this.#deps;
    if (driver.volumes !== 'quota') return;
    const longUnusedMs = now() - unusedVolumeMs;
    const sinceMs = (await this.#isShort()) ? Math.max(now() - LEAST_UNUSED_MS, longUnusedMs) : longUnusedMs;
    const unused = await volumes.unusedSince(new Date(sinceMs));
    const lease = unused.length > 0 ? await leases.tryAcquire(`sandbox-volumes:${hostId}`) : undefined;
    if (!lease) return;
    try {
      for (const { projectId, usedAt } of unused) {
        if (this.#closing.signal.aborted || lease.lost.aborted) return;
        if (usedAt.getTime() <= longUnusedMs || (await this.#isShort())) await this.#giveUp(projectId);
      }
    } finally {
      await lease.release();
    }
  }

  async #isShort(): Promise<boolean> {
    const { driver, volumeBytes, warm } = this.#deps;
    return (await driver.roomBytes()) < (warm + 1) * volumeBytes;
  }

  async #giveUp(projectId: string): Promise<void> {
    const { giveUp, log, now } = this.#deps;
    if ((this.#stays.get(projectId) ?? 0) > now()) return;
    this.#stays.delete(projectId);
    const isGivenUp = await giveUp(projectId).catch((error: unknown) => {
      log.warn('a volume could not be given up', { projectId, error });
      return false;
    });
    if (isGivenUp) log.info('a volume is only in its archive now', { projectId });
    else this.#stays.set(projectId, now() + AGAIN_MS);
  }
}
