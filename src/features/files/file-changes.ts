/** What people do with files and their places. Who may is asked here. */
import { Types } from 'mongoose';
import { Fault, LIMITS, utf8Length } from '../../protocol/index.ts';
import { derivedId } from '../chat/index.ts';
import { notFound, type FileAccess, type ProjectAccess } from './file-access.ts';
import type { FileTree, PlacedRow, Plan } from './file-tree.ts';
import { chargeOf } from './change-follower.ts';
import type { FileModels, FileRecord } from './model.ts';
import { keyOf } from './paths.ts';
import type { Places } from './places.ts';
import type { Quota } from './quota.ts';
import type { FileOrPath } from './shapes.ts';
import { restorableSince } from './views.ts';

export interface NewText {
  path: string;
  content: string;
  language?: string | undefined;
}

export interface FileChangesDeps {
  models: FileModels;
  tree: FileTree;
  access: FileAccess;
  projects: ProjectAccess;
  quota: Quota;
  now: () => number;
}

/** What a change was about: one file, or several. */
export interface Changed {
  files: FileRecord[];
  isOne: boolean;
}

export class FileChanges {
  readonly #deps: FileChangesDeps;

  constructor(deps: FileChangesDeps) {
    this.#deps = deps;
  }

  async create(userId: string, projectId: string, file: NewText, clientId: string | undefined): Promise<FileRecord> {
    const { models, tree, projects, quota } = this.#deps;
    await projects.require(projectId, userId, 'write');
    const id = clientId === undefined ? new Types.ObjectId() : derivedId(userId, 'file:create', projectId, clientId);
    const first = async (): Promise<FileRecord | null> =>
      clientId === undefined ? null : await models.files.findOne({ _id: id });
    const before = await first();
    if (before) return before;
    const sizeBytes = sizeOfText(file);
    await quota.requireRoomIn(projectId, chargeOf(sizeBytes));
    const { path, content, language } = file;
    const [created] = await tree.change(projectId, userId, async (places) => {
      // A twin of this request may have been faster.
      if (await first()) return undefined;
      places.add({ _id: id, path, kind: 'text', sizeBytes, chargedBytes: 0 });
      return {
        rows: [{ op: 'create', id, path, kind: 'text', ...(language === undefined ? {} : { language }), sizeBytes }],
        texts: content === '' ? [] : [{ id, text: content }],
      };
    });
    return created ?? found(await first());
  }

  async writeMany(
    userId: string,
    projectId: string,
    files: readonly NewText[],
    clientId: string | undefined,
  ): Promise<FileRecord[]> {
    await this.#deps.projects.require(projectId, userId, 'write');
    const key = clientId === undefined ? undefined : derivedId(userId, 'file:write-many', projectId, clientId);
    return this.writeAll(userId, projectId, files, key);
  }

  /** All or none; whoever may is asked by the caller. A repetition with the same key changes nothing. */
  async writeAll(
    userId: string,
    projectId: string,
    files: readonly NewText[],
    key?: Types.ObjectId,
  ): Promise<FileRecord[]> {
    const { models, tree, quota } = this.#deps;
    const sizes = files.map((file) => sizeOfText(file));
    if (new Set(files.map(({ path }) => keyOf(path))).size < files.length) {
      throw new Fault('invalid', 'The files are not valid', {
        detail: [{ path: 'files', message: 'must not name a path twice' }],
      });
    }
    const changed = await tree.change(
      projectId,
      userId,
      async (places) => {
        let growth = 0;
        const plan: Required<Plan> = { rows: [], texts: [] };
        for (const [index, { path, content, language }] of files.entries()) {
          const sizeBytes = sizes[index] ?? 0;
          const there = places.at(path);
          if (there) {
            requireText(there);
            growth += chargeOf(sizeBytes) - there.chargedBytes;
            plan.rows.push({ op: 'write', id: there._id, sizeBytes });
            plan.texts.push({ id: there._id, text: content });
            continue;
          }
          const id = new Types.ObjectId();
          places.add({ _id: id, path, kind: 'text', sizeBytes, chargedBytes: 0 });
          growth += chargeOf(sizeBytes);
          const chosen = language === undefined ? {} : { language };
          plan.rows.push({ op: 'create', id, path, kind: 'text', ...chosen, sizeBytes });
          if (content !== '') plan.texts.push({ id, text: content });
        }
        await quota.requireRoomIn(projectId, growth);
        return plan;
      },
      { key },
    );
    if (changed.length > 0) return changed;
    // It was done before.
    const byPath = new Map(
      (
        await models.files
          .find({ projectId: new Types.ObjectId(projectId), key: { $in: files.map(({ path }) => keyOf(path)) } })
          .toArray()
      ).map((file) => [file.path, file]),
    );
    return files.flatMap(({ path }) => byPath.get(path) ?? []);
  }

  async rename(userId: string, what: FileOrPath, newPath: string): Promise<Changed> {
    return this.#move(userId, what, (places, { files, folder }) => {
      if (folder !== undefined && folder !== newPath && newPath.startsWith(`${folder}/`)) {
        throw new Fault('invalid', 'A folder cannot be moved into itself', {
          detail: [{ path: 'newPath', message: 'must not lie in the folder' }],
        });
      }
      for (const file of files) places.remove(file);
      if (folder !== undefined && places.hasFolder(newPath)) {
        throw new Fault('conflict', `There is a folder at ${newPath}`, { detail: { path: newPath, by: newPath } });
      }
      const moved = files.map((file) => ({
        ...file,
        path: folder === undefined ? newPath : newPath + file.path.slice(folder.length),
        oldPath: file.path,
      }));
      for (const file of moved) places.add(file);
      return {
        rows: moved
          .filter(({ path, oldPath }) => path !== oldPath)
          .map(({ _id, path, oldPath }) => ({ op: 'move', id: _id, path, oldPath })),
      };
    });
  }

  /** One that is deleted already stays so. */
  async delete(userId: string, what: FileOrPath): Promise<Changed> {
    if (what.fileId !== undefined) {
      const { file } = await this.#deps.access.anyById(what.fileId, userId, 'write');
      if (file.deletedAt) return { files: [file], isOne: true };
    }
    return this.#move(userId, what, (_places, { files }) => ({
      rows: files.map(({ _id }) => ({ op: 'delete', id: _id })),
    }));
  }

  async restoreFile(userId: string, fileId: string, newPath: string | undefined): Promise<Changed> {
    const { models, tree, access, now } = this.#deps;
    const { file } = await access.anyById(fileId, userId, 'write');
    const changed = await tree.change(file.projectId.toHexString(), userId, async (places) => {
      const there = await models.files.findOne({ _id: file._id });
      if (!there?.deletedAt) return undefined;
      if (there.deletedAt <= restorableSince(now())) throw notFound();
      const path = newPath ?? there.path;
      places.add({ ...there, path });
      return { rows: [{ op: 'restore', id: file._id, path }] };
    });
    return { files: changed.length > 0 ? changed : [(await access.byId(fileId, userId, 'write')).file], isOne: true };
  }

  /** All that was deleted together and is not back yet. */
  async restoreDeletion(userId: string, projectId: string, deletionId: string): Promise<Changed> {
    const { models, tree, projects, now } = this.#deps;
    await projects.require(projectId, userId, 'write');
    const files = await tree.change(projectId, userId, async (places) => {
      const deleted = await models.files
        .find({
          projectId: new Types.ObjectId(projectId),
          deletedAt: { $gt: restorableSince(now()) },
          deletionId: new Types.ObjectId(deletionId),
        })
        .toArray();
      if (deleted.length === 0) throw new Fault('not_found', 'There is no such deletion');
      for (const file of deleted) places.add(file);
      return { rows: deleted.map(({ _id, path }) => ({ op: 'restore', id: _id, path })) };
    });
    return { files, isOne: false };
  }

  /** Decides on one file, or on a folder with everything in it; one that is where it should be is left as it is. */
  async #move(
    userId: string,
    what: FileOrPath,
    decide: (places: Places<PlacedRow>, chosen: { files: PlacedRow[]; folder: string | undefined }) => Plan,
  ): Promise<Changed> {
    const { models, tree, access, projects } = this.#deps;
    const one = what.fileId === undefined ? undefined : (await access.byId(what.fileId, userId, 'write')).file;
    const projectId = one?.projectId.toHexString() ?? what.projectId ?? '';
    if (!one) await projects.require(projectId, userId, 'write');
    let isOne = true;
    let ids: Types.ObjectId[] = [];
    const changed = await tree.change(projectId, userId, (places) => {
      const file = one ? places.find(({ _id }) => _id.equals(one._id)) : places.at(what.path ?? '');
      const files = file ? [file] : one ? [] : places.under(what.path ?? '');
      if (files.length === 0) throw notFound();
      isOne = file !== undefined;
      ids = files.map(({ _id }) => _id);
      return decide(places, { files, folder: file ? undefined : what.path });
    });
    return { files: changed.length > 0 ? changed : await models.files.find({ _id: { $in: ids } }).toArray(), isOne };
  }
}

/** Halves of surrogate pairs, which are no text and cannot be stored. */
const ILL_FORMED = /\p{Surrogate}/u;

/** Rejects with `too_large` or `invalid` what cannot be a document. */
export function sizeOfText({ path, content }: { path?: string; content: string }): number {
  if (ILL_FORMED.test(content)) {
    throw new Fault('invalid', 'The text has halves of surrogate pairs', {
      detail: [{ path: 'content', message: 'must be well-formed Unicode' }],
    });
  }
  const sizeBytes = utf8Length(content, 0);
  if (sizeBytes <= LIMITS.documentTextBytes) return sizeBytes;
  const which = path === undefined ? 'A text' : `The text of ${path}`;
  throw new Fault('too_large', `${which} has at most ${LIMITS.documentTextBytes} bytes; upload a larger one as a file`);
}

/** Rejects with `unsupported` what is no text. */
export function requireText({ kind, path }: Pick<FileRecord, 'kind' | 'path'>): void {
  if (kind !== 'text') throw new Fault('unsupported', `${path} is no text: upload its new version`);
}

export function found<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw notFound();
  return value;
}
