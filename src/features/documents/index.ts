/** Text files that many people edit at once, by Yjs. Their text is stored here and nowhere else. */
import type { Connection } from 'mongoose';
import type { Bus, Leases } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { LIMITS, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { Awareness } from './awareness.ts';
import { CONTENT } from './check-update.ts';
import { Compaction } from './compaction.ts';
import type { documentsContract, documentsEvents } from './contract.ts';
import { Documents, type FileAccess } from './documents.ts';
import { createHandlers } from './handlers.ts';
import { createDocumentModels, type DocumentModels } from './model.ts';
import { OpenDocuments } from './open-documents.ts';
import { SavedNotices } from './saved-notices.ts';
import { SocketPeers } from './socket-peers.ts';
import { StoredNotices, type StoredListener } from './stored-notices.ts';
import { TextDiffer } from './text-differ.ts';
import { UpdateLog } from './update-log.ts';
import type { DocumentVersion } from './version-operations.ts';
import { createVersionModel } from './version-model.ts';
import { Versions } from './versions.ts';
import { WatchPresence } from './watch-presence.ts';
import { Watchers } from './watchers.ts';
import { writeText } from './written-text.ts';
import type { OpenPeer } from './yjs-peer.ts';
import { createYjs, type Yjs, type YjsDoors } from './yjs.ts';

export type { FileAccess } from './documents.ts';
/** What the text of a document is made of, for those who keep copies of it. */
export { CONTENT } from './check-update.ts';
export { seedUpdate } from './seed.ts';
export { EMPTY_UPDATE } from './stored-document.ts';
export type { StoredListener } from './stored-notices.ts';
export type { TextDiffer } from './text-differ.ts';
export { isWellFormed, splice, type TextSplice } from './text-splice.ts';

/** What other features need of documents. */
export interface DocumentPort {
  /** Stores the initial text (it may be empty). Repeatable: a document that exists stays as it is. `too_large` over 2 MiB. */
  create(fileId: string, text: string, userId: string): Promise<void>;
  /** Rejects with `not_found` where there is no document. */
  text(fileId: string): Promise<string>;
  /** Of those that exist. */
  texts(fileIds: readonly string[]): Promise<Map<string, string>>;
  /** A diff into the live text, never a replacement. Resolves when it is durable. `too_large` over 2 MiB. */
  write(fileId: string, text: string, userId: string): Promise<{ sizeBytes: number }>;
  /** Versions that are kept, the newest first. */
  versions(fileId: string, page: VersionsPage): Promise<{ items: DocumentVersion[]; next: string | null }>;
  /** For good. Repeatable. */
  remove(fileIds: readonly string[]): Promise<void>;
}

export interface VersionsPage {
  limit?: number | undefined;
  /** The `next` of the page before. */
  cursor?: string | undefined;
}

/** What somebody needs who keeps copies of texts elsewhere, and brings back what changes there. */
export interface DocumentMirror extends Pick<TextDiffer, 'diff'> {
  /** One Yjs update (version 1) of everything that is durable. Rejects with `not_found` where there is no document. */
  state(fileId: string): Promise<Uint8Array>;
  /**
   * Adds an update, made under a client id that nobody else knows, in the name of a user; whoever may is asked by the
   * caller. Resolves when it is durable. Repeatable.
   */
  merge(fileId: string, update: Uint8Array, userId: string): Promise<void>;
  /** Called for documents that were stored on any node, a moment later. A notice may be lost. Returns how to stop. */
  onStored(listener: StoredListener): () => void;
}

export interface DocumentsFeature extends DocumentPort {
  mirror: DocumentMirror;
  handlers: Handlers<typeof documentsContract>;
  disconnected(connection: { id: string }): void;
  /** The way in of stock Yjs providers, where it is open. */
  yjs: Yjs;
  /** Positions are compared with the log now: something may not have been heard of. */
  compare(): Promise<void>;
  /** Updates that wait for their durable write. */
  queuedUpdates(): number;
  /** Documents in memory. */
  openDocuments(): number;
  close(): Promise<void>;
}

export interface DocumentsFeatureDeps {
  connection: Connection;
  rooms: Rooms<typeof documentsEvents>;
  bus: Pick<Bus, 'onReady' | 'publish' | 'subscribe'>;
  leases: Leases;
  /** This node among the others. */
  nodeId: string;
  /** Called with a node that has died. Returns how to stop. */
  onNodeDeath: (listener: (nodeId: string) => void) => () => void;
  blobs: Blobs;
  /** Who may do what with a file. */
  access: FileAccess;
  /** Told of every change in what people may do in a project. Returns how to stop. */
  onAccessChanged: (
    listener: (change: { projectId: string; userIds: readonly string[] | undefined }) => void,
  ) => () => void;
  /** Told of deleted files. Returns how to stop. */
  onRemoved: (listener: (fileIds: readonly string[]) => void) => () => void;
  /** A text has been stored anew; at most once per 2 s and file. */
  saved: (fileId: string, change: { userId: string | undefined; sizeBytes: number }) => Promise<void>;
  /** Who comes in by `/yjs`. */
  yjs: YjsDoors;
  /** The names of those who are in a document, for watchers. */
  nameOf: (userIds: readonly string[]) => Promise<Map<string, string>>;
  onBug: (error: unknown, fields: Record<string, unknown>) => void;
  log: Log;
  now: () => number;
}

/** The feature and what it is made of, for those who serve documents by other ways. */
export interface DocumentParts {
  feature: DocumentsFeature;
  documents: Documents;
  models: DocumentModels;
  updates: UpdateLog;
}

export const createDocuments = (deps: DocumentsFeatureDeps): DocumentsFeature => createDocumentParts(deps).feature;

export function createDocumentParts(deps: DocumentsFeatureDeps): DocumentParts {
  const { connection, rooms, bus, leases, blobs, onBug, log, now } = deps;
  const models = createDocumentModels(connection);
  const updates = new UpdateLog({ models, blobs, now });
  const saved = new SavedNotices({
    sizeBytes: async (docId) => documents.read(docId, (doc) => Buffer.byteLength(doc.getText(CONTENT).toJSON())),
    saved: deps.saved,
    log,
  });
  const notices = new StoredNotices(bus, log);
  const versions: Versions = new Versions({
    model: createVersionModel(connection),
    documents: { read: (docId, run) => documents.read(docId, run) },
    blobs,
    log,
    now,
  });
  const open = new OpenDocuments({
    updates,
    compaction: new Compaction({ models, blobs, leases, now }),
    rooms,
    onStored({ docId }, { userId }) {
      saved.note(docId, userId);
      notices.note(docId);
      versions.noteWritten(docId);
    },
    onBug,
    log,
  });
  const documents: Documents = new Documents({ models, open, updates, blobs, access: deps.access, log });
  const { nodeId, onNodeDeath, nameOf } = deps;
  const awareness = new Awareness({ rooms, nodeId, onNodeDeath });
  const sockets = new SocketPeers({ documents, awareness, rooms });
  const openPeer: OpenPeer = (request) => documents.openPeer(request);
  const yjs = createYjs(deps.yjs, { connection, openPeer, awareness, bus, onBug, now });
  const presence: WatchPresence = new WatchPresence({
    awareness,
    documents,
    rooms,
    nameOf,
    log,
  });
  const watchers = new Watchers({
    documents,
    rooms,
    onEntered: (fileId, socket) => presence.enter(fileId, socket),
    onLeft: (fileId, connectionId) => presence.leave(fileId, connectionId),
    onChanged: (fileId) => presence.textChanged(fileId),
    log,
  });
  const differ = new TextDiffer(log);
  const write: DocumentPort['write'] = (fileId, text, userId) => writeText({ documents, differ }, fileId, text, userId);
  const stops = [
    deps.onAccessChanged((change) => documents.accessChanged(change)),
    deps.onRemoved((fileIds) => documents.filesRemoved(fileIds)),
    bus.onReady(() => {
      open.compare().catch((error: unknown) => log.warn('documents could not be compared with their log', { error }));
    }),
  ];

  const feature: DocumentsFeature = {
    create: (fileId, text, userId) => documents.create(fileId, text, userId),
    text: (fileId) => documents.text(fileId),
    texts: (fileIds) => documents.texts(fileIds),
    write,
    mirror: {
      state: (fileId) => documents.state(fileId),
      merge: (fileId, update, userId) => documents.merge(fileId, update, userId),
      diff: (before, after) => differ.diff(before, after),
      onStored: (listener) => notices.listen(listener),
    },
    versions: (fileId, { limit = LIMITS.listDefault, cursor }) => versions.list(fileId, { limit, cursor }),
    async remove(fileIds) {
      await documents.remove(fileIds);
      await versions.remove(fileIds);
    },
    handlers: createHandlers({
      sockets,
      awareness,
      tickets: yjs.tickets,
      documents,
      access: deps.access,
      watchers,
      presence,
      versions,
      write,
      now,
    }),
    disconnected({ id }) {
      sockets.disconnected(id);
      watchers.disconnected(id);
    },
    yjs,
    compare: () => open.compare(),
    queuedUpdates: () => updates.queued,
    openDocuments: () => open.size,
    async close() {
      for (const stop of stops) stop();
      yjs.close();
      presence.close();
      awareness.close();
      await updates.drain();
      notices.close();
      await saved.close();
      await versions.drain();
      await differ.close();
      await open.close();
    },
  };
  return { feature, documents, models, updates };
}
