/** The files of a sandbox, as whoever keeps them in step with a project sees them. */

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
