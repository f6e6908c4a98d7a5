/** Files as they are shown. */
import { DAY_MS, LIMITS } from '../../protocol/index.ts';
import { languageOf } from './languages.ts';
import type { FileRecord } from './model.ts';
import type { DeletedFile, File } from './shapes.ts';

export function toFile({ _id, projectId, path, kind, language, sizeBytes, updatedAt }: FileRecord): File {
  return {
    id: _id.toHexString(),
    projectId: projectId.toHexString(),
    path,
    kind,
    language: language ?? languageOf(path),
    sizeBytes,
    updatedAt: updatedAt.toISOString(),
  };
}

export function toDeletedFile(file: FileRecord & { deletedAt: Date }): DeletedFile {
  const { deletedAt, deletedBy, deletionId, _id } = file;
  return {
    ...toFile(file),
    deletedAt: deletedAt.toISOString(),
    ...(deletedBy && { deletedBy: deletedBy.toHexString() }),
    deletionId: (deletionId ?? _id).toHexString(),
    removedAt: new Date(deletedAt.getTime() + LIMITS.restoreDays * DAY_MS).toISOString(),
  };
}

/** What was deleted before then cannot be restored any more. */
export const restorableSince = (nowMs: number): Date => new Date(nowMs - LIMITS.restoreDays * DAY_MS);
