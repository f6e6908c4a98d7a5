/**
 * How the bytes of files are kept: a row for each content, whose blob's key follows from its id, and a row for each
 * version of a file, which names a content. Versions of several files may name one.
 */
import { Schema, type Connection, type Model, type mongo, type Types } from 'mongoose';

type ObjectId = Types.ObjectId;

/**
 * `uploading` → `stored` → `released`, forward only. The row is made before the blob and removed after it, so no crash
 * leaves a blob that nobody knows of.
 */
export interface ContentRecord {
  _id: ObjectId;
  /** Whose space it takes while no file has it. */
  ownerId: ObjectId;
  state: 'uploading' | 'stored' | 'released';
  /** What it takes of that space; unset once a file has it, which counts it from then on. */
  pendingBytes?: number;
  sizeBytes?: number;
  /** SHA-256, base64url. */
  digest?: string;
  /** What an address was given out for. */
  upload?: PlannedUpload;
  createdAt: Date;
  /** When it is looked at again: then it goes, unless a version names it. */
  dueAt: Date;
}

/** An upload that its client sends by itself. */
export interface PlannedUpload {
  projectId: ObjectId;
  userId: ObjectId;
  path: string;
  sizeBytes: number;
  /** The file that it has become, from the moment that this is decided. */
  fileId?: ObjectId;
}

export interface StoredContent extends ContentRecord {
  state: 'stored';
  sizeBytes: number;
  digest: string;
}

/** A version of a blob. It counts once the file's row says this version or a later one. */
export interface VersionRecord {
  _id: ObjectId;
  fileId: ObjectId;
  projectId: ObjectId;
  version: number;
  contentId: ObjectId;
  mime: string;
  sizeBytes: number;
  digest: string;
  createdBy: ObjectId;
  createdAt: Date;
}

export interface BlobModels {
  contents: mongo.Collection<ContentRecord>;
  versions: mongo.Collection<VersionRecord>;
}

/** The index by which a second row for one version is refused. */
export const VERSION_INDEX = 'file_version';

export function createBlobModels(connection: Connection): BlobModels {
  const { ObjectId, Mixed } = Schema.Types;
  const content = new Schema<ContentRecord>(
    {
      ownerId: { type: ObjectId, required: true },
      state: { type: String, required: true },
      pendingBytes: Number,
      sizeBytes: Number,
      digest: String,
      upload: Mixed,
      createdAt: { type: Date, required: true },
      dueAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  content.index(
    { ownerId: 1, pendingBytes: 1 },
    { name: 'owner_pending', partialFilterExpression: { pendingBytes: { $exists: true } } },
  );
  content.index({ dueAt: 1 }, { name: 'due' });

  const version = new Schema<VersionRecord>(
    {
      fileId: { type: ObjectId, required: true },
      projectId: { type: ObjectId, required: true },
      version: { type: Number, required: true },
      contentId: { type: ObjectId, required: true },
      mime: { type: String, required: true },
      sizeBytes: { type: Number, required: true },
      digest: { type: String, required: true },
      createdBy: { type: ObjectId, required: true },
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  version.index({ fileId: 1, version: -1 }, { unique: true, name: VERSION_INDEX });
  version.index({ contentId: 1 }, { name: 'content' });
  return {
    contents: collectionOf(connection.model<ContentRecord>('FileContent', content, 'filecontents')),
    versions: collectionOf(connection.model<VersionRecord>('FileVersion', version, 'fileversions')),
  };
}

/** Folders of a few hundred names each, whatever the number of contents. */
export function contentKeyOf(id: ObjectId): string {
  const name = id.toHexString();
  return `files/${name.slice(-3)}/${name}`;
}

const collectionOf = <T extends object>(model: Model<T>): mongo.Collection<T> =>
  model.collection as unknown as mongo.Collection<T>;
