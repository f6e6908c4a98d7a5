/** How blocks are stored: one row per direction. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';

export interface BlockRecord {
  _id: Types.ObjectId;
  userId: Types.ObjectId;
  blockedId: Types.ObjectId;
  createdAt: Date;
}

export function createBlockModel(connection: Connection): Model<BlockRecord> {
  const schema = new Schema<BlockRecord>(
    {
      userId: { type: Schema.Types.ObjectId, required: true },
      blockedId: { type: Schema.Types.ObjectId, required: true },
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  schema.index({ userId: 1, blockedId: 1 }, { unique: true, name: 'user_blocked' });
  schema.index({ blockedId: 1, userId: 1 }, { name: 'blocked_user' });
  schema.index({ userId: 1, _id: -1 }, { name: 'user_newest' });
  // For nodes that may have missed the notices of a while.
  schema.index({ createdAt: 1 }, { name: 'created' });
  return connection.model<BlockRecord>('Block', schema, 'blocks');
}
