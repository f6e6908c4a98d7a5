/** Documents with their project and its members, written into a data directory before its server starts. */
import { mongo, Types } from 'mongoose';
import * as Y from 'yjs';
import { createDocumentModels } from '../../src/features/documents/model.ts';
import { createFileModels } from '../../src/features/files/model.ts';
import { createProjectModels } from '../../src/features/projects/model.ts';
import { createLog } from '../../src/observability/winston-log.ts';
import { connectDatabase } from '../../src/storage/database.ts';
import { runMigrations } from '../../src/storage/migrations.ts';
import { migrations } from '../../src/storage/migrations/index.ts';
import { seedPeople } from '../seed.ts';
import type { StoredState } from './trace.ts';

export interface SeededDocuments {
  tokens: string[];
  fileIds: string[];
}

/** A project takes 2,000 files. */
const PER_PROJECT = 1_000;

/** Everybody is an editor of everything. */
export async function seedDocuments(
  dataDir: string,
  jwtSecret: string,
  people: number,
  documents: readonly StoredState[],
): Promise<SeededDocuments> {
  const log = createLog({ level: 'warn', pretty: true });
  const database = await connectDatabase({ dataDir, log });
  const { connection } = database;
  // Nobody else has the database: the server that starts on it finds everything in place.
  const leases = { acquire: async () => ({ fence: 0, lost: new AbortController().signal, release: async () => {} }) };
  await runMigrations({ connection, leases, migrations, log });
  const { tokens, userIds } = await seedPeople(connection, jwtSecret, people);
  const ownerId = userIds[0] as Types.ObjectId;
  const projectModels = createProjectModels(connection);
  const fileModels = createFileModels(connection);
  const documentModels = createDocumentModels(connection);
  const at = new Date();
  const fileIds: string[] = [];
  for (let first = 0; first < documents.length; first += PER_PROJECT) {
    const projectId = new Types.ObjectId();
    await projectModels.projects.collection.insertOne({
      _id: projectId,
      name: `Bench ${first}`,
      description: '',
      template: 'empty',
      status: 'active',
      visibility: 'private',
      ownerId,
      settings: '{}',
      createdAt: at,
      updatedAt: at,
      accessChangedAt: at,
    });
    await projectModels.members.collection.insertMany(
      userIds.map((userId) => ({
        _id: new Types.ObjectId(),
        projectId,
        userId,
        state: 'active' as const,
        role: 'editor' as const,
        joinedAt: at,
        changedAt: at,
        starred: false,
      })),
    );
    await fileModels.trees.insertOne({ _id: projectId, rev: 1 });
    for (const [n, stored] of documents.slice(first, first + PER_PROJECT).entries()) {
      const fileId = new Types.ObjectId();
      fileIds.push(fileId.toHexString());
      const path = `src/file-${first + n}.ts`;
      await fileModels.files.insertOne({
        _id: fileId,
        projectId,
        path,
        key: path,
        kind: 'text',
        sizeBytes: stored.state.length,
        chargedBytes: stored.state.length,
        rev: 1,
        createdAt: at,
        createdBy: ownerId,
        updatedAt: at,
      });
      const stateVector = Y.encodeStateVectorFromUpdate(stored.base);
      await documentModels.snapshots.collection.insertOne({
        _id: fileId,
        n: 1,
        bytes: new mongo.Binary(stored.base),
        sizeBytes: stored.base.length,
        stateVector: new mongo.Binary(stateVector),
        claims: [...Y.decodeStateVector(stateVector).keys()].map((client) => ({ client, userId: ownerId })),
        fence: 0,
        at,
      });
      if (stored.tail.length === 0) continue;
      await documentModels.updates.collection.insertMany(
        stored.tail.map((bytes, i) => ({
          _id: new Types.ObjectId(),
          docId: fileId,
          n: i + 2,
          bytes: new mongo.Binary(bytes),
          userId: ownerId,
          at,
        })),
      );
    }
  }
  await database.close();
  await log.close();
  return { tokens, fileIds };
}
