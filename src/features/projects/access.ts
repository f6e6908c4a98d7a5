/**
 * What a user may do in a project. Answers are remembered for a short while and forgotten as soon as a change is heard
 * of.
 */
import { LRUCache } from 'lru-cache';
import { Types } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { ACTIVE, LIVE, type ProjectMemberRecord, type ProjectModels, type ProjectRecord } from './model.ts';
import type { GivenRole, ProjectRole } from './shapes.ts';

/** `read`: whoever may see it. `write`: editors and the owner. `manage`: the owner. */
export type May = 'read' | 'write' | 'manage';

export interface Grant {
  projectId: string;
  /** Undefined for who reads a public project and is no member. */
  role: ProjectRole | undefined;
  access: 'read' | 'write';
}

interface Known {
  ownerId: string;
  isPublic: boolean;
}

/** About 200 bytes each. */
const REMEMBERED_PROJECTS = 50_000;
const REMEMBERED_ROLES = 200_000;

export class Access {
  readonly #models: ProjectModels;
  readonly #projects = new LRUCache<string, Known>({ max: REMEMBERED_PROJECTS, ttl: LIMITS.headCompareMs });
  readonly #roles = new LRUCache<string, GivenRole | 'none'>({ max: REMEMBERED_ROLES, ttl: LIMITS.headCompareMs });
  /** Counts what was forgotten: an answer that was read before it is not remembered after it. */
  #generation = 0;

  constructor(models: ProjectModels) {
    this.#models = models;
  }

  /** Rejects with `not_found` who may not know of the project, with `forbidden` whose role is too small. */
  async require(projectId: string, userId: string, may: May): Promise<Grant> {
    const project = await this.#project(projectId);
    if (!project) throw notFound();
    const role = project.ownerId === userId ? 'owner' : await this.#role(projectId, userId);
    if (!role && !project.isPublic) throw notFound();
    const access = role === 'owner' || role === 'editor' ? 'write' : 'read';
    if (may === 'write' && access === 'read') throw new Fault('forbidden', 'Only its owner and editors may do that');
    if (may === 'manage' && role !== 'owner') throw new Fault('forbidden', 'Only the owner of the project may do that');
    return { projectId, role, access };
  }

  /** As `require`, of members only: who reads a public project is `forbidden`. */
  async requireMember(projectId: string, userId: string): Promise<ProjectRole> {
    const { role } = await this.require(projectId, userId, 'read');
    if (!role) throw new Fault('forbidden', 'Only its members may do that');
    return role;
  }

  /** What was remembered of the project, and of these users in it, may no longer hold. */
  forget(projectId: string, userIds: readonly string[] = []): void {
    this.#generation++;
    this.#projects.delete(projectId);
    for (const userId of userIds) this.#roles.delete(keyOf(projectId, userId));
  }

  forgetAll(): void {
    this.#generation++;
    this.#projects.clear();
    this.#roles.clear();
  }

  async #project(projectId: string): Promise<Known | undefined> {
    const known = this.#projects.get(projectId);
    if (known) return known;
    const generation = this.#generation;
    const record = await this.#models.projects.collection.findOne<Pick<ProjectRecord, 'ownerId' | 'visibility'>>(
      { _id: new Types.ObjectId(projectId), ...LIVE },
      { projection: { ownerId: 1, visibility: 1 } },
    );
    if (!record) return undefined;
    const found = { ownerId: record.ownerId.toHexString(), isPublic: record.visibility === 'public' };
    if (generation === this.#generation) this.#projects.set(projectId, found);
    return found;
  }

  async #role(projectId: string, userId: string): Promise<GivenRole | undefined> {
    const key = keyOf(projectId, userId);
    const known = this.#roles.get(key);
    if (known) return known === 'none' ? undefined : known;
    const generation = this.#generation;
    const row = await this.#models.members.collection.findOne<Pick<ProjectMemberRecord, 'role'>>(
      { projectId: new Types.ObjectId(projectId), userId: new Types.ObjectId(userId), ...ACTIVE },
      { projection: { role: 1 } },
    );
    if (generation === this.#generation) this.#roles.set(key, row?.role ?? 'none');
    return row?.role;
  }
}

export const notFound = (): Fault => new Fault('not_found', 'There is no such project');
const keyOf = (projectId: string, userId: string): string => `${projectId}:${userId}`;
