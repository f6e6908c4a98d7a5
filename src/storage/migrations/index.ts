/** Every migration, in order. One that was released is never changed; a new one is added at the end. */
import { ensureIndexes } from '../database.ts';
import type { Migration } from '../migrations.ts';

export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'indexes of the first version',
    up: ({ connection }) => ensureIndexes(connection),
  },
  {
    version: 2,
    name: 'memberships with a state, and the indexes of messages that change',
    async up({ connection }) {
      await connection
        .collection('memberships')
        .updateMany({ state: { $exists: false } }, { $set: { state: 'active', rev: 0, changedAt: new Date() } });
      await ensureIndexes(connection);
    },
  },
  {
    version: 3,
    name: 'indexes of projects, files and documents',
    up: ({ connection }) => ensureIndexes(connection),
  },
  {
    version: 4,
    name: 'indexes of sandboxes and their workspaces',
    up: ({ connection }) => ensureIndexes(connection),
  },
  {
    version: 5,
    name: 'indexes of volumes by their last use',
    up: ({ connection }) => ensureIndexes(connection),
  },
];
