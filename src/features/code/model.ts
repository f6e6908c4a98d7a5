/** Which node has a run, for as long as its output is kept. The row is also what makes a repetition find the first run. */
import { Schema, type Connection, type mongo, type Types } from 'mongoose';

type ObjectId = Types.ObjectId;

export interface RunRecord {
  _id: ObjectId;
  userId: ObjectId;
  projectId?: ObjectId;
  nodeId: string;
  expiresAt: Date;
}

export function createRunCollection(connection: Connection): mongo.Collection<RunRecord> {
  const schema = new Schema<RunRecord>(
    {
      userId: { type: Schema.Types.ObjectId, required: true },
      projectId: Schema.Types.ObjectId,
      nodeId: { type: String, required: true },
      expiresAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  schema.index({ expiresAt: 1 }, { expireAfterSeconds: 0 });
  connection.model<RunRecord>('Run', schema, 'runs');
  return connection.collection<RunRecord>('runs');
}
