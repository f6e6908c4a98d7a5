/** What the workspace sync needs of the world: the disk (declared where it is implemented), the live documents, the project's files, blobs. */

export type { DiskEntry, DiskFile, SkipReason, SwapOutcome, WorkspaceDisk } from '../../sandbox/disk/workspace-disk.ts';

/** Live documents. A state is one Yjs update (version 1) of everything in them that is durable. */
export interface LiveTexts {
  state(fileId: string): Promise<Uint8Array>;
  /**
   * Adds an update. Resolves when it is durable. Repeatable. For one file always in the name of the same user: the
   * client ids in it are used again, and belong to whoever used them first.
   */
  merge(fileId: string, update: Uint8Array): Promise<void>;
}

/** A file of the project. */
export interface ProjectFile {
  fileId: string;
  path: string;
  kind: FileKind;
}

export type FileKind = 'text' | 'blob';

/** The project's tree. All of it may be repeated. */
export interface ProjectFiles {
  list(): Promise<ProjectFile[]>;
  /**
   * A text file with the given id, whose document begins with the state (which `create` of documents makes of its text
   * and the id). False where the tree cannot have it: another file is at the path, the path is no good, there is no
   * space.
   */
  createText(file: { fileId: string; path: string }, state: Uint8Array): Promise<boolean>;
  /** A blob. Its content is not read where the file is there already; where it cannot be read this rejects. */
  createBlob(file: { fileId: string; path: string }, content: BlobContent): Promise<boolean>;
  /** The text file is a blob from now on; its text is kept as a version. */
  becomeBlob(fileId: string): Promise<void>;
  /** False where another file is there, or the path is no good. Rejects where the file is gone. */
  move(fileId: string, path: string): Promise<boolean>;
  remove(fileId: string): Promise<void>;
}

export interface BlobContent {
  bytes: AsyncIterable<Uint8Array>;
  /** What it probably has. */
  sizeBytes: number;
}

/** Contents of files that are no documents, in versions. */
export interface Blobs {
  /** The SHA-256 of the present version in hex; undefined where there is none yet. */
  current(fileId: string): Promise<string | undefined>;
  content(fileId: string): AsyncIterable<Uint8Array>;
  /** A new version, which becomes the present one. Gives the SHA-256 of what was stored. */
  put(fileId: string, content: BlobContent): Promise<string>;
  /**
   * What lost against a later writer: a version that does not become the present one, of a text a file beside it.
   */
  keep(fileId: string, content: BlobContent): Promise<void>;
}
