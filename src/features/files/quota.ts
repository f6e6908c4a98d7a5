/** What the files of a user's own projects take of the space that the user has, whoever has made them. */
import { Types, type mongo } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { FileRecord } from './model.ts';

export interface QuotaDeps {
  files: mongo.Collection<FileRecord>;
  ownerOf: (projectId: string) => Promise<string>;
  /** All projects that count for the user, deleted ones that can be restored among them. */
  projectsOf: (userId: string) => Promise<readonly string[]>;
}

/** Bytes that count for a user and are in no file's row (yet). */
export type OtherBytes = (userId: string) => Promise<number>;

export interface Usage {
  usedBytes: number;
  limitBytes: number;
}

/** Projects that one query sums up. */
const BATCH = 200;

export class Quota {
  readonly #deps: QuotaDeps;
  readonly #others: OtherBytes[] = [];

  constructor(deps: QuotaDeps) {
    this.#deps = deps;
  }

  /** Uploads under way and the like. */
  add(others: OtherBytes): void {
    this.#others.push(others);
  }

  /** Who pays for the project's files. */
  ownerOf(projectId: string): Promise<string> {
    return this.#deps.ownerOf(projectId);
  }

  async usage(userId: string): Promise<Usage> {
    const [inFiles, ...others] = await Promise.all([
      this.#inFiles(await this.#deps.projectsOf(userId)),
      ...this.#others.map((bytes) => bytes(userId)),
    ]);
    return { usedBytes: others.reduce((sum, bytes) => sum + bytes, inFiles), limitBytes: LIMITS.storageQuotaBytes };
  }

  /** Rejects with `quota_exceeded` when the user has more than there is, with `growthBytes` to come. */
  async requireRoom(userId: string, growthBytes = 0): Promise<void> {
    const { usedBytes, limitBytes } = await this.usage(userId);
    if (usedBytes + growthBytes <= limitBytes) return;
    throw new Fault('quota_exceeded', "The project's owner has no space left for files", {
      detail: { quotaBytes: limitBytes },
    });
  }

  /** The same for a project that is to grow. What shrinks it is always possible. */
  async requireRoomIn(projectId: string, growthBytes: number): Promise<void> {
    if (growthBytes > 0) await this.requireRoom(await this.#deps.ownerOf(projectId), growthBytes);
  }

  async #inFiles(projectIds: readonly string[]): Promise<number> {
    let bytes = 0;
    for (let i = 0; i < projectIds.length; i += BATCH) {
      const ids = projectIds.slice(i, i + BATCH).map((id) => new Types.ObjectId(id));
      const [sum] = await this.#deps.files
        .aggregate<{ bytes: number }>([
          { $match: { projectId: { $in: ids } } },
          { $group: { _id: null, bytes: { $sum: '$chargedBytes' } } },
        ])
        .toArray();
      bytes += sum?.bytes ?? 0;
    }
    return bytes;
  }
}
