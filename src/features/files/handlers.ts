/** One function for each operation on files. */
import { Types } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { Fault, type Handlers } from '../../protocol/index.ts';
import type { DocumentPort } from '../documents/index.ts';
import type { Announcer } from './announcer.ts';
import { chargeOf } from './change-follower.ts';
import { found, requireText, sizeOfText, type Changed, type FileChanges } from './file-changes.ts';
import type { FileAccess, ProjectAccess } from './file-access.ts';
import type { fileOperations, HistoryEntry } from './file-operations.ts';
import type { Listing, Page } from './listing.ts';
import type { FileModels, FileRecord } from './model.ts';
import type { Quota } from './quota.ts';
import type { FileSearch } from './search.ts';
import { toFile } from './views.ts';

export type HistoryPage = { items: HistoryEntry[]; next: string | null };

export interface FileHandlersDeps {
  models: FileModels;
  access: FileAccess;
  projects: ProjectAccess;
  changes: FileChanges;
  listing: Listing;
  search: FileSearch;
  quota: Quota;
  announcer: Announcer;
  audit: Audit;
  documents: Pick<DocumentPort, 'text' | 'write' | 'versions'>;
  blobs: {
    /** Where a blob can be read for a while, without a token. */
    address(file: FileRecord): Promise<{ url: string; urlExpiresAt: string }>;
    versions(file: FileRecord, page: Page): Promise<HistoryPage>;
  };
  now: () => number;
}

export function createFileHandlers(deps: FileHandlersDeps): Handlers<typeof fileOperations> {
  const { models, access, projects, changes, listing, search, quota, announcer, audit, documents, blobs, now } = deps;

  return {
    async 'file:create'({ projectId, path, content = '', language, clientId }, { session: { userId } }) {
      return { file: toFile(await changes.create(userId, projectId, { path, content, language }, clientId)) };
    },

    async 'file:list'({ projectId, ...page }, { session: { userId } }) {
      await projects.require(projectId, userId, 'read');
      return listing.list(projectId, page);
    },

    async 'file:tree'({ projectId }, { session: { userId } }) {
      await projects.require(projectId, userId, 'read');
      return listing.tree(projectId);
    },

    async 'file:read'(what, { session: { userId } }) {
      const file = await access.one(what, userId, 'read');
      if (file.kind === 'blob') return { file: toFile(file), ...(await blobs.address(file)) };
      return { file: toFile(file), content: await documents.text(file._id.toHexString()) };
    },

    async 'file:write'({ content, ...what }, { session: { userId } }) {
      const file = await access.one(what, userId, 'write');
      requireText(file);
      const charge = chargeOf(sizeOfText({ path: file.path, content }));
      await quota.requireRoomIn(file.projectId.toHexString(), charge - file.chargedBytes);
      const { sizeBytes } = await documents.write(file._id.toHexString(), content, userId);
      return { file: toFile(found(await setSize(file._id, sizeBytes))) };
    },

    async 'file:write-many'({ projectId, files, clientId }, { session: { userId } }) {
      return { files: (await changes.writeMany(userId, projectId, files, clientId)).map(toFile) };
    },

    async 'file:rename'({ newPath, ...what }, { session: { userId } }) {
      return toChanged(await changes.rename(userId, what, newPath));
    },

    async 'file:delete'(what, { session: { userId }, origin }) {
      const changed = await changes.delete(userId, what);
      const [first] = changed.files;
      if (first) {
        audit.record({
          action: 'file.delete',
          userId,
          projectId: first.projectId.toHexString(),
          target: first._id.toHexString(),
          ok: true,
          origin,
          detail: { files: changed.files.length },
        });
      }
      return toChanged(changed);
    },

    async 'file:trash'({ projectId, ...page }, { session: { userId } }) {
      await projects.require(projectId, userId, 'read');
      return listing.trash(projectId, page);
    },

    async 'file:restore'({ fileId, newPath, projectId, deletionId }, { session: { userId } }) {
      if (fileId !== undefined) return toChanged(await changes.restoreFile(userId, fileId, newPath));
      return toChanged(await changes.restoreDeletion(userId, projectId ?? '', deletionId ?? ''));
    },

    async 'file:set-language'({ fileId, language }, { session: { userId } }) {
      const { file } = await access.byId(fileId, userId, 'write');
      const changed = await models.files.findOneAndUpdate(
        { _id: file._id, deletedAt: { $exists: false } },
        language === null ? { $unset: { language: '' } } : { $set: { language } },
        { returnDocument: 'after' },
      );
      announcer.saved(found(changed));
      return { file: toFile(found(changed)) };
    },

    async 'file:search'({ projectId, ...query }, { session: { userId }, signal }) {
      await projects.require(projectId, userId, 'read');
      return search.search(projectId, query, signal);
    },

    async 'file:history'({ fileId, ...page }, { session: { userId } }) {
      const { file } = await access.byId(fileId, userId, 'read');
      if (file.kind === 'blob') return blobs.versions(file, page);
      const { items, next } = await documents.versions(fileId, page);
      const entries = items.map(({ id: versionId, createdAt, sizeBytes, createdBy, name }) => ({
        versionId,
        createdAt,
        sizeBytes,
        ...(createdBy === undefined ? {} : { userId: createdBy }),
        ...(name === undefined ? {} : { name }),
      }));
      return { items: entries, next };
    },
  };

  function setSize(_id: Types.ObjectId, sizeBytes: number): Promise<FileRecord | null> {
    return models.files.findOneAndUpdate(
      { _id },
      { $set: { sizeBytes, chargedBytes: chargeOf(sizeBytes), updatedAt: new Date(now()) } },
      { returnDocument: 'after' },
    );
  }
}

function toChanged({ files, isOne }: Changed): {
  file?: ReturnType<typeof toFile>;
  files: ReturnType<typeof toFile>[];
} {
  const [first] = files;
  if (isOne && !first) throw new Fault('not_found', 'There is no such file');
  return { ...(isOne && first ? { file: toFile(first) } : {}), files: files.map(toFile) };
}
