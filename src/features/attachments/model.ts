/** How attachments are stored: the row here, the bytes as a blob of their own. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';

export type AttachmentKind = 'image' | 'file' | 'voice';

/** What a message keeps of an attachment. */
export interface AttachmentInfo {
  id: string;
  kind: AttachmentKind;
  mime: string;
  sizeBytes: number;
  name: string;
  width?: number;
  height?: number;
  durationMs?: number;
}

/** What has been found out about the content. */
export type AttachmentFacts = Omit<AttachmentInfo, 'id' | 'name'> & {
  /** SHA-256, base64url. */
  digest: string;
};

/**
 * `uploading` → `ready` → `used` → `released`, forward only; a row may be released from any state. The blob's key follows
 * from `_id`, so the row is made before the blob and removed after it, and no crash leaves a blob that nobody knows of.
 */
export interface AttachmentRecord extends Partial<AttachmentFacts> {
  _id: Types.ObjectId;
  userId: Types.ObjectId;
  state: 'uploading' | 'ready' | 'used' | 'released';
  name: string;
  /** What it takes of the user's quota. */
  chargedBytes: number;
  /** The message that carries it, once it is used. */
  chatId?: Types.ObjectId;
  messageId?: Types.ObjectId;
  createdAt: Date;
  /** When it is looked at again: then it goes, unless its message is there. */
  dueAt: Date;
}

/** A row whose content is there. */
export type StoredAttachment = AttachmentRecord & AttachmentFacts;

export function createAttachmentModel(connection: Connection): Model<AttachmentRecord> {
  const { ObjectId } = Schema.Types;
  const schema = new Schema<AttachmentRecord>(
    {
      userId: { type: ObjectId, required: true },
      state: { type: String, required: true },
      name: { type: String, required: true },
      chargedBytes: { type: Number, required: true },
      kind: String,
      mime: String,
      sizeBytes: Number,
      width: Number,
      height: Number,
      durationMs: Number,
      digest: String,
      chatId: ObjectId,
      messageId: ObjectId,
      createdAt: { type: Date, required: true },
      dueAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  schema.index({ userId: 1, chargedBytes: 1 }, { name: 'user' });
  schema.index({ dueAt: 1 }, { name: 'due' });
  for (const field of ['messageId', 'chatId'] as const) {
    schema.index({ [field]: 1 }, { name: field, partialFilterExpression: { [field]: { $exists: true } } });
  }
  return connection.model<AttachmentRecord>('Attachment', schema, 'attachments');
}

/** Folders of a few hundred names each, whatever the number of attachments. */
export function blobKeyOf(id: Types.ObjectId): string {
  const name = id.toHexString();
  return `attachments/${name.slice(-3)}/${name}`;
}

export function infoOf(record: StoredAttachment): AttachmentInfo {
  const { _id, kind, mime, sizeBytes, name, width, height, durationMs } = record;
  return {
    id: _id.toHexString(),
    kind,
    mime,
    sizeBytes,
    name,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}
