/**
 * Which sockets of this node are in which project's room. A new socket joins the rooms of its user's newest projects;
 * whatever changes later is read from the rows, one look at a project after another, so the last one sees how it is.
 */
import { Types } from 'mongoose';
import { KeyedQueue, projectRoom, userRoom, type Rooms } from '../../protocol/index.ts';
import type { projectsEvents } from './contract.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import type { AccessChange } from './notices.ts';
import type { Views } from './views.ts';

export interface LiveRoomsDeps {
  models: ProjectModels;
  members: Members;
  views: Views;
  rooms: Rooms<typeof projectsEvents>;
}

/** A user's projects being read. */
interface Load {
  /** What has been read may be older than a change that was heard of meanwhile. */
  outdated: boolean;
}

export class LiveRooms {
  readonly #deps: LiveRoomsDeps;
  /** By user. */
  readonly #loading = new Map<string, Set<Load>>();
  readonly #looks = new KeyedQueue();

  constructor(deps: LiveRoomsDeps) {
    this.#deps = deps;
  }

  /** Lets a new socket into its user's projects; resolves when nothing in them can be missed. */
  async connected({ id, userId }: { id: string; userId: string }): Promise<void> {
    const { members, rooms } = this.#deps;
    const load: Load = { outdated: false };
    const loads = this.#loading.get(userId) ?? new Set();
    this.#loading.set(userId, loads.add(load));
    try {
      let projectIds: string[];
      do {
        load.outdated = false;
        projectIds = await members.newest(userId);
      } while (load.outdated);
      // In the same turn as the last look at `outdated`: a later change finds the socket in the room.
      for (const projectId of projectIds) rooms.join({ connectionId: id }, projectRoom(projectId));
      await Promise.all(projectIds.map((projectId) => rooms.listening(projectRoom(projectId))));
    } finally {
      if (loads.delete(load) && loads.size === 0) this.#loading.delete(userId);
    }
  }

  /** Lets one socket of a member into a project that is not among their newest. */
  async enter(connectionId: string, userId: string, projectId: string): Promise<void> {
    const { members, rooms } = this.#deps;
    const room = projectRoom(projectId);
    if (rooms.of(connectionId, 'project').includes(room)) return;
    await this.#looks.run(projectId, async () => {
      const project = await this.#project(projectId);
      if (!project || !(await members.active(project._id, userId))) return;
      rooms.join({ connectionId }, room);
      await rooms.listening(room);
    });
  }

  /** Makes the sockets here follow a change, and tells those that come or go. */
  async follow({ projectId, userIds }: AccessChange): Promise<void> {
    const { rooms } = this.#deps;
    const room = projectRoom(projectId);
    for (const userId of userIds ?? this.#loading.keys()) {
      for (const load of this.#loading.get(userId) ?? []) load.outdated = true;
    }
    const here = (userIds ?? rooms.connections(room).map(({ userId }) => userId)).filter((userId) =>
      rooms.has(userRoom(userId)),
    );
    if (here.length > 0) await this.#looks.run(projectId, () => this.#look(projectId, [...new Set(here)]));
  }

  async #look(projectId: string, userIds: readonly string[]): Promise<void> {
    const { members, views, rooms } = this.#deps;
    const room = projectRoom(projectId);
    const project = await this.#project(projectId);
    const rows = project ? await members.among(project._id, userIds) : [];
    const isMember = new Set(rows.map(({ userId }) => userId.toHexString()));
    const inside = new Set(rooms.connections(room).map(({ id }) => id));
    const newcomers = new Set<string>();
    const gone = new Set<string>();
    for (const userId of userIds) {
      for (const { id } of rooms.connections(userRoom(userId))) {
        if (isMember.has(userId) && !inside.has(id)) {
          rooms.join({ connectionId: id }, room);
          newcomers.add(userId);
        } else if (!isMember.has(userId) && inside.has(id)) {
          rooms.leave({ connectionId: id }, room);
          gone.add(userId);
        }
      }
    }
    for (const userId of gone) rooms.emitHere(userRoom(userId), 'project:deleted', { projectId });
    if (!project || newcomers.size === 0) return;
    await rooms.listening(room);
    const seenBy = await views.forMembers(
      project,
      rows.filter(({ userId }) => newcomers.has(userId.toHexString())),
    );
    for (const [userId, seen] of seenBy) rooms.emitHere(userRoom(userId), 'project:created', { project: seen });
  }

  async #project(projectId: string): Promise<ProjectRecord | undefined> {
    const record = await this.#deps.models.projects.collection.findOne<ProjectRecord>({
      _id: new Types.ObjectId(projectId),
      ...LIVE,
    });
    return record ?? undefined;
  }
}
