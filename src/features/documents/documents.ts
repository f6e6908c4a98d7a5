/**
 * Documents as the rest of the server uses them: opened by peers of whichever transport, changed by the server itself,
 * read as text. What a peer may do follows its user's part in the project, at once and on every node.
 */
import { Types } from 'mongoose';
import * as Y from 'yjs';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, utf8Length } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { CONTENT } from './check-update.ts';
import type { Access } from './contract.ts';
import type { Change, LiveListener } from './live-document.ts';
import type { DocumentModels, SnapshotRecord } from './model.ts';
import type { OpenDocument, OpenPeer } from './open-document.ts';
import type { OpenDocuments } from './open-documents.ts';
import { seedUpdate } from './seed.ts';
import { stateOf } from './seen-text.ts';
import type { UpdateLog } from './update-log.ts';

/** Who may do what with a file; rejects with `not_found` or `unsupported`. */
export type FileAccess = (fileId: string, userId: string) => Promise<{ projectId: string; access: Access }>;

export interface PeerRequest extends Pick<OpenPeer, 'onUpdate' | 'onAccess'> {
  fileId: string;
  userId: string;
  /** What the peer has already. */
  stateVector?: Uint8Array | undefined;
  /** Runs when the peer is in and its state is read, before anything that follows it: the place to join a room. */
  onOpened?: () => void;
}

/** A document as one peer has it open. */
export interface Peer {
  readonly docId: string;
  readonly userId: string;
  readonly projectId: string;
  readonly access: Access;
  /** The state at opening, to be applied in order; what follows it comes by `onUpdate` or the room. */
  readonly updates: readonly Uint8Array[];
  readonly stateVector: Uint8Array;
  /** Resolves when the update is durable. */
  update(bytes: Uint8Array): Promise<void>;
  close(): void;
}

export interface DocumentsDeps {
  models: DocumentModels;
  open: OpenDocuments;
  updates: UpdateLog;
  blobs: Blobs;
  access: FileAccess;
  log: Log;
}

/** Documents read one after the other when many are asked for. */
const READ_AT_ONCE = 8;

export class Documents {
  readonly #deps: DocumentsDeps;
  readonly #projects = new Map<string, Set<PeerState>>();
  /** Counts what changed in who may do what: whoever was opening meanwhile asks again. */
  #accessChanges = 0;

  constructor(deps: DocumentsDeps) {
    this.#deps = deps;
  }

  /** Stores the initial text. A document that exists stays as it is. */
  async create(fileId: string, text: string, userId: string): Promise<void> {
    assertSize(text);
    const { client, bytes } = seedUpdate(fileId, text);
    await this.#deps.updates.begin(fileId, { bytes, claims: [[client, userId]], userId });
  }

  /** The present text; rejects with `not_found` where there is no document. */
  async text(fileId: string): Promise<string> {
    return this.read(fileId, (doc) => doc.getText(CONTENT).toJSON());
  }

  /** The texts of those that exist. */
  async texts(fileIds: readonly string[]): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    const rest = [...fileIds];
    const work = async (): Promise<void> => {
      for (let fileId = rest.pop(); fileId !== undefined; fileId = rest.pop()) {
        const text = await this.text(fileId).catch((error: unknown) => {
          if (error instanceof Fault && error.code === 'not_found') return undefined;
          throw error;
        });
        if (text !== undefined) texts.set(fileId, text);
      }
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, work));
    return texts;
  }

  /** Runs with a Y.Doc of everything that is durable. Not to be changed, nor kept. */
  async read<T>(fileId: string, run: (doc: Y.Doc) => T): Promise<T> {
    const document = this.#deps.open.peek(fileId);
    if (document?.live.loaded) return document.live.read(run);
    // One that nobody has open is read without keeping it.
    const stored = document?.stored ?? (await this.#deps.updates.load(fileId));
    if (!stored) throw new Fault('not_found', 'There is no such document');
    const doc = stored.toDoc();
    try {
      return run(doc);
    } finally {
      doc.destroy();
    }
  }

  /**
   * Changes the text in one transaction, under a client id that is the user's. Resolves with what `change` gave when it
   * is durable. `change` throws before it changes anything, or never. Who may is asked by the caller.
   */
  async change<T>(fileId: string, userId: string, change: Change<T>): Promise<T> {
    const document = await this.#deps.open.get(fileId);
    return document.live.change(userId, change);
  }

  /** Everything that is durable, as one update. */
  state(fileId: string): Promise<Uint8Array> {
    return this.read(fileId, (doc) => Y.encodeStateAsUpdate(doc));
  }

  /**
   * Adds an update that the server has made, under a client id that nobody else knows. May be repeated. Resolves when it
   * is durable. Who may is asked by the caller.
   */
  async merge(fileId: string, update: Uint8Array, userId: string): Promise<void> {
    const document = await this.#deps.open.get(fileId);
    await document.live.merge(userId, update);
  }

  /** Tells of every change of the text; the Y.Doc stays in memory meanwhile. Returns the text at the start. */
  async listen(
    fileId: string,
    listener: LiveListener,
  ): Promise<{ text: string; stateVector: string; stop: () => void }> {
    const document = await this.#deps.open.get(fileId);
    return document.live.read((doc) => ({
      text: doc.getText(CONTENT).toJSON(),
      stateVector: stateOf(doc),
      stop: document.live.listen(listener),
    }));
  }

  async openPeer(request: PeerRequest): Promise<Peer> {
    const { fileId, userId } = request;
    const { open, access } = this.#deps;
    let changes = this.#accessChanges;
    let granted = await access(fileId, userId);
    const document = await open.get(fileId);
    // It may have been taken away while the document was loaded.
    while (changes !== this.#accessChanges) {
      changes = this.#accessChanges;
      granted = await access(fileId, userId);
    }
    if (open.peek(fileId) !== document) throw new Fault('not_found', 'The document is gone');
    const peer = new PeerState(document, granted, request, (gone) => this.#leave(gone));
    document.peers.add(peer);
    const peers = this.#projects.get(granted.projectId) ?? new Set();
    this.#projects.set(granted.projectId, peers.add(peer));
    request.onOpened?.();
    return peer;
  }

  /** What these users may do in a project may have changed; undefined: everybody. */
  accessChanged({ projectId, userIds }: { projectId: string; userIds: readonly string[] | undefined }): void {
    this.#accessChanges++;
    for (const peer of this.#projects.get(projectId) ?? []) {
      if (!userIds || userIds.includes(peer.userId)) void this.#recheck(peer);
    }
  }

  /** The files are deleted: whoever has them open is told. Their documents stay stored until `remove`. */
  filesRemoved(fileIds: readonly string[]): void {
    this.#accessChanges++;
    for (const fileId of fileIds) {
      const document = this.#deps.open.peek(fileId);
      if (!document) continue;
      for (const peer of document.peers) this.#end(peer, 'gone');
      this.#deps.open.drop(fileId);
    }
  }

  /** Removes documents for good. May be repeated. */
  async remove(fileIds: readonly string[]): Promise<void> {
    const { models, blobs } = this.#deps;
    this.filesRemoved(fileIds);
    for (const fileId of fileIds) {
      const docId = new Types.ObjectId(fileId);
      const snapshot = await models.snapshots.collection.findOne<SnapshotRecord>({ _id: docId });
      if (snapshot?.blobKey !== undefined) await blobs.remove(snapshot.blobKey);
      await models.updates.collection.deleteMany({ docId });
      await models.snapshots.collection.deleteOne({ _id: docId });
    }
  }

  async #recheck(peer: PeerState): Promise<void> {
    try {
      const { access } = await this.#deps.access(peer.docId, peer.userId);
      peer.allow(access);
    } catch (error) {
      if (!(error instanceof Fault)) this.#deps.log.error('Who may open a document could not be read', { error });
      this.#end(peer, 'none');
    }
  }

  #end(peer: OpenPeer, access: 'none' | 'gone'): void {
    peer.close();
    peer.onAccess(access);
  }

  #leave(peer: PeerState): void {
    const peers = this.#projects.get(peer.projectId);
    peers?.delete(peer);
    if (peers?.size === 0) this.#projects.delete(peer.projectId);
  }
}

class PeerState implements Peer, OpenPeer {
  readonly docId: string;
  readonly userId: string;
  readonly projectId: string;
  readonly updates: readonly Uint8Array[];
  readonly stateVector: Uint8Array;
  readonly onUpdate: OpenPeer['onUpdate'];
  readonly onAccess: OpenPeer['onAccess'];
  readonly #document: OpenDocument;
  readonly #left: (peer: PeerState) => void;
  #access: Access;
  /** What was written offline may be large. */
  #isFirst = true;

  constructor(
    document: OpenDocument,
    { projectId, access }: { projectId: string; access: Access },
    { userId, stateVector, onUpdate, onAccess }: PeerRequest,
    left: (peer: PeerState) => void,
  ) {
    const { stored, live } = document;
    this.#document = document;
    this.#left = left;
    this.#access = access;
    this.docId = document.docId;
    this.userId = userId;
    this.projectId = projectId;
    this.onUpdate = onUpdate;
    this.onAccess = onAccess;
    const difference = stateVector && live.difference(vectorOf(stateVector));
    this.updates = difference ? [difference] : stored.updates();
    this.stateVector = stored.stateVector();
  }

  get access(): Access {
    return this.#access;
  }

  async update(bytes: Uint8Array): Promise<void> {
    if (this.#access !== 'write') throw new Fault('forbidden', 'You may only read this file');
    const limitBytes = this.#isFirst ? LIMITS.documentFirstUpdateBytes : LIMITS.documentUpdateBytes;
    if (bytes.byteLength > limitBytes) throw new Fault('too_large', `An update has at most ${limitBytes} bytes`);
    this.#isFirst = false;
    await this.#document.live.update(this.userId, bytes);
  }

  allow(access: Access): void {
    if (this.#access === access) return;
    this.#access = access;
    this.onAccess(access);
  }

  close(): void {
    if (!this.#document.peers.delete(this)) return;
    this.#document.used();
    this.#left(this);
  }
}

/** Throws `invalid` for what is no state vector. */
function vectorOf(stateVector: Uint8Array): Uint8Array {
  try {
    Y.decodeStateVector(stateVector);
    return stateVector;
  } catch (error) {
    throw new Fault('invalid', 'This is not a state vector', { cause: error });
  }
}

/** Throws `too_large` for a text that no document may have. */
export function assertSize(text: string): void {
  if (utf8Length(text, LIMITS.documentTextBytes) > LIMITS.documentTextBytes) {
    throw new Fault('too_large', `A document has at most ${LIMITS.documentTextBytes} bytes of text`);
  }
}
