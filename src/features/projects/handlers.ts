/** One function for each operation: check, do, answer. */
import { Types } from 'mongoose';
import { DAY_MS, type Handlers, LIMITS, type Rooms, type UserContext, userRoom } from '../../protocol/index.ts';
import { belowPlace, parseCursor, toCursor } from '../chat/index.ts';
import { notFound, type Access } from './access.ts';
import type { projectsContract, projectsEvents } from './contract.ts';
import { toInvite, type Invites } from './invites.ts';
import type { LiveRooms } from './live-rooms.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import type { Actor, ProjectChanges } from './project-changes.ts';
import type { ProjectMakers } from './project-makers.ts';
import type { Project } from './shapes.ts';
import { memberView, toMember, type Views } from './views.ts';

export interface ProjectHandlerDeps {
  models: ProjectModels;
  members: Members;
  access: Access;
  live: LiveRooms;
  views: Views;
  makers: ProjectMakers;
  projects: ProjectChanges;
  memberChanges: MemberChanges;
  invites: Invites;
  rooms: Rooms<typeof projectsEvents>;
  now: () => number;
}

export function createProjectHandlers(deps: ProjectHandlerDeps): Handlers<typeof projectsContract> {
  const { models, members, access, live, views, makers, projects, memberChanges, invites, rooms, now } = deps;

  /** The project as the user sees it, who may. */
  async function view(projectId: string, userId: string): Promise<Project> {
    const project = await models.projects.collection.findOne<ProjectRecord>({
      _id: new Types.ObjectId(projectId),
      ...LIVE,
    });
    if (!project) throw notFound();
    const membership = await members.active(project._id, userId);
    if (!membership && project.visibility !== 'public') throw notFound();
    return views.one(project, membership);
  }

  return {
    async 'project:create'(input, { session: { userId } }) {
      return { project: await view(await makers.create(userId, input), userId) };
    },

    async 'project:list'(input, { session: { userId } }) {
      const { limit = LIMITS.listDefault, cursor, status, search, starred } = input;
      const mine = (await members.ofUser(userId)).filter((row) => starred === undefined || row.starred === starred);
      const rows = new Map(mine.map((row) => [row.projectId.toHexString(), row]));
      const found = await models.projects.collection
        .find<ProjectRecord>({
          _id: { $in: mine.map(({ projectId }) => projectId) },
          'filling.since': { $exists: false },
          ...(status === 'deleted'
            ? {
                ownerId: new Types.ObjectId(userId),
                deletedAt: { $gt: new Date(now() - LIMITS.restoreDays * DAY_MS) },
              }
            : { ...LIVE, ...(status ? { status } : {}) }),
          ...(search === undefined ? {} : { name: { $regex: escapeRegex(search), $options: 'i' } }),
          ...(cursor === undefined ? {} : belowPlace('updatedAt', parseCursor(cursor))),
        })
        .sort({ updatedAt: -1, _id: -1 })
        .limit(limit + 1)
        .toArray();
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page.flatMap((project) => {
          const row = rows.get(project._id.toHexString());
          return row ? [memberView(project, row)] : [];
        }),
        next: found.length > limit && last ? toCursor({ at: last.updatedAt, id: last._id }) : null,
      };
    },

    async 'project:get'({ projectId }, { session: { userId }, connectionId }) {
      const project = await view(projectId, userId);
      if (connectionId !== undefined && project.role) await live.enter(connectionId, userId, projectId);
      return { project };
    },

    async 'project:update'({ projectId, ...change }, context) {
      await projects.update(projectId, actorOf(context), change);
      return { project: await view(projectId, context.session.userId) };
    },

    async 'project:delete'({ projectId }, context) {
      await projects.delete(projectId, actorOf(context));
      return {};
    },

    async 'project:restore'({ projectId }, context) {
      await projects.restore(projectId, actorOf(context));
      return { project: await view(projectId, context.session.userId) };
    },

    async 'project:duplicate'({ projectId, name, clientId }, { session: { userId } }) {
      return { project: await view(await makers.duplicate(userId, projectId, name, clientId), userId) };
    },

    async 'project:star'({ projectId, on }, { session: { userId } }) {
      await access.requireMember(projectId, userId);
      if (!(await members.star(new Types.ObjectId(projectId), userId, on))) throw notFound();
      const project = await view(projectId, userId);
      rooms.emit(userRoom(userId), 'project:updated', { project });
      return { project };
    },

    async 'project:members'({ projectId, limit = LIMITS.listDefault, cursor }, { session: { userId } }) {
      await access.requireMember(projectId, userId);
      const id = new Types.ObjectId(projectId);
      const [project, rows] = await Promise.all([
        models.projects.collection.findOne<ProjectRecord>({ _id: id, ...LIVE }),
        members.page(id, limit + 1, cursor === undefined ? undefined : parseCursor(cursor)),
      ]);
      if (!project) throw notFound();
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page.map((row) => ({ ...toMember(project.ownerId, row), joinedAt: row.joinedAt.toISOString() })),
        next: rows.length > limit && last ? toCursor({ at: last.joinedAt, id: last._id }) : null,
      };
    },

    async 'project:add-member'({ projectId, userId, role }, context) {
      await memberChanges.add(projectId, actorOf(context), userId, role);
      return { project: await view(projectId, context.session.userId) };
    },

    async 'project:remove-member'({ projectId, userId }, context) {
      await memberChanges.remove(projectId, actorOf(context), userId);
      return {};
    },

    async 'project:set-role'({ projectId, userId, role }, context) {
      await memberChanges.setRole(projectId, actorOf(context), userId, role);
      return {};
    },

    async 'project:leave'({ projectId }, context) {
      await memberChanges.leave(projectId, actorOf(context));
      return {};
    },

    async 'project:invite'({ projectId, ...input }, context) {
      await access.require(projectId, context.session.userId, 'manage');
      return invites.create(projectId, actorOf(context), input);
    },

    async 'project:invites'({ projectId, limit = LIMITS.listDefault, cursor }, { session: { userId } }) {
      await access.require(projectId, userId, 'manage');
      const rows = await invites.page(projectId, limit + 1, cursor === undefined ? undefined : parseCursor(cursor));
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        items: page.map(toInvite),
        next: rows.length > limit && last ? toCursor({ at: last.createdAt, id: last._id }) : null,
      };
    },

    async 'project:revoke-invite'({ projectId, inviteId }, context) {
      await access.require(projectId, context.session.userId, 'manage');
      await invites.revoke(projectId, actorOf(context), inviteId);
      return {};
    },

    async 'project:accept-invite'({ token }, context) {
      const projectId = await invites.accept(actorOf(context), token);
      return { project: await view(projectId, context.session.userId) };
    },
  };
}

const actorOf = ({ session, origin }: UserContext): Actor => ({ userId: session.userId, origin });
const escapeRegex = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
