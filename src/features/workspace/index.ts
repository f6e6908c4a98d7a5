/**
 * Keeps a project's files and a disk the same, in both directions.
 *
 * To be wired for a project by the node that holds its sandbox, as long as it holds it:
 * - `disk`: the agent's file helper, or `createDirectoryDisk` for a directory of this machine;
 * - `live`: documents; `merge` is a `LiveDocument.update` under whoever the sandbox works for;
 * - `files` and `blobs`: the files feature; `store`: `createBaseStore`;
 * - `diskChanged` for each path that the watcher names, and `rescan` when it says that it lost some;
 * - `liveChanged` when a document was stored or a blob has a new version, and `treeChanged` when the project's files
 *   came, went or moved.
 * Notices are worth putting off for a moment (what is told several times is looked at once); nothing depends on it.
 */
export type { BaseHead, BaseRecord, BaseStore, Step } from './base-record.ts';
export { createDirectoryDisk, type DirectoryDiskOptions } from './directory-disk.ts';
export { isExcluded, STAGING_FOLDER } from './excluded.ts';
export { createBaseStore, createWorkspaceModels, removeBases, type WorkspaceModels } from './model.ts';
export type {
  BlobContent,
  Blobs,
  DiskEntry,
  LiveTexts,
  ProjectFile,
  ProjectFiles,
  SkipReason,
  SwapOutcome,
  WorkspaceDisk,
} from './ports.ts';
export { RENAME_MS, Workspace, type LeftOut, type WorkspaceDeps } from './workspace.ts';
