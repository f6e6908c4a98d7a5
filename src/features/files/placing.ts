/**
 * Puts what has arrived into a project's tree, all of it or nothing: as a new file, the new text of a text, or the new
 * version of a blob.
 */
import type { mongo, Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { Arrivals, Arrived } from './arrivals.ts';
import type { StoredContent, VersionRecord } from './blob-model.ts';
import type { VersionStore } from './blob-versions.ts';
import { chargeOf } from './change-follower.ts';
import type { ContentStore } from './content-store.ts';
import { contentTypeOf } from './content-type.ts';
import type { FileTree, PlacedRow, Plan } from './file-tree.ts';
import type { FileRecord, RowChange } from './model.ts';
import type { Places } from './places.ts';
import type { Quota } from './quota.ts';

export interface Arrival {
  /** What it is called by if it becomes a new file; one that is there has arrived before. */
  id: Types.ObjectId;
  path: string;
  arrived: Arrived;
  /** It takes the place of nothing. */
  isNew?: boolean;
}

export interface PlacingDeps {
  files: mongo.Collection<FileRecord>;
  tree: FileTree;
  quota: Quota;
  contents: ContentStore;
  versions: VersionStore;
  arrivals: Arrivals;
}

/** What is decided of a tree as it is. */
interface Attempt {
  places: Places<PlacedRow>;
  projectId: Types.ObjectId;
  userId: string;
  versions: VersionRecord[];
  texts: Required<Plan>['texts'];
  /** What texts take more than before. Contents have their space already. */
  growth: number;
}

/** The same, of one file. */
type Renewal = Pick<Attempt, 'projectId' | 'userId' | 'versions'>;
type VersionContent = Pick<StoredContent, '_id' | 'sizeBytes' | 'digest'>;

export class Placing {
  readonly #deps: PlacingDeps;

  constructor(deps: PlacingDeps) {
    this.#deps = deps;
  }

  /** Whoever may is asked by the caller. Resolves with the files in the same order; what could not be placed is discarded. */
  async place(projectId: Types.ObjectId, userId: string, arrivals: readonly Arrival[]): Promise<FileRecord[]> {
    const { files, tree, quota, versions } = this.#deps;
    const project = projectId.toHexString();
    const ids = arrivals.map(({ id }) => id);
    let added: VersionRecord[] = [];
    let isDecided = false;
    try {
      const placed = await tree.change(project, userId, async (places) => {
        isDecided = false;
        // The tree has changed since it was decided.
        await versions.undo(added);
        added = [];
        if ((await files.countDocuments({ _id: { $in: ids } }, { limit: 1 })) > 0) return undefined;
        const attempt: Attempt = { places, projectId, userId, versions: added, texts: [], growth: 0 };
        const rows: RowChange[] = [];
        for (const arrival of arrivals) rows.push(await this.#decide(arrival, attempt));
        await quota.requireRoomIn(project, attempt.growth);
        isDecided = true;
        return { rows, texts: attempt.texts };
      });
      if (placed.length > 0) {
        await this.#settle(added);
        return placed;
      }
    } catch (error) {
      // What is decided may still happen, and needs its contents: if it does not, they are collected.
      if (isDecided) throw error;
      await versions.undo(added);
      await this.#discard(arrivals);
      throw error;
    }
    await this.#discard(arrivals);
    return files.find({ _id: { $in: ids } }).toArray();
  }

  /** A further version of a blob that is there, with a content that it, or another one, has had. */
  async replace(file: FileRecord, userId: string, version: VersionRecord): Promise<FileRecord> {
    await this.#deps.contents.pin([version.contentId]);
    return this.#renew(file, userId, (there, attempt) => this.#nextVersion(there, contentOf(version), attempt));
  }

  /** A further version of a blob that is there. */
  async put(file: FileRecord, userId: string, content: StoredContent): Promise<FileRecord> {
    return this.#renew(file, userId, (there, attempt) => this.#nextVersion(there, content, attempt), content);
  }

  /** A version that comes before the present one. */
  async putBefore(file: FileRecord, userId: string, content: StoredContent): Promise<FileRecord> {
    const { files, versions, contents } = this.#deps;
    const decide = async (there: PlacedRow, attempt: Renewal): Promise<RowChange> => {
      const { version = 0 } = (await files.findOne({ _id: file._id })) ?? {};
      const present = await versions.at(file._id, version);
      if (!present) return this.#nextVersion(there, content, attempt);
      await contents.pin([present.contentId]);
      await this.#nextVersion(there, content, attempt);
      return this.#nextVersion(there, contentOf(present), attempt);
    };
    return this.#renew(file, userId, decide, content);
  }

  /** A text becomes a blob, with this as its first version. */
  async convert(file: FileRecord, userId: string, content: StoredContent): Promise<FileRecord> {
    const decide = async (there: PlacedRow, attempt: Renewal): Promise<RowChange> => {
      if (there.kind !== 'text') throw new Fault('conflict', `${there.path} is no text any more`);
      const { sizeBytes, blob } = await this.#nextVersion(there, content, attempt);
      return { op: 'convert', id: there._id, sizeBytes, blob };
    };
    return this.#renew(file, userId, decide, content);
  }

  /** One file that is there changes; `fresh` is released where it does not come to that. */
  async #renew(
    file: FileRecord,
    userId: string,
    decide: (there: PlacedRow, attempt: Renewal) => Promise<RowChange>,
    fresh?: StoredContent,
  ): Promise<FileRecord> {
    const { contents, tree, versions } = this.#deps;
    const { _id, projectId } = file;
    let added: VersionRecord[] = [];
    let isDecided = false;
    try {
      const [changed] = await tree.change(projectId.toHexString(), userId, async (places) => {
        isDecided = false;
        await versions.undo(added);
        added = [];
        const there = places.find((one) => one._id.equals(_id));
        if (!there) throw new Fault('not_found', 'There is no such file');
        const row = await decide(there, { projectId, userId, versions: added });
        isDecided = true;
        return { rows: [row] };
      });
      await this.#settle(added);
      return changed ?? file;
    } catch (error) {
      // What is decided may still happen.
      if (isDecided) throw error;
      await versions.undo(added);
      if (fresh) await contents.release([fresh._id]);
      throw error;
    }
  }

  async #decide(arrival: Arrival, attempt: Attempt): Promise<RowChange> {
    const there = arrival.isNew ? undefined : attempt.places.at(arrival.path);
    return there ? this.#onto(there, arrival, attempt) : this.#anew(arrival, attempt);
  }

  async #anew({ id, path, arrived }: Arrival, attempt: Attempt): Promise<RowChange> {
    const { places, projectId, userId, texts } = attempt;
    if (arrived.kind !== 'blob') {
      const { sizeBytes } = arrived;
      places.add({ _id: id, path, kind: 'text', sizeBytes, chargedBytes: 0 });
      attempt.growth += chargeOf(sizeBytes);
      if (arrived.kind === 'text' && arrived.text !== '') texts.push({ id, text: arrived.text });
      return { op: 'create', id, path, kind: 'text', sizeBytes };
    }
    const { content } = arrived;
    const { sizeBytes } = content;
    places.add({ _id: id, path, kind: 'blob', sizeBytes, chargedBytes: 0 });
    const mime = contentTypeOf(path, 'blob');
    const row = await this.#deps.versions.add({ fileId: id, projectId, content, mime, userId });
    attempt.versions.push(row);
    const blob = { mime, version: row.version, chargedBytes: sizeBytes };
    return { op: 'create', id, path, kind: 'blob', sizeBytes, blob };
  }

  async #onto(there: PlacedRow, arrival: Arrival, attempt: Attempt): Promise<RowChange> {
    const { path, arrived } = arrival;
    if (arrived.kind === 'document') {
      throw new Fault('unavailable', 'The project has changed meanwhile: try it again', { retryAfterMs: 1_000 });
    }
    if (there.kind === 'text') {
      if (arrived.kind === 'blob') {
        throw new Fault('conflict', `${path} is a text, and this is none: remove it first`, {
          detail: { path, by: path },
        });
      }
      const { text, sizeBytes } = arrived;
      attempt.growth += chargeOf(sizeBytes) - there.chargedBytes;
      attempt.texts.push({ id: there._id, text });
      return { op: 'write', id: there._id, sizeBytes };
    }
    if (arrived.kind === 'text') {
      // A blob stays one. Stored once, however often it is decided.
      const ownerId = await this.#deps.quota.ownerOf(attempt.projectId.toHexString());
      arrival.arrived = { kind: 'blob', content: await this.#deps.arrivals.asBlob(ownerId, arrived.text) };
      return this.#onto(there, arrival, attempt);
    }
    return this.#nextVersion(there, arrived.content, attempt);
  }

  async #nextVersion(
    { _id: fileId, path }: PlacedRow,
    content: VersionContent,
    { projectId, userId, versions: added }: Renewal,
  ): Promise<Extract<RowChange, { op: 'replace' }>> {
    const { versions } = this.#deps;
    const mime = contentTypeOf(path, 'blob');
    const row = await versions.add({ fileId, projectId, content, mime, userId });
    added.push(row);
    const chargedBytes = await versions.keptBytes(fileId, row.version);
    return {
      op: 'replace',
      id: fileId,
      sizeBytes: content.sizeBytes,
      blob: { mime, version: row.version, chargedBytes },
    };
  }

  /** They count now. */
  async #settle(added: readonly VersionRecord[]): Promise<void> {
    const { contents, versions } = this.#deps;
    await contents.settle(added.map(({ contentId }) => contentId));
    for (const { fileId, version } of added) if (version > 1) await versions.prune(fileId, version);
  }

  #discard(arrivals: readonly Arrival[]): Promise<void> {
    return this.#deps.arrivals.discard(arrivals.map(({ arrived }) => arrived));
  }
}

const contentOf = ({ contentId, sizeBytes, digest }: VersionRecord): VersionContent => ({
  _id: contentId,
  sizeBytes,
  digest,
});
