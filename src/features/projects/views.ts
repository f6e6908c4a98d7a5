/** Projects as those who may see them do. */
import type { Types } from 'mongoose';
import type { Members } from './members.ts';
import type { ProjectMemberRecord, ProjectRecord } from './model.ts';
import type { Project, ProjectMember, ProjectRole } from './shapes.ts';

/** Members of a project that its view names. */
const MEMBERS_IN_VIEW = 50;

export class Views {
  readonly #members: Members;

  constructor(members: Members) {
    this.#members = members;
  }

  /** As the user sees it, who is a member if there is a row. */
  async one(project: ProjectRecord, membership: ProjectMemberRecord | undefined): Promise<Project> {
    if (!membership) return publicView(project);
    return { ...memberView(project, membership), members: await this.#membersOf(project) };
  }

  /** What is the same to all members. */
  async shared(project: ProjectRecord): Promise<Project> {
    return { ...sharedView(project), members: await this.#membersOf(project) };
  }

  /** As several of its members see it, by user id. */
  async forMembers(project: ProjectRecord, memberships: readonly ProjectMemberRecord[]): Promise<Map<string, Project>> {
    if (memberships.length === 0) return new Map();
    const members = await this.#membersOf(project);
    return new Map(
      memberships.map((membership) => [
        membership.userId.toHexString(),
        { ...memberView(project, membership), members },
      ]),
    );
  }

  async #membersOf(project: ProjectRecord): Promise<ProjectMember[]> {
    return (await this.#members.page(project._id, MEMBERS_IN_VIEW)).map((row) => toMember(project.ownerId, row));
  }
}

/** Without its members, as in lists. */
export const memberView = (project: ProjectRecord, { userId, role, starred }: ProjectMemberRecord): Project => ({
  ...sharedView(project),
  role: roleOf(project.ownerId, userId, role),
  starred,
});

export const toMember = (
  ownerId: Types.ObjectId,
  { userId, role }: Pick<ProjectMemberRecord, 'userId' | 'role'>,
): ProjectMember => ({ userId: userId.toHexString(), role: roleOf(ownerId, userId, role) });

const roleOf = (ownerId: Types.ObjectId, userId: Types.ObjectId, role: ProjectRole): ProjectRole =>
  ownerId.equals(userId) ? 'owner' : role;

const sharedView = (project: ProjectRecord): Project => ({
  ...publicView(project),
  settings: JSON.parse(project.settings) as NonNullable<Project['settings']>,
});

/** What is for whoever is signed in, of a public project. */
function publicView(project: ProjectRecord): Project {
  const { _id, name, description, template, status, visibility, ownerId, createdAt, updatedAt, deletedAt } = project;
  return {
    id: _id.toHexString(),
    name,
    description,
    template,
    status,
    visibility,
    owner: ownerId.toHexString(),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
    ...(deletedAt ? { deletedAt: deletedAt.toISOString() } : {}),
  };
}
