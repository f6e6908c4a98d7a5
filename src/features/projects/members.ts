/** The rows of who is in which project. Every write may be repeated. */
import { Types, type Model } from 'mongoose';
import { BatchLoader } from '../../storage/batch-loader.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { abovePlace, type Place } from '../chat/index.ts';
import { ACTIVE, LIVE, type ProjectMemberRecord, type ProjectModels, type ProjectRecord } from './model.ts';
import type { GivenRole } from './shapes.ts';

type ObjectId = Types.ObjectId;

export class Members {
  readonly #model: Model<ProjectMemberRecord>;
  readonly #projects: Model<ProjectRecord>;
  readonly #now: () => number;
  readonly #newest: BatchLoader<string[]>;

  constructor({ members, projects }: ProjectModels, now: () => number, atConnect: number) {
    this.#model = members;
    this.#projects = projects;
    this.#now = now;
    this.#newest = new BatchLoader((userIds) => this.#newestOfAll(userIds, atConnect));
  }

  /** One membership in any state. */
  async find(projectId: ObjectId, userId: string): Promise<ProjectMemberRecord | undefined> {
    const row = await this.#model.collection.findOne<ProjectMemberRecord>({
      projectId,
      userId: new Types.ObjectId(userId),
    });
    return row ?? undefined;
  }

  async active(projectId: ObjectId, userId: string): Promise<ProjectMemberRecord | undefined> {
    const row = await this.find(projectId, userId);
    return row?.state === 'active' ? row : undefined;
  }

  /** False when they are a member already, who is left as they are. */
  async add(projectId: ObjectId, userId: string, role: GivenRole): Promise<boolean> {
    const key = { projectId, userId: new Types.ObjectId(userId) };
    const at = new Date(this.#now());
    const joined = { state: 'active' as const, role, joinedAt: at, changedAt: at, starred: false };
    const { modifiedCount } = await this.#model.collection.updateOne({ ...key, state: 'left' }, { $set: joined });
    if (modifiedCount > 0) return true;
    try {
      const { upsertedCount } = await this.#model.collection.updateOne(key, { $setOnInsert: joined }, { upsert: true });
      return upsertedCount > 0;
    } catch (error) {
      // A twin of this request was faster.
      if (duplicateIndexOf(error) === undefined) throw error;
      return false;
    }
  }

  /** False when they are no member. */
  async setRole(projectId: ObjectId, userId: string, role: GivenRole): Promise<boolean> {
    const { matchedCount } = await this.#model.collection.updateOne(
      { projectId, userId: new Types.ObjectId(userId), ...ACTIVE },
      { $set: { role, changedAt: new Date(this.#now()) } },
    );
    return matchedCount > 0;
  }

  /** False when they are no member. */
  async star(projectId: ObjectId, userId: string, starred: boolean): Promise<boolean> {
    const { matchedCount } = await this.#model.collection.updateOne(
      { projectId, userId: new Types.ObjectId(userId), ...ACTIVE },
      { $set: { starred } },
    );
    return matchedCount > 0;
  }

  /** False when they were no member. `removed`: by the owner, not of their own accord. */
  async leave(projectId: ObjectId, userId: string, removed: boolean): Promise<boolean> {
    const at = new Date(this.#now());
    const { modifiedCount } = await this.#model.collection.updateOne(
      { projectId, userId: new Types.ObjectId(userId), ...ACTIVE },
      { $set: { state: 'left', changedAt: at, ...(removed ? { removedAt: at } : {}) } },
    );
    return modifiedCount > 0;
  }

  /** Undoes `leave`: the role and the joining stay as they were. */
  async stay(projectId: ObjectId, userId: string): Promise<void> {
    await this.#model.collection.updateOne(
      { projectId, userId: new Types.ObjectId(userId), state: 'left' },
      { $set: { state: 'active', changedAt: new Date(this.#now()) }, $unset: { removedAt: '' } },
    );
  }

  count(projectId: ObjectId): Promise<number> {
    return this.#model.collection.countDocuments({ projectId, ...ACTIVE });
  }

  /** A page of members, longest-standing first, after a place that an earlier page gave. */
  page(projectId: ObjectId, limit: number, after?: Place): Promise<ProjectMemberRecord[]> {
    return this.#model.collection
      .find<ProjectMemberRecord>({ projectId, ...ACTIVE, ...(after ? abovePlace('joinedAt', after) : {}) })
      .sort({ joinedAt: 1, _id: 1 })
      .limit(limit)
      .toArray();
  }

  /** All members. */
  all(projectId: ObjectId): Promise<ProjectMemberRecord[]> {
    return this.#model.collection.find<ProjectMemberRecord>({ projectId, ...ACTIVE }).toArray();
  }

  /** Ids of all members. */
  async userIds(projectId: ObjectId): Promise<string[]> {
    const rows = await this.#model.collection
      .find<Pick<ProjectMemberRecord, 'userId'>>({ projectId, ...ACTIVE }, { projection: { _id: 0, userId: 1 } })
      .toArray();
    return rows.map(({ userId }) => userId.toHexString());
  }

  /** Those of the users who are members. */
  among(projectId: ObjectId, userIds: readonly string[]): Promise<ProjectMemberRecord[]> {
    return this.#model.collection
      .find<ProjectMemberRecord>({ projectId, userId: { $in: userIds.map((id) => new Types.ObjectId(id)) }, ...ACTIVE })
      .toArray();
  }

  ofUser(userId: string): Promise<ProjectMemberRecord[]> {
    return this.#model.collection
      .find<ProjectMemberRecord>({ userId: new Types.ObjectId(userId), ...ACTIVE })
      .toArray();
  }

  /** Who would follow an owner: the longest-standing editor, else viewer. */
  async successor(projectId: ObjectId, ownerId: ObjectId): Promise<ObjectId | undefined> {
    for (const role of ['editor', 'viewer'] as const) {
      const row = await this.#model.collection.findOne<ProjectMemberRecord>(
        { projectId, ...ACTIVE, role, userId: { $ne: ownerId } },
        { sort: { joinedAt: 1, _id: 1 } },
      );
      if (row) return row.userId;
    }
    return undefined;
  }

  /** Rows whose role or state has changed since, on any node. */
  changedSince(at: Date): Promise<Pick<ProjectMemberRecord, 'projectId' | 'userId'>[]> {
    return this.#model.collection
      .find<Pick<ProjectMemberRecord, 'projectId' | 'userId'>>(
        { changedAt: { $gte: at } },
        { projection: { _id: 0, projectId: 1, userId: 1 } },
      )
      .toArray();
  }

  /** The projects that a socket joins by itself, read together with those of others who ask at the same time. */
  async newest(userId: string): Promise<string[]> {
    return (await this.#newest.get(userId)) ?? [];
  }

  async #newestOfAll(userIds: readonly string[], limit: number): Promise<Map<string, string[]>> {
    const rows = await this.#model.collection
      .find<Pick<ProjectMemberRecord, 'userId' | 'projectId'>>(
        { userId: { $in: userIds.map((id) => new Types.ObjectId(id)) }, ...ACTIVE },
        { projection: { _id: 0, userId: 1, projectId: 1 } },
      )
      .toArray();
    if (rows.length === 0) return new Map();
    const projects = await this.#projects.collection
      .find<Pick<ProjectRecord, '_id' | 'updatedAt'>>(
        { _id: { $in: rows.map(({ projectId }) => projectId) }, ...LIVE },
        { projection: { updatedAt: 1 } },
      )
      .toArray();
    const updatedAt = new Map(projects.map((project) => [project._id.toHexString(), project.updatedAt.getTime()]));
    const byUser = new Map<string, string[]>();
    for (const { userId, projectId } of rows) {
      const [user, project] = [userId.toHexString(), projectId.toHexString()];
      if (!updatedAt.has(project)) continue;
      const mine = byUser.get(user) ?? [];
      byUser.set(user, mine);
      mine.push(project);
    }
    const newestFirst = (a: string, b: string): number => (updatedAt.get(b) ?? 0) - (updatedAt.get(a) ?? 0);
    for (const [userId, ids] of byUser) byUser.set(userId, ids.sort(newestFirst).slice(0, limit));
    return byUser;
  }
}
