/**
 * What time and departures do to projects: those that were deleted long ago, or never got all their files, are removed;
 * whose account ends is followed as owner. Everything here may be cut off and done again.
 */
import { Types } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { DAY_MS, HOUR_MS, LIMITS, projectRoom, type Rooms } from '../../protocol/index.ts';
import type { AccessChanges } from './access-changes.ts';
import type { projectsEvents } from './contract.ts';
import type { Members } from './members.ts';
import type { ProjectModels, ProjectRecord } from './model.ts';
import type { ProjectChanges } from './project-changes.ts';

export interface ProjectUpkeepDeps {
  models: ProjectModels;
  members: Members;
  changes: AccessChanges;
  projects: ProjectChanges;
  rooms: Rooms<typeof projectsEvents>;
  audit: Audit;
  now: () => number;
}

/** Projects of one page. */
const PAGE = 100;
/** Nodes' clocks differ; a project that can still be restored anywhere is not removed. */
const AFTER_RESTORE_MS = HOUR_MS;
/** Nobody goes on with a creation for so long. */
const FILLING_MS = HOUR_MS;

export class ProjectUpkeep {
  readonly #deps: ProjectUpkeepDeps;

  constructor(deps: ProjectUpkeepDeps) {
    this.#deps = deps;
  }

  /** The projects that nobody can bring back any more, at most a page of each kind. */
  async due(): Promise<string[]> {
    const nowMs = this.#deps.now();
    const deletedAt = { $lte: new Date(nowMs - LIMITS.restoreDays * DAY_MS - AFTER_RESTORE_MS) };
    const since = { $lte: new Date(nowMs - FILLING_MS) };
    const pages = await Promise.all([this.#ids({ deletedAt }), this.#ids({ 'filling.since': since })]);
    return [...new Set(pages.flat())];
  }

  /** Removes a project for good, when everything in it is gone; the project itself last, so that whoever is cut off is followed. */
  async purge(projectId: string): Promise<void> {
    const { models, changes } = this.#deps;
    const id = new Types.ObjectId(projectId);
    await changes.expect(projectId);
    await models.invites.collection.deleteMany({ projectId: id });
    await models.members.collection.deleteMany({ projectId: id });
    await models.projects.collection.deleteOne({ _id: id });
    await changes.gone(projectId);
  }

  /**
   * The user is no member of any project any more; theirs go to the longest-standing editor, else viewer. Resolves with
   * those where nobody is left, which are deleted then.
   */
  async depart(userId: string, signal: AbortSignal): Promise<string[]> {
    const { members, changes, rooms } = this.#deps;
    const ownerId = new Types.ObjectId(userId);
    // First the memberships, then the ownerships: whoever is about to hand one over to this user sees that they left.
    for (const { projectId: id } of await members.ofUser(userId)) {
      signal.throwIfAborted();
      const projectId = id.toHexString();
      await changes.expect(projectId);
      await members.leave(id, userId, false);
      rooms.emit(projectRoom(projectId), 'project:member-left', { projectId, userId });
      await changes.tell(projectId, [userId]);
    }
    const abandoned: string[] = [];
    for (;;) {
      signal.throwIfAborted();
      const owned = await this.#owned(ownerId, abandoned);
      if (owned.length === 0) return abandoned;
      for (const id of owned) {
        signal.throwIfAborted();
        if (!(await this.#inherit(id, ownerId))) abandoned.push(id.toHexString());
      }
    }
  }

  /** False when there is nobody: then it is deleted. */
  async #inherit(_id: Types.ObjectId, ownerId: Types.ObjectId): Promise<boolean> {
    const { models, members, changes, projects, audit, now } = this.#deps;
    const projectId = _id.toHexString();
    await changes.expect(projectId);
    for (let from = ownerId; ;) {
      const heirId = await members.successor(_id, from);
      const at = new Date(now());
      if (!heirId) {
        await models.projects.collection.updateOne(
          { _id, ownerId: from, deletedAt: { $exists: false } },
          { $set: { deletedAt: at, accessChangedAt: at } },
        );
        await changes.tell(projectId);
        return false;
      }
      const { modifiedCount } = await models.projects.collection.updateOne(
        { _id, ownerId: from },
        { $set: { ownerId: heirId, accessChangedAt: at, updatedAt: at } },
      );
      // Somebody else has seen to it.
      if (modifiedCount === 0) return true;
      const heir = heirId.toHexString();
      if (await members.active(_id, heir)) {
        await changes.tell(projectId, [heir]);
        await projects.tellUpdated(projectId);
        audit.record({ action: 'project.inherit', projectId, target: heir, ok: true });
        return true;
      }
      // They left at the same moment.
      from = heirId;
    }
  }

  async #owned(ownerId: Types.ObjectId, except: readonly string[]): Promise<Types.ObjectId[]> {
    const rows = await this.#deps.models.projects.collection
      .find<Pick<ProjectRecord, '_id'>>(
        { ownerId, ...(except.length > 0 ? { _id: { $nin: except.map((id) => new Types.ObjectId(id)) } } : {}) },
        { projection: { _id: 1 } },
      )
      .limit(PAGE)
      .toArray();
    return rows.map(({ _id }) => _id);
  }

  async #ids(filter: object): Promise<string[]> {
    const rows = await this.#deps.models.projects.collection
      .find<Pick<ProjectRecord, '_id'>>(filter, { projection: { _id: 1 } })
      .limit(PAGE)
      .toArray();
    return rows.map(({ _id }) => _id.toHexString());
  }
}
