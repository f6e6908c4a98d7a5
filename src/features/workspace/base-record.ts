/**
 * What is stored of one file: what both sides last agreed on, and what is under way. A row is stored before what it
 * announces is done, and each step may be repeated: after a crash the row says how to go on.
 */
import { EMPTY_UPDATE } from '../documents/index.ts';
import type { FileKind } from './ports.ts';

/** How lines end on the disk. In documents they end with a line feed. */
export type Eol = 'lf' | 'crlf';

export type Step =
  /** Nothing is under way. */
  | { kind: 'agreed' }
  /** The disk had something new; it is in `state`, and perhaps not yet in the live document. */
  | { kind: 'merging' }
  /**
   * New bytes are staged under the id, and perhaps in place. `state` is the document's that they were made of.
   * `hasMerged`: what was put aside had something new; it is in the row's state, and perhaps not in the live document.
   */
  | { kind: 'flushing'; id: string; hash: string; state: Uint8Array; hasMerged: boolean }
  /** The disk has a new file; perhaps the project does not have it yet. */
  | { kind: 'creating' }
  /** The file is gone from the disk; perhaps not yet from the project. */
  | { kind: 'removingLive' }
  /** The file is gone from the project; perhaps the disk's is already put aside under the id. */
  | { kind: 'removingDisk'; id: string }
  /** The file gets another path on the disk; perhaps it has it already. */
  | { kind: 'moving'; to: string };

export interface BaseRecord {
  fileId: string;
  /** Where the disk has it. */
  path: string;
  kind: FileKind;
  /** Of the bytes on the disk, SHA-256 in hex; undefined until both sides have agreed for the first time. */
  hash: string | undefined;
  /** Of a text: the document's state in which it has the text of `hash`. */
  state: Uint8Array;
  eol: Eol;
  /** The Yjs client id under which the disk's changes are made. */
  client: number | undefined;
  step: Step;
  /** Counts what was stored of it: who did not see the last one stores nothing. */
  rev: number;
}

/** What is kept in memory of each file. */
export type BaseHead = Pick<BaseRecord, 'fileId' | 'path' | 'kind' | 'hash'> & { step: Step['kind'] };

/** Rows of one project. */
export interface BaseStore {
  /** What marks the disk that the rows are about. */
  mark(): Promise<string | undefined>;
  /** Removes all rows, and keeps the mark of the disk that those to come are about. */
  begin(mark: string): Promise<void>;
  heads(): Promise<BaseHead[]>;
  load(fileId: string): Promise<BaseRecord | undefined>;
  /**
   * Resolves when it is durable, with the record of the next `rev`. A record with `rev` 0 is new. Rejects with
   * `conflict` when somebody else has stored it since.
   */
  save(record: BaseRecord): Promise<BaseRecord>;
  /** Repeatable. */
  remove(fileId: string): Promise<void>;
}

export const AGREED: Step = { kind: 'agreed' };
/** The state of a document without text. */
export const NO_STATE = EMPTY_UPDATE;
