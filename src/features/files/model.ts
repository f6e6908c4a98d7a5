/**
 * How files are stored: one row for each, and one for each project's tree. The text of a text file is a document's, the
 * bytes of a blob are the blob store's.
 */
import { Schema, type Connection, type Model, type mongo, type Types } from 'mongoose';

type ObjectId = Types.ObjectId;

export type FileKind = 'text' | 'blob';

export interface FileRecord {
  _id: ObjectId;
  projectId: ObjectId;
  path: string;
  /** The path's case-folded form: unique among the project's files. A deleted file has none. */
  key?: string;
  kind: FileKind;
  /** Where it is another than the path suggests. */
  language?: string;
  sizeBytes: number;
  /** What it takes of its owner's space: of a blob with all kept versions. */
  chargedBytes: number;
  /** Of a blob, what its present version is. */
  mime?: string;
  version?: number;
  /** The change of the tree that has placed it here last. */
  rev: number;
  createdAt: Date;
  createdBy: ObjectId;
  updatedAt: Date;
  deletedAt?: Date;
  deletedBy?: ObjectId;
  /** What was deleted together has one. */
  deletionId?: ObjectId;
}

/** What a change of the tree does with one file. */
export type RowChange =
  | { op: 'create'; id: ObjectId; path: string; kind: FileKind; language?: string; sizeBytes: number; blob?: NewBlob }
  /** The new text of a text file; it is staged with the change. */
  | { op: 'write'; id: ObjectId; sizeBytes: number }
  /** The new version of a blob. */
  | { op: 'replace'; id: ObjectId; sizeBytes: number; blob: NewBlob }
  /** The text is a blob from now on, with this version. */
  | { op: 'convert'; id: ObjectId; sizeBytes: number; blob: NewBlob }
  | { op: 'move'; id: ObjectId; path: string; oldPath: string }
  | { op: 'delete'; id: ObjectId }
  | { op: 'restore'; id: ObjectId; path: string };

/** What the row of a blob says of its present version; the bytes are stored before. */
export interface NewBlob {
  mime: string;
  version: number;
  chargedBytes: number;
}

/**
 * A change that has been decided: from here on it happens, whoever is there to do it. It is gone when all rows follow it.
 */
export interface PendingChange {
  id: ObjectId;
  /** By which a repetition of what asked for it finds that it is done. */
  key?: ObjectId;
  rev: number;
  userId: ObjectId;
  nodeId: string;
  at: Date;
  rows: RowChange[];
  /** Texts are staged for it. */
  hasTexts: boolean;
  /** Of its rows with `write`, how many are done: a text is not written again over what somebody has typed since. */
  written: number;
}

/** All changes of a project's paths go through this one document, one after another. `rev` counts them. */
export interface TreeRecord {
  /** The project's id. */
  _id: ObjectId;
  rev: number;
  pending?: PendingChange;
  /** Keys of the last changes that had one. */
  done?: ObjectId[];
}

/** Texts that a change brings, kept until they are in their documents. */
export interface StagedTexts {
  /** The change's id. */
  _id: ObjectId;
  projectId: ObjectId;
  texts: { id: ObjectId; text: string }[];
  createdAt: Date;
}

export interface FileModels {
  files: mongo.Collection<FileRecord>;
  trees: mongo.Collection<TreeRecord>;
  staged: mongo.Collection<StagedTexts>;
}

/** The index by which a second file at one path is refused. */
export const PATH_INDEX = 'project_path';

export function createFileModels(connection: Connection): FileModels {
  const { ObjectId, Mixed } = Schema.Types;
  const file = new Schema<FileRecord>(
    {
      projectId: { type: ObjectId, required: true },
      path: { type: String, required: true },
      key: String,
      kind: { type: String, required: true },
      language: String,
      sizeBytes: { type: Number, required: true },
      chargedBytes: { type: Number, required: true },
      mime: String,
      version: Number,
      rev: { type: Number, required: true },
      createdAt: { type: Date, required: true },
      createdBy: { type: ObjectId, required: true },
      updatedAt: { type: Date, required: true },
      deletedAt: Date,
      deletedBy: ObjectId,
      deletionId: ObjectId,
    },
    { versionKey: false },
  );
  file.index(
    { projectId: 1, key: 1 },
    { unique: true, name: PATH_INDEX, partialFilterExpression: { key: { $exists: true } } },
  );
  file.index(
    { projectId: 1, deletedAt: -1, _id: -1 },
    { name: 'project_trash', partialFilterExpression: { deletedAt: { $exists: true } } },
  );
  file.index({ deletedAt: 1 }, { name: 'trash_due', partialFilterExpression: { deletedAt: { $exists: true } } });
  // What a user's projects take is summed up from it, and a project that goes is read by it.
  file.index({ projectId: 1, chargedBytes: 1 }, { name: 'project_bytes' });

  const tree = new Schema<TreeRecord>(
    { rev: { type: Number, required: true }, pending: Mixed, done: [ObjectId] },
    { versionKey: false },
  );
  tree.index({ 'pending.at': 1 }, { name: 'pending', partialFilterExpression: { 'pending.at': { $exists: true } } });

  const texts = new Schema<StagedTexts>(
    {
      projectId: { type: ObjectId, required: true },
      texts: { type: Mixed, required: true },
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  texts.index({ createdAt: 1 }, { name: 'created' });
  texts.index({ projectId: 1 }, { name: 'project' });

  return {
    files: collectionOf(connection.model<FileRecord>('File', file, 'files')),
    trees: collectionOf(connection.model<TreeRecord>('FileTree', tree, 'filetrees')),
    staged: collectionOf(connection.model<StagedTexts>('StagedText', texts, 'filetexts')),
  };
}

/** The driver's collection, typed by the rows: no casts of mongoose on the way. */
const collectionOf = <T extends object>(model: Model<T>): mongo.Collection<T> =>
  model.collection as unknown as mongo.Collection<T>;
