/** Changing, deleting and restoring projects: each is one write of the project. */
import { Types } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { DAY_MS, LIMITS, type Origin, projectRoom, type Rooms } from '../../protocol/index.ts';
import { notFound, type Access } from './access.ts';
import type { AccessChanges } from './access-changes.ts';
import type { projectsEvents } from './contract.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import type { Settings, VisibilityName } from './shapes.ts';
import type { Views } from './views.ts';

export interface ProjectChangesDeps {
  models: ProjectModels;
  members: Members;
  access: Access;
  changes: AccessChanges;
  views: Views;
  rooms: Rooms<typeof projectsEvents>;
  audit: Audit;
  now: () => number;
}

export interface ProjectChange {
  name?: string | undefined;
  description?: string | undefined;
  settings?: Settings | undefined;
  visibility?: VisibilityName | undefined;
  status?: 'active' | 'archived' | undefined;
}

/** Who does it, and from where. */
export interface Actor {
  userId: string;
  origin: Origin;
}

export class ProjectChanges {
  readonly #deps: ProjectChangesDeps;

  constructor(deps: ProjectChangesDeps) {
    this.#deps = deps;
  }

  async update(projectId: string, { userId, origin }: Actor, change: ProjectChange): Promise<void> {
    const { models, access, changes, audit, now } = this.#deps;
    const { name, description, settings, visibility, status } = change;
    await access.require(projectId, userId, visibility || status ? 'manage' : 'write');
    const at = new Date(now());
    const set = {
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(settings === undefined ? {} : { settings: JSON.stringify(settings) }),
      ...(visibility === undefined ? {} : { visibility, accessChangedAt: at }),
      ...(status === undefined ? {} : { status }),
    };
    if (Object.keys(set).length === 0) return;
    const { matchedCount } = await models.projects.collection.updateOne(
      { _id: new Types.ObjectId(projectId), ...LIVE },
      { $set: { ...set, updatedAt: at } },
    );
    if (matchedCount === 0) throw notFound();
    if (visibility) {
      await changes.tell(projectId);
      const detail = { visibility };
      audit.record({ action: 'project.visibility', userId, projectId, target: projectId, ok: true, origin, detail });
    }
    await this.tellUpdated(projectId);
  }

  /** For everyone. Deleting again changes nothing. */
  async delete(projectId: string, { userId, origin }: Actor): Promise<void> {
    const { models, access, changes, audit, now } = this.#deps;
    if (await this.#isDeletedOf(projectId, userId)) return;
    await access.require(projectId, userId, 'manage');
    const at = new Date(now());
    await changes.expect(projectId);
    const { modifiedCount } = await models.projects.collection.updateOne(
      { _id: new Types.ObjectId(projectId), ownerId: new Types.ObjectId(userId), ...LIVE },
      { $set: { deletedAt: at, accessChangedAt: at } },
    );
    await changes.tell(projectId);
    if (modifiedCount > 0) {
      audit.record({ action: 'project.delete', userId, projectId, target: projectId, ok: true, origin });
    }
  }

  /** Within `LIMITS.restoreDays` of its deletion. Restoring again changes nothing. */
  async restore(projectId: string, { userId, origin }: Actor): Promise<void> {
    const { models, members, access, changes, audit, now } = this.#deps;
    const _id = new Types.ObjectId(projectId);
    await changes.expect(projectId);
    const { modifiedCount } = await models.projects.collection.updateOne(
      {
        _id,
        ownerId: new Types.ObjectId(userId),
        deletedAt: { $gt: new Date(now() - LIMITS.restoreDays * DAY_MS) },
      },
      { $set: { accessChangedAt: new Date(now()) }, $unset: { deletedAt: '' } },
    );
    if (modifiedCount === 0) {
      // It is there already, or nothing that the caller may restore.
      await access.require(projectId, userId, 'manage');
      return;
    }
    await changes.tell(projectId, await members.userIds(_id));
    audit.record({ action: 'project.restore', userId, projectId, target: projectId, ok: true, origin });
  }

  /** To all members, what is the same to all of them. */
  async tellUpdated(projectId: string): Promise<void> {
    const { models, views, rooms } = this.#deps;
    const project = await models.projects.collection.findOne<ProjectRecord>({
      _id: new Types.ObjectId(projectId),
      ...LIVE,
    });
    if (project) rooms.emit(projectRoom(projectId), 'project:updated', { project: await views.shared(project) });
  }

  async #isDeletedOf(projectId: string, userId: string): Promise<boolean> {
    const found = await this.#deps.models.projects.collection.countDocuments(
      {
        _id: new Types.ObjectId(projectId),
        ownerId: new Types.ObjectId(userId),
        deletedAt: { $exists: true },
      },
      { limit: 1 },
    );
    return found > 0;
  }
}
