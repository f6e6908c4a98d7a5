/** Contents that are no texts, and projects that come and go as a whole: the parts, put together. */
import { join } from 'node:path';
import type { Router } from 'express';
import { Schema, Types, type Connection, type mongo } from 'mongoose';
import type { Jobs } from '../../cluster/index.ts';
import type { Limits } from '../../cluster/limits.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { Collector, createSignedAddresses, type SignedAddresses } from '../uploads/index.ts';
import { Arrivals } from './arrivals.ts';
import { createBlobModels, type ContentRecord } from './blob-model.ts';
import { BlobReading } from './blob-reading.ts';
import { VersionStore } from './blob-versions.ts';
import { ContentStore } from './content-store.ts';
import type { FileAccess, ProjectAccess } from './file-access.ts';
import type { FileTree } from './file-tree.ts';
import { createFileRoutes, type RouteTools } from './http.ts';
import { Importing, type ImportRecord, type ImportingDeps } from './importing.ts';
import { FileMirror, type FileMirrorDeps } from './mirror.ts';
import type { FileModels, FileRecord } from './model.ts';
import { Placing } from './placing.ts';
import { PlannedUploads } from './planned-uploads.ts';
import { ProjectContents, type FileToRead } from './project-contents.ts';
import type { Quota } from './quota.ts';
import { Snapshots, type SnapshotRecord } from './snapshots.ts';
import { Spool } from './spool.ts';
import type { transferOperations } from './transfer-operations.ts';
import { toFile } from './views.ts';

export interface TransfersDeps {
  connection: Connection;
  models: FileModels;
  access: FileAccess;
  projects: ProjectAccess;
  quota: Quota;
  tree: FileTree;
  /** All files of a project at one moment. */
  rows: (projectId: string) => Promise<FileRecord[]>;
  documents: ImportingDeps['documents'] &
    FileMirrorDeps['documents'] & { texts(fileIds: readonly string[]): Promise<Map<string, string>> };
  blobs: Blobs;
  /** What addresses are signed with; keys of their own are derived from it. */
  secret: string;
  /** Of this machine. */
  dataDir: string;
  limits: Pick<Limits, 'take'>;
  jobs: Jobs;
  log: Log;
  now: () => number;
}

export interface Transfers {
  handlers: Handlers<typeof transferOperations>;
  routes: (tools: RouteTools) => Router;
  reading: BlobReading;
  /** All files of a project with their contents, a few at a time, each time after `check`. */
  read(projectId: string, check: () => Promise<unknown>): AsyncIterable<FileToRead>;
  mirror: (projectId: string) => FileMirror;
  /** All versions, for good. May be repeated. */
  remove(fileIds: readonly string[]): Promise<void>;
  removeOfProject(projectId: string): Promise<void>;
  removeOfUser(userId: string): Promise<void>;
  close(): Promise<void>;
}

/** Contents that nobody needs are looked for this often, besides whenever some are released. */
const COLLECT_MS = 600_000;

export function createTransfers(deps: TransfersDeps): Transfers {
  const { connection, models, access, projects, quota, tree, rows, documents } = deps;
  const { blobs, secret, dataDir, limits, jobs, log, now } = deps;
  const { contents: contentRows, versions: versionRows } = createBlobModels(connection);
  const { imports, snapshots: snapshotRows } = createTransferModels(connection);
  const texts = (fileIds: readonly string[]): Promise<Map<string, string>> => documents.texts(fileIds);
  const signing = (purpose: string, lifetimeMs: number): SignedAddresses =>
    createSignedAddresses({ secret, purpose, lifetimeMs, now });
  const downloads = signing('file-downloads', LIMITS.attachmentUrlMs);
  const uploads = signing('file-uploads', LIMITS.uploadUrlMs);
  const snapshotFiles = signing('snapshot-files', LIMITS.attachmentUrlMs);

  const contents: ContentStore = new ContentStore({
    contents: contentRows,
    blobs,
    requireRoom: (ownerId) => quota.requireRoom(ownerId),
    now,
    onReleased: () => collector.soon(),
  });
  const versions = new VersionStore({ versions: versionRows, release: (ids) => contents.release(ids), now });
  const reading = new BlobReading({ models, blobs, contents, versions, addresses: downloads, now });
  const projectContents = new ProjectContents({ texts, reading, contents });
  const collector: Collector<ContentRecord> = new Collector({
    what: 'contents of files',
    due: (limit) => contents.due(limit),
    look: (content) => reading.look(content),
    postpone: (content, ms) => contents.postpone(content, ms),
    log,
  });
  const arrivals = new Arrivals(contents);
  const placing = new Placing({ files: models.files, tree, quota, contents, versions, arrivals });
  const planned = new PlannedUploads({
    contents,
    arrivals,
    placing,
    access,
    projects,
    quota,
    blobs,
    addresses: uploads,
    now,
  });
  const importing = new Importing({ imports, models, contents, arrivals, placing, quota, documents, rows, now });
  const snapshots = new Snapshots({
    snapshots: snapshotRows,
    blobs,
    contents,
    reading,
    quota,
    texts,
    rows,
    addresses: snapshotFiles,
    now,
  });
  quota.add((userId) => contents.pendingBytes(userId));
  quota.add((userId) => snapshots.chargedBytes(userId));

  jobs.every('files:collect', COLLECT_MS, async ({ signal }) => {
    await importing.cleanUp(signal);
    await collector.collect(signal);
  });

  return {
    handlers: {
      async 'file:upload-url'(plan, { session: { userId } }) {
        return planned.open(userId, plan);
      },

      async 'file:upload-done'({ uploadId }, { session: { userId }, signal }) {
        return { file: toFile(await planned.finish(userId, uploadId, signal)) };
      },

      async 'file:restore-version'({ fileId, versionId }, { session: { userId } }) {
        const { file } = await access.byId(fileId, userId, 'write');
        if (file.kind !== 'blob') throw new Fault('unsupported', 'This file is a text: there is doc:restore');
        const version = await versions.find(file._id, versionId, file.version ?? 0);
        return { file: toFile(await placing.replace(file, userId, version)) };
      },

      async 'project:snapshot'({ projectId }, { session: { userId }, signal }) {
        await projects.require(projectId, userId, 'read');
        const snapshot = await snapshots.take(projectId, userId, signal);
        return { files: await snapshots.entries(snapshot), createdAt: snapshot.createdAt.toISOString() };
      },

      async 'project:restore-snapshot'({ projectId }, { session: { userId }, signal }) {
        await projects.require(projectId, userId, 'write');
        const source = await snapshots.source(projectId, userId);
        return { files: (await importing.import(projectId, userId, source, signal)).map(toFile) };
      },
    },

    routes: createFileRoutes({
      models,
      access,
      projects,
      quota,
      contents,
      versions,
      arrivals,
      placing,
      planned,
      importing,
      reading,
      snapshots,
      spool: new Spool(join(dataDir, 'spool')),
      downloads,
      uploads,
      snapshotFiles,
      texts,
      projectContents,
      rows,
      limits,
    }),

    reading,
    read: async function* (projectId, check) {
      yield* projectContents.read(await rows(projectId), check);
    },
    mirror: (projectId) =>
      new FileMirror({ models, tree, projects, quota, documents, contents, versions, arrivals, placing }, projectId),
    remove: (fileIds) => versions.removeOf(fileIds.map((id) => new Types.ObjectId(id))),
    removeOfProject: (projectId) => snapshots.removeOfProject(projectId),
    removeOfUser: (userId) => snapshots.removeOfUser(userId),
    close: () => collector.close(),
  };
}

function createTransferModels(connection: Connection): {
  imports: mongo.Collection<ImportRecord>;
  snapshots: mongo.Collection<SnapshotRecord>;
} {
  const { ObjectId, Mixed } = Schema.Types;
  const imported = new Schema<ImportRecord>(
    {
      projectId: { type: ObjectId, required: true },
      fileIds: { type: [ObjectId], required: true },
      dueAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  imported.index({ dueAt: 1 }, { name: 'due' });
  const snapshot = new Schema<SnapshotRecord>(
    {
      userId: { type: ObjectId, required: true },
      projectId: { type: ObjectId, required: true },
      state: { type: String, required: true },
      files: { type: Mixed, required: true } as never,
      chargedBytes: { type: Number, required: true },
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  snapshot.index({ userId: 1, chargedBytes: 1 }, { name: 'user_bytes' });
  snapshot.index({ projectId: 1 }, { name: 'project' });
  return {
    imports: connection.model<ImportRecord>('FileImport', imported, 'fileimports')
      .collection as unknown as mongo.Collection<ImportRecord>,
    snapshots: connection.model<SnapshotRecord>('ProjectSnapshot', snapshot, 'projectsnapshots')
      .collection as unknown as mongo.Collection<SnapshotRecord>,
  };
}
