/** Projects: who is in them and may do what, on every node at once; their invites, their beginning and their end. */
import { Types, type Connection } from 'mongoose';
import type { Bus, Clock } from '../../cluster/index.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { LIMITS, type Handlers, type Rooms } from '../../protocol/index.ts';
import { Access, notFound, type Grant, type May } from './access.ts';
import { AccessChanges, type AccessListener, type ChatsOfProjects } from './access-changes.ts';
import type { projectsContract, projectsEvents } from './contract.ts';
import { createProjectHandlers } from './handlers.ts';
import { Invites } from './invites.ts';
import { LiveRooms } from './live-rooms.ts';
import { MemberChanges } from './member-changes.ts';
import { Members } from './members.ts';
import { createProjectModels, type ProjectRecord } from './model.ts';
import { ProjectChanges } from './project-changes.ts';
import { ProjectMakers, type NewFile, type ProjectFiles } from './project-makers.ts';
import type { ProjectRole, TemplateName } from './shapes.ts';
import { ProjectUpkeep } from './upkeep.ts';
import { Views } from './views.ts';

export type { Grant, May } from './access.ts';
export type { AccessChange } from './notices.ts';
export type { NewFile, ProjectFiles } from './project-makers.ts';
export type { ProjectRole, TemplateName } from './shapes.ts';
export type { ProjectUpkeep } from './upkeep.ts';

/** What other features ask. */
export interface ProjectPort {
  /**
   * What the user may do in a project; a public one may be read by anybody who is signed in, without a role. Rejects with
   * `not_found` where the user may not know of it, with `forbidden` where the role is too small. Remembered, and fresh on
   * every node at once.
   */
  require(projectId: string, userId: string, may: May): Promise<Grant>;
  /**
   * Called on every node when what these users may do in a project may have changed (members, roles, visibility,
   * deletion, restoring); without `userIds`: what anybody may. Possibly more than once. Returns how to stop.
   */
  onAccessChanged(listener: AccessListener): () => void;
}

/** A project as its rows say now. */
export interface ProjectStanding {
  /** Undefined while it is there. */
  deletedAt: Date | undefined;
  members: { userId: string; role: ProjectRole }[];
}

export interface ProjectsFeature extends ProjectPort {
  handlers: Handlers<typeof projectsContract>;
  upkeep: ProjectUpkeep;
  /** Ids of the members of a project, the owner among them; of a deleted one too. */
  memberIds(projectId: string): Promise<string[]>;
  /** Of a project that is new, or deleted, too. Rejects with `not_found`. */
  ownerOf(projectId: string): Promise<string>;
  /** Ids of the projects that the user owns, deleted ones that are still kept among them. */
  ownedBy(userId: string): Promise<string[]>;
  /** Read anew each time; undefined when the project is gone for good. */
  standing(projectId: string): Promise<ProjectStanding | undefined>;
  /** All there are, deleted ones that are still kept among them. */
  count(): Promise<number>;
  /** Changes are read again now: something may not have been heard of. */
  compare(): Promise<void>;
  /** Lets a new socket into its user's projects; resolves when nothing in them can be missed. */
  connected(connection: { id: string; userId: string }): Promise<void>;
  close(): Promise<void>;
}

export interface ProjectsDeps {
  connection: Connection;
  rooms: Rooms<typeof projectsEvents>;
  bus: Bus;
  audit: Audit;
  log: Log;
  now: () => number;
  clock?: Clock;
  /** What the tokens of invites are made with; a key of its own is derived from it. */
  secret: string;
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  chats: ChatsOfProjects;
  files: ProjectFiles;
  templateFiles: (template: TemplateName) => Promise<readonly NewFile[]>;
}

type Owned = Pick<ProjectRecord, '_id' | 'ownerId'>;

export function createProjects(deps: ProjectsDeps): ProjectsFeature {
  const { connection, rooms, audit, now } = deps;
  const models = createProjectModels(connection);
  const members = new Members(models, now, LIMITS.projectsAtConnect);
  const access = new Access(models);
  const views = new Views(members);
  const live = new LiveRooms({ models, members, views, rooms });
  const changes = new AccessChanges({ ...deps, models, members, access, live, views });
  const projects = new ProjectChanges({ models, members, access, changes, views, rooms, audit, now });
  const memberChanges = new MemberChanges({ ...deps, models, members, access, changes, projects });
  const invites = new Invites({ models, members, memberChanges, secret: deps.secret, audit, now });
  const makers = new ProjectMakers({ ...deps, models, members, access, changes });

  return {
    handlers: createProjectHandlers({
      models,
      members,
      access,
      live,
      views,
      makers,
      projects,
      memberChanges,
      invites,
      rooms,
      now,
    }),
    upkeep: new ProjectUpkeep({ models, members, changes, projects, rooms, audit, now }),
    require: (projectId, userId, may) => access.require(projectId, userId, may),
    onAccessChanged: (listener) => changes.onChange(listener),
    memberIds: (projectId) => members.userIds(new Types.ObjectId(projectId)),
    async ownerOf(projectId) {
      const _id = new Types.ObjectId(projectId);
      const project = await models.projects.collection.findOne<Owned>({ _id }, { projection: { ownerId: 1 } });
      if (!project) throw notFound();
      return project.ownerId.toHexString();
    },
    async ownedBy(userId) {
      const ownerId = new Types.ObjectId(userId);
      const owned = await models.projects.collection.find<Owned>({ ownerId }, { projection: { ownerId: 1 } }).toArray();
      return owned.map(({ _id }) => _id.toHexString());
    },
    async standing(projectId) {
      const _id = new Types.ObjectId(projectId);
      const project = await models.projects.collection.findOne<Pick<ProjectRecord, 'ownerId' | 'deletedAt'>>(
        { _id },
        { projection: { ownerId: 1, deletedAt: 1 } },
      );
      if (!project) return undefined;
      const rows = await members.all(_id);
      return {
        deletedAt: project.deletedAt,
        members: rows.map(({ userId, role }) => ({
          userId: userId.toHexString(),
          role: userId.equals(project.ownerId) ? 'owner' : role,
        })),
      };
    },
    count: () => models.projects.collection.estimatedDocumentCount(),
    compare: () => changes.compare(),
    connected: (socket) => live.connected(socket),
    close: () => changes.close(),
  };
}
