/** What is told of blobs: where they can be read, which versions they have had; and who still needs which content. */
import { Types } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { SignedAddresses } from '../uploads/index.ts';
import { contentKeyOf, type ContentRecord, type VersionRecord } from './blob-model.ts';
import type { VersionStore } from './blob-versions.ts';
import type { ContentStore } from './content-store.ts';
import { presentationOf } from './content-type.ts';
import type { HistoryPage } from './handlers.ts';
import type { Page } from './listing.ts';
import type { FileModels, FileRecord, NewBlob } from './model.ts';

export interface BlobReadingDeps {
  models: FileModels;
  blobs: Blobs;
  contents: ContentStore;
  versions: VersionStore;
  addresses: SignedAddresses;
  now: () => number;
}

export class BlobReading {
  readonly #deps: BlobReadingDeps;

  constructor(deps: BlobReadingDeps) {
    this.#deps = deps;
  }

  /** The version that the file has now. */
  async present(file: FileRecord): Promise<VersionRecord> {
    const version = await this.#deps.versions.at(file._id, file.version ?? 0);
    if (!version) throw new Fault('not_found', 'There is no such file');
    return version;
  }

  /** Where the file, as it is now, can be read for a while, without a token. */
  async address(file: FileRecord): Promise<{ url: string; urlExpiresAt: string }> {
    return this.#addressOf(file, await this.present(file));
  }

  /** The newest first; `next` tells the version before. */
  async versions(file: FileRecord, { limit = LIMITS.listDefault, cursor }: Page): Promise<HistoryPage> {
    const before = cursor === undefined ? (file.version ?? 0) + 1 : Number(cursor);
    if (!Number.isSafeInteger(before)) throw new Fault('invalid', 'The cursor is not one of ours', { detail: [] });
    const most = Math.min(limit, LIMITS.blobVersionsKept);
    const upTo = Math.min(before - 1, file.version ?? 0);
    const rows = await this.#deps.versions.list(file._id, upTo, most + 1);
    const items = rows.slice(0, most).map(async (row) => ({
      versionId: row._id.toHexString(),
      createdAt: row.createdAt.toISOString(),
      sizeBytes: row.sizeBytes,
      userId: row.createdBy.toHexString(),
      url: (await this.#addressOf(file, row)).url,
    }));
    const next = rows.length > most ? rows[most - 1]?.version : undefined;
    return { items: await Promise.all(items), next: next === undefined ? null : String(next) };
  }

  /** Gives a new file the present content of another. */
  async copy(from: FileRecord, to: { fileId: string; projectId: string; userId: string }): Promise<NewBlob> {
    const { contents, versions } = this.#deps;
    const { contentId, mime, sizeBytes, digest } = await this.present(from);
    await contents.pin([contentId]);
    const fileId = new Types.ObjectId(to.fileId);
    // It may be asked for again.
    const [made] = await versions.list(fileId, Number.MAX_SAFE_INTEGER, 1);
    const content = { _id: contentId, sizeBytes, digest };
    const { version } =
      made ??
      (await versions.add({ fileId, projectId: new Types.ObjectId(to.projectId), content, mime, userId: to.userId }));
    return { mime, version, chargedBytes: sizeBytes };
  }

  /** Looks at a content whose time has come: it is kept while a version names it that counts, or may come to. */
  async look(content: ContentRecord): Promise<void> {
    const { contents, versions } = this.#deps;
    if (content.state === 'stored') {
      const naming = await versions.naming(content._id);
      const needed = await Promise.all(naming.map((version) => this.#isNeeded(version)));
      if (needed.includes(true)) return contents.keep(content);
      await versions.undo(naming);
    }
    await contents.remove(content);
  }

  /** A change that is decided counts, however long nobody has been there to finish it. */
  async #isNeeded({ fileId, projectId, version }: VersionRecord): Promise<boolean> {
    const { files, trees } = this.#deps.models;
    const isThere = async (): Promise<boolean> =>
      (await files.countDocuments({ _id: fileId, version: { $gte: version } }, { limit: 1 })) > 0;
    if (await isThere()) return true;
    if (await trees.countDocuments({ _id: projectId, 'pending.rows.id': fileId }, { limit: 1 })) return true;
    return isThere();
  }

  async #addressOf(file: FileRecord, row: VersionRecord): Promise<{ url: string; urlExpiresAt: string }> {
    const { blobs, addresses, now } = this.#deps;
    const { contentType, disposition } = presentationOf(file.path, 'blob');
    if (blobs.urlFor) {
      const url = await blobs.urlFor(contentKeyOf(row.contentId), {
        method: 'GET',
        expiresInSeconds: LIMITS.attachmentUrlMs / 1_000,
        contentType,
        ...(disposition === 'attachment' ? { fileName: nameOf(file.path) } : {}),
      });
      return { url, urlExpiresAt: new Date(now() + LIMITS.attachmentUrlMs).toISOString() };
    }
    const [fileId, versionId] = [file._id.toHexString(), row._id.toHexString()];
    const { query, expiresAt } = addresses.sign(fileId, versionId);
    return { url: `/api/files/${fileId}/content?versionId=${versionId}&${query}`, urlExpiresAt: expiresAt };
  }
}

export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
