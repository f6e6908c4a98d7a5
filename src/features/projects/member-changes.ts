/**
 * Who comes, goes, and may do what. A membership is one row; the ownership is one field of the project, so handing it
 * over is one write. Who becomes the owner while they leave is met by whichever of the two comes second.
 */
import { Types } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS, projectRoom, userRoom, type Rooms } from '../../protocol/index.ts';
import { notFound, type Access } from './access.ts';
import type { AccessChanges } from './access-changes.ts';
import type { projectsEvents } from './contract.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import type { Actor, ProjectChanges } from './project-changes.ts';
import type { GivenRole, ProjectRole } from './shapes.ts';

export interface MemberChangesDeps {
  models: ProjectModels;
  members: Members;
  access: Access;
  changes: AccessChanges;
  projects: ProjectChanges;
  rooms: Rooms<typeof projectsEvents>;
  /** Which of the ids are users. */
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  audit: Audit;
  now: () => number;
}

export class MemberChanges {
  readonly #deps: MemberChangesDeps;

  constructor(deps: MemberChangesDeps) {
    this.#deps = deps;
  }

  /** Who is a member already is left as they are. */
  async add(projectId: string, actor: Actor, userId: string, role: GivenRole): Promise<void> {
    await this.#deps.access.require(projectId, actor.userId, 'manage');
    if ((await this.#deps.existingUsers([userId])).length === 0) {
      throw new Fault('not_found', 'There is no such user');
    }
    await this.join(projectId, userId, role, (joined) => {
      if (joined) this.#record('project.add-member', projectId, actor, userId, { role });
    });
  }

  /** The user becomes a member, whoever lets them in; `done` says whether they were none before. */
  async join(projectId: string, userId: string, role: GivenRole, done: (joined: boolean) => void): Promise<void> {
    const { members, changes, rooms } = this.#deps;
    const id = new Types.ObjectId(projectId);
    if (!(await members.active(id, userId))) await this.assertRoom(projectId);
    await changes.expect(projectId);
    const joined = await members.add(id, userId, role);
    // Told again also when they were one before: the notice may be what was lost.
    await changes.tell(projectId, [userId]);
    if (joined) rooms.emit(projectRoom(projectId), 'project:member-joined', { projectId, userId, role });
    done(joined);
  }

  /** Rejects with `quota_exceeded` when no more members fit in. */
  async assertRoom(projectId: string): Promise<void> {
    if ((await this.#deps.members.count(new Types.ObjectId(projectId))) < LIMITS.membersPerProject) return;
    throw new Fault('quota_exceeded', `A project has at most ${LIMITS.membersPerProject} members`);
  }

  async remove(projectId: string, actor: Actor, userId: string): Promise<void> {
    if (userId === actor.userId) return this.leave(projectId, actor);
    await this.#deps.access.require(projectId, actor.userId, 'manage');
    await this.#end(projectId, actor, userId, 'project.remove-member');
  }

  /** Leaving again changes nothing. */
  async leave(projectId: string, actor: Actor): Promise<void> {
    const { members, access } = this.#deps;
    const row = await members.find(new Types.ObjectId(projectId), actor.userId);
    if (row?.state === 'left') return;
    const role = await access.requireMember(projectId, actor.userId);
    if (role === 'owner') throw handOverFirst();
    await this.#end(projectId, actor, actor.userId, 'project.leave');
  }

  async setRole(projectId: string, actor: Actor, userId: string, role: ProjectRole): Promise<void> {
    const { members, access, changes } = this.#deps;
    await access.require(projectId, actor.userId, 'manage');
    if (userId === actor.userId) throw new Fault('invalid', 'Make somebody else the owner');
    const id = new Types.ObjectId(projectId);
    const row = await members.active(id, userId);
    if (!row) throw new Fault('not_found', 'There is no such member');
    if (role === 'owner') return this.#handOver(projectId, actor, userId);
    if (row.role === role) return changes.tell(projectId, [userId]);
    if (!(await members.setRole(id, userId, role))) throw new Fault('not_found', 'There is no such member');
    await changes.tell(projectId, [userId]);
    this.#tellRole(projectId, userId, role);
    this.#record('project.set-role', projectId, actor, userId, { role });
  }

  async #handOver(projectId: string, actor: Actor, userId: string): Promise<void> {
    const { members, changes, projects } = this.#deps;
    const id = new Types.ObjectId(projectId);
    await changes.expect(projectId);
    // What they are without the ownership, which counts from the next write on.
    await members.setRole(id, actor.userId, 'editor');
    if (!(await this.#passOwnership(id, actor.userId, userId))) throw notFound();
    if (!(await members.active(id, userId))) {
      // They left at the same moment.
      await this.#passOwnership(id, userId, actor.userId);
      throw new Fault('not_found', 'There is no such member');
    }
    await changes.tell(projectId, [userId, actor.userId]);
    this.#tellRole(projectId, userId, 'owner');
    this.#tellRole(projectId, actor.userId, 'editor');
    await projects.tellUpdated(projectId);
    this.#record('project.set-role', projectId, actor, userId, { role: 'owner' });
  }

  async #passOwnership(_id: Types.ObjectId, from: string, to: string): Promise<boolean> {
    const at = new Date(this.#deps.now());
    const { modifiedCount } = await this.#deps.models.projects.collection.updateOne(
      { _id, ownerId: new Types.ObjectId(from), ...LIVE },
      { $set: { ownerId: new Types.ObjectId(to), accessChangedAt: at, updatedAt: at } },
    );
    return modifiedCount > 0;
  }

  async #end(projectId: string, actor: Actor, userId: string, action: string): Promise<void> {
    const { models, members, changes, rooms } = this.#deps;
    const id = new Types.ObjectId(projectId);
    await changes.expect(projectId);
    const left = await members.leave(id, userId, userId !== actor.userId);
    const project = await models.projects.collection.findOne<Pick<ProjectRecord, 'ownerId'>>(
      { _id: id },
      { projection: { ownerId: 1 } },
    );
    if (project?.ownerId.toHexString() === userId) {
      // They have become the owner meanwhile.
      await members.stay(id, userId);
      throw handOverFirst();
    }
    if (left) {
      const event = { projectId, userId };
      rooms.emit(projectRoom(projectId), 'project:member-left', event, { except: [userRoom(userId)] });
      rooms.emit(userRoom(userId), 'project:member-left', event);
      this.#record(action, projectId, actor, userId);
    }
    await changes.tell(projectId, [userId]);
  }

  #tellRole(projectId: string, userId: string, role: ProjectRole): void {
    this.#deps.rooms.emit(projectRoom(projectId), 'project:role-changed', { projectId, userId, role });
  }

  #record(action: string, projectId: string, actor: Actor, target: string, detail?: { role: string }): void {
    const { userId, origin } = actor;
    this.#deps.audit.record({ action, userId, projectId, target, ok: true, origin, ...(detail ? { detail } : {}) });
  }
}

const handOverFirst = (): Fault => new Fault('conflict', 'Hand the project over to another member first');
