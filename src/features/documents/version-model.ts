/** How the versions of documents are stored: each whole, so that it depends on nothing else. */
import { Schema, type Connection, type Model, type mongo, type Types } from 'mongoose';
import type { DocumentVersion } from './version-operations.ts';

type ObjectId = Types.ObjectId;

export interface VersionRecord {
  _id: ObjectId;
  docId: ObjectId;
  kind: DocumentVersion['kind'];
  name?: string;
  createdBy?: ObjectId;
  createdAt: Date;
  /** Of the text. */
  sizeBytes: number;
  /** The document's state as a Yjs update; absent where `blobKey` says where it is. */
  bytes?: mongo.Binary;
  blobKey?: string;
}

export function createVersionModel(connection: Connection): Model<VersionRecord> {
  const schema = new Schema<VersionRecord>(
    {
      docId: { type: Schema.Types.ObjectId, required: true },
      kind: { type: String, required: true },
      name: String,
      createdBy: Schema.Types.ObjectId,
      createdAt: { type: Date, required: true },
      sizeBytes: { type: Number, required: true },
      bytes: Schema.Types.Buffer,
      blobKey: String,
    },
    { versionKey: false, collection: 'document_versions' },
  );
  schema.index({ docId: 1, createdAt: -1, _id: -1 }, { name: 'doc_newest' });
  schema.index({ docId: 1, kind: 1, createdAt: -1, _id: -1 }, { name: 'doc_kind_newest' });
  return connection.model<VersionRecord>('DocumentVersion', schema);
}
