/** How documents are stored: a log of updates, and a snapshot that stands for the part of it that is gone. */
import { Schema, type Connection, type Model, type mongo, type Types } from 'mongoose';

type ObjectId = Types.ObjectId;

/** Who first wrote under a Yjs client id. Ids have 32 bits. */
export interface Claim {
  client: number;
  userId: ObjectId;
}

/** One batch of merged edits. `n` is dense per document from 1 on; rows that a snapshot covers are removed. */
export interface UpdateRecord {
  _id: ObjectId;
  docId: ObjectId;
  n: number;
  /** A Yjs update (version 1). */
  bytes: mongo.Binary;
  /** Clients that are new with this row. */
  claims?: Claim[];
  /** Where one person made all of it. */
  userId?: ObjectId;
  at: Date;
}

/** Everything up to `n`, as one update. */
export interface SnapshotRecord {
  /** The document's. */
  _id: ObjectId;
  n: number;
  /** Absent where `blobKey` says where they are. */
  bytes?: mongo.Binary;
  blobKey?: string;
  sizeBytes: number;
  stateVector: mongo.Binary;
  claims: Claim[];
  /** Of the lease under which it was written. */
  fence: number;
  at: Date;
}

export interface DocumentModels {
  updates: Model<UpdateRecord>;
  snapshots: Model<SnapshotRecord>;
}

/** The unique index that keeps a document's rows in one order. */
export const ORDER_INDEX = 'doc_n';

const claims = [{ _id: false, client: Number, userId: Schema.Types.ObjectId }];

export function createDocumentModels(connection: Connection): DocumentModels {
  const updates = new Schema<UpdateRecord>(
    {
      docId: { type: Schema.Types.ObjectId, required: true },
      n: { type: Number, required: true },
      bytes: { type: Schema.Types.Buffer, required: true },
      claims: { type: claims, default: undefined },
      userId: Schema.Types.ObjectId,
      at: { type: Date, required: true },
    },
    { versionKey: false, collection: 'document_updates' },
  );
  updates.index({ docId: 1, n: 1 }, { name: ORDER_INDEX, unique: true });
  const snapshots = new Schema<SnapshotRecord>(
    {
      n: { type: Number, required: true },
      bytes: Schema.Types.Buffer,
      blobKey: String,
      sizeBytes: { type: Number, required: true },
      stateVector: { type: Schema.Types.Buffer, required: true },
      claims: { type: claims, default: [] },
      fence: { type: Number, required: true },
      at: { type: Date, required: true },
    },
    { versionKey: false, collection: 'document_snapshots' },
  );
  return {
    updates: connection.model<UpdateRecord>('DocumentUpdate', updates),
    snapshots: connection.model<SnapshotRecord>('DocumentSnapshot', snapshots),
  };
}
