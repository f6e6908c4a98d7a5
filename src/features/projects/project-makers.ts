/**
 * New projects, with the files of a template or of another project. Until all files are there a project is marked as
 * being filled; a repetition of what made it goes on, and nobody else sees it. One that nobody goes on with is removed
 * later.
 */
import { Types } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { Fault, KeyedQueue, LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { derivedId } from '../chat/index.ts';
import { notFound, type Access } from './access.ts';
import type { AccessChanges } from './access-changes.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import type { Settings, TemplateName, VisibilityName } from './shapes.ts';

export interface NewFile {
  path: string;
  content: string;
}

/** What projects need of files. Both may be repeated. */
export interface ProjectFiles {
  /** Resolves when all of them are stored. */
  create(projectId: string, userId: string, files: readonly NewFile[]): Promise<unknown>;
  /** All files, texts and blobs, into a project that has none yet. */
  copy(fromProjectId: string, toProjectId: string, userId: string): Promise<unknown>;
}

export interface ProjectMakersDeps {
  models: ProjectModels;
  members: Members;
  access: Access;
  changes: AccessChanges;
  files: ProjectFiles;
  templateFiles: (template: TemplateName) => Promise<readonly NewFile[]>;
  audit: Audit;
  now: () => number;
}

export interface NewProject {
  name: string;
  description?: string | undefined;
  template: TemplateName;
  visibility: VisibilityName;
  settings?: Settings | undefined;
  clientId?: string | undefined;
}

/** What a new project begins with. */
type Beginning = Pick<ProjectRecord, 'name' | 'description' | 'template' | 'visibility' | 'settings'> & {
  from?: Types.ObjectId;
};

const LONGEST_NAME = 100;

export class ProjectMakers {
  readonly #deps: ProjectMakersDeps;
  /** One filling of a project at a time. */
  readonly #filling = new KeyedQueue();

  constructor(deps: ProjectMakersDeps) {
    this.#deps = deps;
  }

  create(userId: string, { clientId, ...input }: NewProject): Promise<string> {
    const _id = idOf('project:create', userId, userId, clientId);
    return this.#make(_id, userId, 'project.create', async () => ({
      ...input,
      description: input.description ?? '',
      settings: JSON.stringify(input.settings ?? {}),
    }));
  }

  /** Rejects with `not_found` if the user may not read the project. */
  duplicate(
    userId: string,
    projectId: string,
    name: string | undefined,
    clientId: string | undefined,
  ): Promise<string> {
    const _id = idOf('project:duplicate', userId, projectId, clientId);
    return this.#make(_id, userId, 'project.duplicate', async () => {
      const { role } = await this.#deps.access.require(projectId, userId, 'read');
      const from = await this.#find({ _id: new Types.ObjectId(projectId), ...LIVE });
      if (!from) throw notFound();
      return {
        name: name ?? `${from.name.slice(0, LONGEST_NAME - ' copy'.length)} copy`,
        description: from.description,
        template: from.template,
        visibility: 'private',
        settings: role ? from.settings : '{}',
        from: from._id,
      };
    });
  }

  async #make(_id: Types.ObjectId, userId: string, action: string, first: () => Promise<Beginning>): Promise<string> {
    const projectId = _id.toHexString();
    await this.#filling.run(projectId, async () => {
      if (!(await this.#find({ _id }))) await this.#found(_id, userId, await first());
      const project = await this.#find({ _id });
      if (!project?.filling) return;
      await this.#fill(project, userId);
      const { modifiedCount } = await this.#deps.models.projects.collection.updateOne(
        { _id, 'filling.since': { $exists: true } },
        { $unset: { filling: '' } },
      );
      await this.#deps.changes.tell(projectId, [userId]);
      if (modifiedCount > 0) this.#deps.audit.record({ action, userId, projectId, target: projectId, ok: true });
    });
    return projectId;
  }

  async #found(_id: Types.ObjectId, userId: string, { from, ...fields }: Beginning): Promise<void> {
    const { models, members, now } = this.#deps;
    const ownerId = new Types.ObjectId(userId);
    if ((await models.projects.collection.countDocuments({ ownerId, ...LIVE })) >= LIMITS.projectsPerUser) {
      throw new Fault('quota_exceeded', `One user has at most ${LIMITS.projectsPerUser} projects`);
    }
    const at = new Date(now());
    const project: ProjectRecord = {
      _id,
      ...fields,
      status: 'active',
      ownerId,
      createdAt: at,
      updatedAt: at,
      accessChangedAt: at,
      filling: { since: at, ...(from ? { from } : {}) },
    };
    // The owner's row first: a project that exists has it, whenever the process ends.
    await members.add(_id, userId, 'editor');
    await models.projects.collection.insertOne(project).catch((error: unknown) => {
      // A twin of this request was faster: its project is the outcome.
      if (duplicateIndexOf(error) === undefined) throw error;
    });
  }

  async #fill({ _id, template, filling }: ProjectRecord, userId: string): Promise<void> {
    const { files, templateFiles } = this.#deps;
    const projectId = _id.toHexString();
    if (filling?.from) return void (await files.copy(filling.from.toHexString(), projectId, userId));
    const first = await templateFiles(template);
    if (first.length > 0) await files.create(projectId, userId, first);
  }

  async #find(filter: object): Promise<ProjectRecord | undefined> {
    return (await this.#deps.models.projects.collection.findOne<ProjectRecord>(filter)) ?? undefined;
  }
}

const idOf = (operation: string, userId: string, scope: string, clientId: string | undefined): Types.ObjectId =>
  clientId === undefined ? new Types.ObjectId() : derivedId(userId, operation, scope, clientId);
