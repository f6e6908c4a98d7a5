/** Files of projects: their records and places, their texts in documents, their bytes in blobs. */
import type { Router } from 'express';
import type { Connection } from 'mongoose';
import { Types } from 'mongoose';
import type { Bus, DatabaseNodes, Jobs } from '../../cluster/index.ts';
import type { Limits } from '../../cluster/limits.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, type Handlers, HOUR_MS, MINUTE_MS, type Rooms } from '../../protocol/index.ts';
import type { DocumentPort } from '../documents/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { Announcer, type TreeListener } from './announcer.ts';
import { chargeOf, ChangeFollower } from './change-follower.ts';
import type { filesContract, filesEvents } from './contract.ts';
import { Copying } from './copying.ts';
import { FileAccess, type ProjectAccess } from './file-access.ts';
import { FileChanges, type NewText } from './file-changes.ts';
import { FileTree } from './file-tree.ts';
import { createFileHandlers } from './handlers.ts';
import type { RouteTools } from './http.ts';
import { Listing } from './listing.ts';
import type { FileMirror } from './mirror.ts';
import { createFileModels, type FileRecord } from './model.ts';
import type { FileToRead } from './project-contents.ts';
import { Quota, type QuotaDeps, type Usage } from './quota.ts';
import { Removal } from './removal.ts';
import { FileSearch } from './search.ts';
import { createTransfers } from './transfers.ts';

export type { TreeListener } from './announcer.ts';
export type { NewText } from './file-changes.ts';
export type { FileMirror, MirroredContent } from './mirror.ts';
export type { File } from './shapes.ts';
export type { Usage } from './quota.ts';

/** What documents need of files. */
export interface FilePort {
  /** A text file that the user may open as a document. Rejects with `not_found`, and with `unsupported` for a blob. */
  access(fileId: string, userId: string): Promise<{ projectId: string; access: 'read' | 'write' }>;
  /** Called on every node when files have been deleted, or have gone with their project. Returns how to stop. */
  onRemoved(listener: (fileIds: readonly string[]) => void): () => void;
  /** A document's text was stored anew. */
  saved(fileId: string, change: { userId: string | undefined; sizeBytes: number }): Promise<void>;
}

export interface FilesDeps extends Pick<QuotaDeps, 'ownerOf' | 'projectsOf'> {
  connection: Connection;
  projects: ProjectAccess;
  documents: DocumentPort;
  /** Where bytes are kept. */
  blobs: Blobs;
  /** What addresses are signed with; keys of their own are derived from it. */
  secret: string;
  /** Of this machine: archives that come wait there until they are read. */
  dataDir: string;
  limits: Pick<Limits, 'take'>;
  rooms: Rooms<typeof filesEvents>;
  bus: Bus;
  nodes: Pick<DatabaseNodes, 'id' | 'isAlive'>;
  jobs: Jobs;
  audit: Audit;
  log: Log;
  now: () => number;
}

export interface Files extends FilePort {
  handlers: Handlers<typeof filesContract>;
  routes: (tools: RouteTools) => Router;
  /** Text files into a project; whoever may is asked by the caller. May be repeated. */
  write(projectId: string, userId: string, files: readonly NewText[]): Promise<FileRecord[]>;
  /** All files of a project into one that has none yet. May be repeated. */
  copyProject(fromProjectId: string, toProjectId: string, userId: string): Promise<void>;
  /** All files of a project with their contents, for whoever `check` lets pass. */
  contents(projectId: string, check: () => Promise<unknown>): AsyncIterable<FileToRead>;
  /** A project's files for whoever keeps a copy of them elsewhere; whoever may is asked by the caller. */
  mirror(projectId: string): FileMirror;
  /**
   * Called when the project's tree has changed on any node, with the blobs that have a new version. A notice may be lost.
   * Returns how to stop.
   */
  onTreeChanged(projectId: string, listener: TreeListener): () => void;
  /** What the files of the user's projects take, and what they may take. */
  usage(userId: string): Promise<Usage>;
  /** The project is gone. May be repeated. */
  removeOfProject(projectId: string, signal?: AbortSignal): Promise<void>;
  /** The account is gone: what it had besides its projects. May be repeated. */
  removeOfUser(userId: string): Promise<void>;
  close(): Promise<void>;
}

export function createFiles(deps: FilesDeps): Files {
  const { connection, projects, documents, rooms, bus, nodes, jobs, audit, log, now } = deps;
  const models = createFileModels(connection);
  const { files } = models;
  const announcer = new Announcer({ rooms, bus, log });
  const follower = new ChangeFollower({
    models,
    documents,
    onChanged: (change) => announcer.changed(change),
    log,
    now,
  });
  const tree = new FileTree({ models, follower, nodes, log, now });
  const access = new FileAccess({ files, tree, projects });
  const quota = new Quota({ files, ownerOf: deps.ownerOf, projectsOf: deps.projectsOf });
  const changes = new FileChanges({ models, tree, access, projects, quota, now });
  const listing = new Listing({ files, tree, now });
  const texts = (fileIds: readonly string[]): Promise<Map<string, string>> => documents.texts(fileIds);
  const search = new FileSearch({ files, tree, texts });
  const transfers = createTransfers({
    ...deps,
    models,
    access,
    quota,
    tree,
    rows: (projectId) => tree.read(projectId, () => listing.rows(projectId)),
  });
  const { reading } = transfers;
  const copying = new Copying({ changes, tree, listing, texts, copyBlob: (from, to) => reading.copy(from, to) });
  const removal = new Removal({
    models,
    parts: [(fileIds) => documents.remove(fileIds), (fileIds) => transfers.remove(fileIds)],
    onRemoved: (fileIds) => announcer.removed(fileIds),
    now,
  });

  jobs.every('files:settle', MINUTE_MS, ({ signal }) => tree.settleAbandoned(signal));
  jobs.every('files:purge', HOUR_MS, ({ signal }) => removal.purge(signal), { timeoutMs: HOUR_MS / 2 });

  return {
    handlers: {
      ...createFileHandlers({
        models,
        access,
        projects,
        changes,
        listing,
        search,
        quota,
        announcer,
        audit,
        documents,
        blobs: reading,
        now,
      }),
      ...transfers.handlers,
    },
    routes: transfers.routes,

    async access(fileId, userId) {
      const { file, access: may } = await access.byId(fileId, userId, 'read');
      if (file.kind !== 'text') throw new Fault('unsupported', 'This file is no text');
      return { projectId: file.projectId.toHexString(), access: may };
    },

    onRemoved: (listener) => announcer.onRemoved(listener),

    async saved(fileId, { sizeBytes }) {
      const file = await files.findOneAndUpdate(
        // What was a text may be a blob by now.
        { _id: new Types.ObjectId(fileId), kind: 'text', deletedAt: { $exists: false } },
        { $set: { sizeBytes, chargedBytes: chargeOf(sizeBytes), updatedAt: new Date(now()) } },
        { returnDocument: 'after' },
      );
      if (file) announcer.saved(file);
    },

    write: (projectId, userId, texts) => copying.writeTexts(projectId, userId, texts),
    copyProject: (from, to, userId) => copying.copyProject(from, to, userId),
    contents: (projectId, check) => transfers.read(projectId, check),
    mirror: transfers.mirror,
    onTreeChanged: (projectId, listener) => announcer.onTreeChanged(projectId, listener),
    usage: (userId) => quota.usage(userId),
    async removeOfProject(projectId, signal) {
      await removal.removeOfProject(projectId, signal);
      await transfers.removeOfProject(projectId);
    },
    removeOfUser: (userId) => transfers.removeOfUser(userId),
    async close() {
      announcer.close();
      await transfers.close();
    },
  };
}
