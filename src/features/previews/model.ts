/** The names of projects in the addresses of their previews, and one-time addresses that have been used. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';

export interface PreviewRecord {
  /** The project. */
  _id: Types.ObjectId;
  /** 16 characters of base32. */
  slug: string;
}

export interface UsedAddressRecord {
  /** A hash of what was used. */
  _id: string;
  purgeAt: Date;
}

export interface PreviewModels {
  previews: Model<PreviewRecord>;
  used: Model<UsedAddressRecord>;
}

export function createPreviewModels(connection: Connection): PreviewModels {
  const preview = new Schema<PreviewRecord>(
    { _id: Schema.Types.ObjectId, slug: { type: String, required: true } },
    { versionKey: false },
  );
  preview.index({ slug: 1 }, { unique: true, name: 'slug' });

  const used = new Schema<UsedAddressRecord>(
    { _id: { type: String, required: true }, purgeAt: { type: Date, required: true } },
    { versionKey: false },
  );
  used.index({ purgeAt: 1 }, { expireAfterSeconds: 0, name: 'purge' });

  return {
    previews: connection.model<PreviewRecord>('Preview', preview, 'previews'),
    used: connection.model<UsedAddressRecord>('UsedPreviewAddress', used, 'usedPreviewAddresses'),
  };
}
