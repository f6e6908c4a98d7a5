/** What the workspace sync needs of the world: the disk, the live documents, the project's files, blobs. */

/** What a path on the disk has. */
export type DiskEntry =
  | { kind: 'file'; hash: string; sizeBytes: number; bytes: Uint8Array | undefined }
  | { kind: 'missing' }
  | { kind: 'skipped'; reason: SkipReason };

/** A regular file; `bytes` only where it is small enough to be a document. */
export type DiskFile = Extract<DiskEntry, { kind: 'file' }>;

/** Why something on the disk is left alone. */
export type SkipReason = 'link' | 'folder' | 'special' | 'too_large' | 'unreadable';

/** What became of a swap. `absent`: what was staged is not there, because it is at its path or because it was removed. */
export type SwapOutcome = 'swapped' | 'absent' | 'missing' | 'taken';

/**
 * The files of one workspace. Paths are relative, with forward slashes. No link is ever followed. A name in the staging
 * folder is an id that the caller makes; what is staged or put aside under it stays until `forget`.
 */
export interface WorkspaceDisk {
  /** With the SHA-256 of all bytes, in hex. */
  read(path: string): Promise<DiskEntry>;
  /** The bytes of a file as they are now. Rejects where `read` would not give a file. */
  content(path: string): AsyncIterable<Uint8Array>;
  /** The paths of all that is no folder, without what is excluded. */
  list(): AsyncIterable<string>;
  /** Writes bytes durably beside the files. They get the mode of the file at `path`, if there is one. */
  stage(id: string, bytes: AsyncIterable<Uint8Array> | Uint8Array, path: string): Promise<void>;
  /** Puts what is staged in place of the file at `path`, which is put aside. `missing` where there is none. */
  replace(id: string, path: string): Promise<SwapOutcome>;
  /** Puts what is staged where nothing is, with the folders it needs. `taken` where something is. */
  place(id: string, path: string): Promise<SwapOutcome>;
  /** Takes a file from its path and puts it aside. False where there is none. */
  take(id: string, path: string): Promise<boolean>;
  /** Puts back what was taken, unless something is there again: then it gets a name of its own beside it. */
  putBack(id: string, path: string): Promise<void>;
  /** Where what was put aside can be read, as any other path. */
  asidePath(id: string): string;
  /** Repeatable. */
  forget(id: string): Promise<void>;
  /** The ids of all that is staged or put aside. */
  ids(): Promise<string[]>;
  /** Gives a file another path, where nothing is. */
  move(from: string, to: string): Promise<'moved' | 'missing' | 'taken'>;
}

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
