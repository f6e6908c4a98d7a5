/** What tells the keys and channels of one deployment from those of others on the same Redis: the id of its database. */
import { Types, type Connection } from 'mongoose';

interface DeploymentRow {
  _id: string;
  id: string;
}

/** Made once, by whichever node comes first; all nodes of one database get the same. */
export async function readDeploymentId(connection: Connection): Promise<string> {
  const rows = connection.collection<DeploymentRow>('deployment');
  const own = { _id: 'deployment', id: new Types.ObjectId().toHexString() };
  const known = await rows.findOne({ _id: own._id });
  if (known) return known.id;
  await rows.insertOne(own).catch((error: unknown) => {
    if (!isDuplicate(error)) throw error;
  });
  const row = await rows.findOne({ _id: own._id });
  if (!row) throw new Error('The id of this deployment was removed while it was read');
  return row.id;
}

const isDuplicate = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 11_000;
