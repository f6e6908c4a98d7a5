/** Puts many files into a project at once: those of a template, or another project's. May be repeated. */
import { Types } from 'mongoose';
import { LIMITS, utf8Length } from '../../protocol/index.ts';
import type { FileChanges, NewText } from './file-changes.ts';
import type { FileTree } from './file-tree.ts';
import type { Listing } from './listing.ts';
import type { FileRecord, NewBlob } from './model.ts';

export interface CopyingDeps {
  changes: FileChanges;
  tree: FileTree;
  listing: Listing;
  texts: (fileIds: readonly string[]) => Promise<Map<string, string>>;
  /** Gives a new file the present content of another. */
  copyBlob: (from: FileRecord, to: { fileId: string; projectId: string; userId: string }) => Promise<NewBlob>;
}

/** Texts that are read at once. */
const READ_FILES = 50;

export class Copying {
  readonly #deps: CopyingDeps;

  constructor(deps: CopyingDeps) {
    this.#deps = deps;
  }

  /** In as few changes as may be; each is all or nothing. */
  async writeTexts(projectId: string, userId: string, files: readonly NewText[]): Promise<FileRecord[]> {
    const written: FileRecord[] = [];
    for (const part of partsOf(files)) written.push(...(await this.#deps.changes.writeAll(userId, projectId, part)));
    return written;
  }

  /** All files that are there, into a project that has none yet. Their history stays behind. */
  async copyProject(fromProjectId: string, toProjectId: string, userId: string): Promise<void> {
    const { listing, texts, tree } = this.#deps;
    const rows = await tree.read(fromProjectId, () => listing.rows(fromProjectId));
    const textRows = rows.filter(({ kind }) => kind === 'text');
    for (let i = 0; i < textRows.length; i += READ_FILES) {
      const slice = textRows.slice(i, i + READ_FILES);
      const contents = await texts(slice.map(({ _id }) => _id.toHexString()));
      const files = slice.map(({ _id, path, language }): NewText => ({
        path,
        content: contents.get(_id.toHexString()) ?? '',
        language,
      }));
      await this.writeTexts(toProjectId, userId, files);
    }
    for (const row of rows.filter(({ kind }) => kind === 'blob')) await this.#copyBlob(row, toProjectId, userId);
  }

  async #copyBlob(from: FileRecord, projectId: string, userId: string): Promise<void> {
    const { tree, copyBlob } = this.#deps;
    const id = new Types.ObjectId();
    const { path, kind, language, sizeBytes } = from;
    await tree.change(projectId, userId, async (places) => {
      if (places.at(path)) return undefined;
      const blob = await copyBlob(from, { fileId: id.toHexString(), projectId, userId });
      places.add({ _id: id, path, kind, sizeBytes, chargedBytes: 0 });
      const chosen = language === undefined ? {} : { language };
      return { rows: [{ op: 'create', id, path, kind, ...chosen, sizeBytes, blob }] };
    });
  }
}

/** As `file:write-many` takes them. */
function* partsOf(files: readonly NewText[]): Generator<NewText[]> {
  let part: NewText[] = [];
  let bytes = 0;
  for (const file of files) {
    const size = utf8Length(file.content, 0);
    if (part.length > 0 && (part.length === LIMITS.filesPerWrite || bytes + size > LIMITS.fileWriteManyBytes)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(file);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
