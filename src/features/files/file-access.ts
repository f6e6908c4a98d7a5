/** Finds files for those who may do something with them. What somebody may not know of is not there. */
import { Types, type mongo } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { FileTree } from './file-tree.ts';
import type { FileRecord } from './model.ts';
import { keyOf } from './paths.ts';
import type { FileOrPath } from './shapes.ts';

export type May = 'read' | 'write';

/** What a user may do in a project; `projects` answers it. */
export interface ProjectAccess {
  /** Rejects with `not_found` where the user may not know of it, with `forbidden` where their role is too small. */
  require(projectId: string, userId: string, may: May): Promise<{ access: 'read' | 'write' }>;
}

export interface FileAccessDeps {
  files: mongo.Collection<FileRecord>;
  tree: Pick<FileTree, 'read'>;
  projects: ProjectAccess;
}

export class FileAccess {
  readonly #deps: FileAccessDeps;

  constructor(deps: FileAccessDeps) {
    this.#deps = deps;
  }

  /** A file that is not deleted, and what the user may do with it. */
  async byId(fileId: string, userId: string, may: May): Promise<{ file: FileRecord; access: 'read' | 'write' }> {
    const found = await this.anyById(fileId, userId, may);
    if (found.file.deletedAt) throw notFound();
    return found;
  }

  /** The same, deleted or not. */
  async anyById(fileId: string, userId: string, may: May): Promise<{ file: FileRecord; access: 'read' | 'write' }> {
    const file = await this.#deps.files.findOne({ _id: new Types.ObjectId(fileId) });
    if (!file) throw notFound();
    try {
      const { access } = await this.#deps.projects.require(file.projectId.toHexString(), userId, may);
      return { file, access };
    } catch (error) {
      throw error instanceof Fault && error.code === 'not_found' ? notFound() : error;
    }
  }

  /** By id, or by project and path. */
  async one({ fileId, projectId = '', path = '' }: FileOrPath, userId: string, may: May): Promise<FileRecord> {
    if (fileId !== undefined) return (await this.byId(fileId, userId, may)).file;
    const { files, tree, projects } = this.#deps;
    await projects.require(projectId, userId, may);
    const file = await tree.read(projectId, () =>
      files.findOne({ projectId: new Types.ObjectId(projectId), key: keyOf(path) }),
    );
    // Another file whose path differs in case only is another file.
    if (file?.path !== path) throw notFound();
    return file;
  }
}

export const notFound = (): Fault => new Fault('not_found', 'There is no such file');
