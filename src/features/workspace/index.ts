/**
 * Keeps a project's files and a disk the same, in both directions: `createWorkspacePart` does for each sandbox that this
 * node holds.
 */
export type { BaseHead, BaseRecord, BaseStore, Step } from './base-record.ts';
export { createWorkspacePart, type DiskListener, type OpenDisk, type WorkspacePartDeps } from './part.ts';
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
