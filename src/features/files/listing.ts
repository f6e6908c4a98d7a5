/** Files in pages: those that are there by their paths, those that are deleted by time. */
import { Types, type mongo } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { FileTree } from './file-tree.ts';
import type { FileRecord } from './model.ts';
import { keyOf } from './paths.ts';
import { Places } from './places.ts';
import type { DeletedFile, File } from './shapes.ts';
import { restorableSince, toDeletedFile, toFile } from './views.ts';

export interface ListingDeps {
  files: mongo.Collection<FileRecord>;
  tree: Pick<FileTree, 'read'>;
  now: () => number;
}

export interface Page {
  limit?: number | undefined;
  cursor?: string | undefined;
}

type Deleted = FileRecord & { deletedAt: Date };

export class Listing {
  readonly #deps: ListingDeps;

  constructor(deps: ListingDeps) {
    this.#deps = deps;
  }

  async list(
    projectId: string,
    { under, limit = LIMITS.listDefault, cursor }: Page & { under?: string | undefined },
  ): Promise<{ items: File[]; next: string | null }> {
    const after = cursor === undefined ? undefined : keyFrom(cursor);
    // The character behind the slash ends what begins with it.
    const within = under === undefined ? {} : { $gte: `${keyOf(under)}/`, $lt: `${keyOf(under)}0` };
    const rows = await this.#deps.tree.read(projectId, () =>
      this.#deps.files
        .find({
          projectId: new Types.ObjectId(projectId),
          key: { $exists: true, ...within, ...(after === undefined ? {} : { $gt: after }) },
        })
        .sort({ key: 1 })
        .limit(limit + 1)
        .toArray(),
    );
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1)?.key : undefined;
    return {
      items: page.map(toFile),
      next: last === undefined ? null : Buffer.from(last).toString('base64url'),
    };
  }

  /** Everything at one moment. */
  async tree(projectId: string): Promise<{ files: File[]; folders: string[] }> {
    const rows = await this.#deps.tree.read(projectId, () => this.rows(projectId));
    return { files: rows.map(toFile), folders: new Places(rows).folders() };
  }

  /** The rows of all files that are there, by path. */
  rows(projectId: string): Promise<FileRecord[]> {
    return this.#deps.files
      .find({ projectId: new Types.ObjectId(projectId), key: { $exists: true } })
      .sort({ key: 1 })
      .toArray();
  }

  async trash(
    projectId: string,
    { limit = LIMITS.listDefault, cursor }: Page,
  ): Promise<{ items: DeletedFile[]; next: string | null }> {
    const project = new Types.ObjectId(projectId);
    const rows = (await this.#deps.files
      .find({
        projectId: project,
        deletedAt: { $gt: restorableSince(this.#deps.now()) },
        ...(cursor === undefined ? {} : belowCursor(cursor)),
      })
      .sort({ deletedAt: -1, _id: -1 })
      .limit(limit + 1)
      .toArray()) as Deleted[];
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    const next = last && Buffer.from(`${last.deletedAt.getTime()}.${last._id.toHexString()}`).toString('base64url');
    return { items: page.map(toDeletedFile), next: next ?? null };
  }
}

const foreign = (): Fault => new Fault('invalid', 'The cursor is not one of ours');

function keyFrom(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString();
  if (key === '') throw foreign();
  return key;
}

function belowCursor(cursor: string): mongo.Filter<FileRecord> {
  const match = /^(\d{1,16})\.([0-9a-f]{24})$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (!match?.[1] || !match[2]) throw foreign();
  const deletedAt = new Date(Number(match[1]));
  return { $or: [{ deletedAt: { $lt: deletedAt } }, { deletedAt, _id: { $lt: new Types.ObjectId(match[2]) } }] };
}
