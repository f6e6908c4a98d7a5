/**
 * A project's files for whoever keeps a copy of them elsewhere, as its sandbox does: read as they are, and changed in the
 * name of the project's owner, under the rules for anybody's changes. Each change may be repeated.
 */
import { posix } from 'node:path';
import { Types } from 'mongoose';
import { Fault, LIMITS, withResolvers } from '../../protocol/index.ts';
import { derivedId } from '../chat/index.ts';
import type { DocumentPort } from '../documents/index.ts';
import type { Arrivals } from './arrivals.ts';
import type { VersionRecord } from './blob-model.ts';
import type { VersionStore } from './blob-versions.ts';
import { chargeOf } from './change-follower.ts';
import type { ContentStore } from './content-store.ts';
import { notFound, type ProjectAccess } from './file-access.ts';
import type { FileTree, PlacedRow, Plan } from './file-tree.ts';
import type { FileKind, FileModels, FileRecord } from './model.ts';
import { normalizePath } from './paths.ts';
import type { Places } from './places.ts';
import type { Placing } from './placing.ts';
import type { Quota } from './quota.ts';

export interface FileMirrorDeps {
  models: Pick<FileModels, 'files'>;
  tree: FileTree;
  projects: ProjectAccess;
  quota: Quota;
  documents: Pick<DocumentPort, 'text'>;
  contents: ContentStore;
  versions: VersionStore;
  arrivals: Arrivals;
  placing: Placing;
}

export interface MirroredFile {
  fileId: string;
  path: string;
  kind: FileKind;
}

export interface MirroredContent {
  bytes: AsyncIterable<Uint8Array>;
  /** What it probably has. */
  sizeBytes: number;
}

interface NewText {
  id: Types.ObjectId;
  path: string;
  text: string;
  sizeBytes: number;
}

type Waiting = NewText & Omit<ReturnType<typeof withResolvers<boolean>>, 'promise'>;

/** New texts of one change, and their bytes: they are staged in one row of the database. */
const TEXTS = 100;
const TEXTS_BYTES = 4 * 1_024 * 1_024;
/** Names that are tried for what is kept beside a text. */
const NAMES_TRIED = 100;
/** Why a project cannot have a file. */
const REFUSALS = new Set(['invalid', 'conflict', 'quota_exceeded', 'too_large']);

export class FileMirror {
  readonly #deps: FileMirrorDeps;
  readonly #projectId: string;
  #waiting: Waiting[] = [];
  #isCreating = false;

  constructor(deps: FileMirrorDeps, projectId: string) {
    this.#deps = deps;
    this.#projectId = projectId;
  }

  /** All files, at one moment. */
  async list(): Promise<MirroredFile[]> {
    const { models, tree } = this.#deps;
    const filter = { projectId: new Types.ObjectId(this.#projectId), key: { $exists: true } };
    const rows = await tree.read(this.#projectId, () =>
      models.files.find<PlacedRow>(filter, { projection: { path: 1, kind: 1 } }).toArray(),
    );
    return rows.map(({ _id, path, kind }) => ({ fileId: _id.toHexString(), path, kind }));
  }

  /**
   * A text of this id, at most 2 MiB; its document begins as `create` of documents makes it. False where the project
   * cannot have it. What is asked for at about the same time is created together.
   */
  createText({ fileId, path }: { fileId: string; path: string }, text: string): Promise<boolean> {
    const { promise, ...settle } = withResolvers<boolean>();
    const own = { id: new Types.ObjectId(fileId), path, text, sizeBytes: Buffer.byteLength(text) };
    this.#waiting.push({ ...own, ...settle });
    if (!this.#isCreating) void this.#createTexts();
    return promise;
  }

  /** A blob of this id. False where the project cannot have it; rejects where its content does. */
  async createBlob(
    { fileId, path }: { fileId: string; path: string },
    { bytes, sizeBytes }: MirroredContent,
  ): Promise<boolean> {
    const { models, contents, placing } = this.#deps;
    const id = new Types.ObjectId(fileId);
    if (await models.files.findOne({ _id: id }, { projection: { _id: 1 } })) return true;
    const userId = await this.#owner();
    if (!(await this.#isFree(userId, path))) return false;
    return orRefused(async () => {
      const content = await contents.put(userId, bytes, optionsFor(sizeBytes));
      const arrival = { id, path, isNew: true, arrived: { kind: 'blob', content } } as const;
      await placing.place(new Types.ObjectId(this.#projectId), userId, [arrival]);
    });
  }

  /** The text is a blob from now on; what it was is its first version. */
  async becomeBlob(fileId: string): Promise<void> {
    const { documents, placing } = this.#deps;
    const file = await this.#find(fileId);
    if (file?.kind !== 'text') return;
    const userId = await this.#owner();
    const before = await documents.text(fileId);
    await placing.convert(file, userId, await this.#contentOf(before));
    // What was typed until nobody had it open any more.
    const after = await documents.text(fileId);
    if (after !== before) await placing.put(file, userId, await this.#contentOf(after));
  }

  /** False where it cannot be there. Rejects with `not_found` where the file is gone. */
  async move(fileId: string, path: string): Promise<boolean> {
    return orRefused(() =>
      this.#change((places) => {
        const file = find(places, fileId);
        if (!file) throw notFound();
        if (file.path === path) return undefined;
        places.remove(file);
        place(places, { ...file, path });
        return { rows: [{ op: 'move', id: file._id, path, oldPath: file.path }] };
      }),
    );
  }

  /** It is deleted, and can be restored. */
  async remove(fileId: string): Promise<void> {
    await this.#change((places) => {
      const file = find(places, fileId);
      return file && { rows: [{ op: 'delete', id: file._id }] };
    });
  }

  /** SHA-256 of a blob's present version, in hex. */
  async current(fileId: string): Promise<string | undefined> {
    const present = await this.#present(fileId);
    return present ? hexOf(present.digest) : undefined;
  }

  /** Of a blob's present version. */
  async *content(fileId: string): AsyncIterable<Uint8Array> {
    const present = await this.#present(fileId);
    const body = present && (await this.#deps.contents.body(present.contentId));
    if (!body) throw notFound();
    yield* body;
  }

  /** A blob's next version. Gives the SHA-256 of what was stored, in hex. */
  async put(fileId: string, { bytes, sizeBytes }: MirroredContent): Promise<string> {
    const { contents, placing } = this.#deps;
    const file = await this.#blob(fileId);
    const userId = await this.#owner();
    const content = await contents.put(userId, bytes, optionsFor(sizeBytes));
    await placing.put(file, userId, content);
    return hexOf(content.digest);
  }

  /** A version before the present one; a text, which has no versions of bytes, gets a file beside it. */
  async keep(fileId: string, { bytes, sizeBytes }: MirroredContent): Promise<void> {
    const { contents, placing } = this.#deps;
    const file = await this.#find(fileId);
    if (!file) throw notFound();
    const userId = await this.#owner();
    const content = await contents.put(userId, bytes, optionsFor(sizeBytes));
    if (file.kind === 'blob') return void (await placing.putBefore(file, userId, content));
    const path = await this.#pathBeside(file, userId);
    const id = derivedId('kept-beside', fileId, content.digest);
    const arrival = { id, path, isNew: true, arrived: { kind: 'blob', content } } as const;
    await placing.place(file.projectId, userId, [arrival]);
  }

  /** Never rejects. */
  async #createTexts(): Promise<void> {
    this.#isCreating = true;
    // Not in the caller's turn: much is asked for at once.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#batchSize());
      try {
        const made = await this.#createTogether(batch);
        for (const { id, resolve } of batch) resolve(made.has(id.toHexString()));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isCreating = false;
  }

  #batchSize(): number {
    let bytes = 0;
    const size = this.#waiting.findIndex(({ sizeBytes }) => (bytes += sizeBytes) > TEXTS_BYTES);
    return Math.max(1, Math.min(TEXTS, size < 0 ? this.#waiting.length : size));
  }

  /** The ids of those that are there then. Of those that do not fit into the owner's space together, each that does. */
  async #createTogether(batch: readonly NewText[]): Promise<Set<string>> {
    try {
      return await this.#create(batch);
    } catch (error) {
      if (!(error instanceof Fault && error.code === 'quota_exceeded')) throw error;
      const made = new Set<string>();
      if (batch.length > 1) {
        for (const one of batch) for (const id of await this.#createTogether([one])) made.add(id);
      }
      return made;
    }
  }

  async #create(batch: readonly NewText[]): Promise<Set<string>> {
    const { models, quota } = this.#deps;
    const made = new Set<string>();
    await this.#change(async (places) => {
      made.clear();
      const ids = batch.map(({ id }) => id);
      // Also a file that has been deleted since was created.
      const there = await models.files.find({ _id: { $in: ids } }, { projection: { _id: 1 } }).toArray();
      for (const { _id } of there) made.add(_id.toHexString());
      const plan: Required<Plan> = { rows: [], texts: [] };
      let growth = 0;
      for (const { id, path, text, sizeBytes } of batch) {
        if (made.has(id.toHexString()) || !fits(places, { _id: id, path, kind: 'text', sizeBytes })) continue;
        made.add(id.toHexString());
        growth += chargeOf(sizeBytes);
        plan.rows.push({ op: 'create', id, path, kind: 'text', sizeBytes });
        if (text !== '') plan.texts.push({ id, text });
      }
      await quota.requireRoomIn(this.#projectId, growth);
      return plan;
    });
    return made;
  }

  async #change(
    decide: (places: Places<PlacedRow>) => Plan | undefined | Promise<Plan | undefined>,
  ): Promise<FileRecord[]> {
    return this.#deps.tree.change(this.#projectId, await this.#owner(), decide);
  }

  /** Who pays for the files, and may change them. */
  async #owner(): Promise<string> {
    const userId = await this.#deps.quota.ownerOf(this.#projectId);
    await this.#deps.projects.require(this.#projectId, userId, 'write');
    return userId;
  }

  /** Whether a file could be there now. */
  async #isFree(userId: string, path: string): Promise<boolean> {
    let isFree = false;
    await this.#deps.tree.change(this.#projectId, userId, (places) => {
      isFree = fits(places, { _id: new Types.ObjectId(), path, kind: 'blob', sizeBytes: 0 });
      return undefined;
    });
    return isFree;
  }

  async #pathBeside({ path }: FileRecord, userId: string): Promise<string> {
    const { dir, name, ext } = posix.parse(path);
    for (let n = 1; n <= NAMES_TRIED; n++) {
      const beside = posix.join(dir, `${name} (from disk${n === 1 ? '' : ` ${n}`})${ext}`);
      if (await this.#isFree(userId, beside)) return beside;
    }
    throw new Fault('conflict', `There is no name left beside ${path}`);
  }

  async #contentOf(text: string) {
    return this.#deps.arrivals.asBlob(await this.#deps.quota.ownerOf(this.#projectId), text);
  }

  async #present(fileId: string): Promise<VersionRecord | null> {
    const file = await this.#find(fileId);
    return file?.version === undefined ? null : this.#deps.versions.at(file._id, file.version);
  }

  async #blob(fileId: string): Promise<FileRecord> {
    const file = await this.#find(fileId);
    if (file?.kind !== 'blob') throw notFound();
    return file;
  }

  /** Of this project, and not deleted. */
  #find(fileId: string): Promise<FileRecord | null> {
    const [_id, projectId] = [new Types.ObjectId(fileId), new Types.ObjectId(this.#projectId)];
    return this.#deps.models.files.findOne({ _id, projectId, key: { $exists: true } });
  }
}

const hexOf = (digest: string): string => Buffer.from(digest, 'base64url').toString('hex');

const optionsFor = (sizeBytes: number) => ({ mostBytes: LIMITS.projectFileBytes, expectedBytes: sizeBytes });

const find = (places: Places<PlacedRow>, fileId: string): PlacedRow | undefined =>
  places.find(({ _id }) => _id.toHexString() === fileId);

/** On disks a path may have other forms. */
function place(places: Places<PlacedRow>, file: PlacedRow): void {
  if (file.path !== normalizePath(file.path)) throw new Fault('invalid', `The path is not in its normal form`);
  places.add(file);
}

/** Puts a file there if there is nothing in its way. */
function fits(places: Places<PlacedRow>, file: Omit<PlacedRow, 'chargedBytes'>): boolean {
  try {
    place(places, { ...file, chargedBytes: 0 });
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

/** False where the project cannot have what is done. */
async function orRefused(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

const isRefusal = (error: unknown): boolean => error instanceof Fault && REFUSALS.has(error.code);
