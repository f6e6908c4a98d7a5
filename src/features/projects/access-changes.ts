/**
 * Changes of who may do what take effect here before their caller has an answer, and on the other nodes as soon as the
 * notice arrives. In case one was lost the rows are read again when the bus is back, and from time to time.
 */
import { ALL_NODES, Rereading, type Bus, type Clock } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { projectRoom, type Rooms } from '../../protocol/index.ts';
import type { Access } from './access.ts';
import type { projectsEvents } from './contract.ts';
import type { LiveRooms } from './live-rooms.ts';
import type { Members } from './members.ts';
import { LIVE, type ProjectModels, type ProjectRecord } from './model.ts';
import { asAccessChange, toNotice, type AccessChange } from './notices.ts';
import type { Views } from './views.ts';

export interface AccessChangesDeps {
  models: ProjectModels;
  members: Members;
  access: Access;
  live: LiveRooms;
  views: Views;
  rooms: Rooms<typeof projectsEvents>;
  bus: Bus;
  log: Log;
  chats: ChatsOfProjects;
  now: () => number;
  clock?: Clock;
}

/** The chats of projects, which have the members of their project. */
export interface ChatsOfProjects {
  /** Stores that they are going to follow, whatever happens then. */
  expect(projectId: string): Promise<void>;
  /** Makes them follow what the rows say now. */
  follow(projectId: string): Promise<void>;
}

export type AccessListener = (change: AccessChange) => void;

/** After an outage of the bus members are told again what projects changed to in this time. */
const TOLD_AGAIN_MS = 15 * 60_000;

export class AccessChanges {
  readonly #deps: AccessChangesDeps;
  readonly #listeners = new Set<{ call: AccessListener }>();
  readonly #unsubscribe: () => void;
  readonly #rereading: Rereading;
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: AccessChangesDeps) {
    this.#deps = deps;
    const { bus, access, now, clock } = deps;
    this.#unsubscribe = bus.subscribe(ALL_NODES, (data) => {
      const change = asAccessChange(data);
      if (change) this.#inBackground(this.#apply(change));
    });
    this.#rereading = new Rereading({
      bus,
      read: (since) => this.#applyMissed(since),
      onReady: () => {
        access.forgetAll();
        this.#inBackground(this.#tellAgain());
      },
      onFailed: (error) => this.#warn(error),
      now,
      clock,
    });
  }

  /** Called on every node, possibly more than once for one change. Returns how to stop. */
  onChange(call: AccessListener): () => void {
    const entry = { call };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** To be called before members, owner or deletion of a project are written: from then on its chats will follow. */
  expect(projectId: string): Promise<void> {
    return this.#deps.chats.expect(projectId);
  }

  /** The project is gone for good, and its chats go. Never rejects: what could not be done now is done later. */
  async gone(projectId: string): Promise<void> {
    await this.#deps.chats.follow(projectId).catch((error: unknown) => this.#warn(error));
  }

  /** Resolves when the sockets of this node and the chats have followed. Never rejects: the change itself is stored. */
  async tell(projectId: string, userIds?: readonly string[]): Promise<void> {
    const change = { projectId, userIds };
    const followed = this.#apply(change);
    this.#deps.bus.relay(ALL_NODES, toNotice(change));
    await followed.catch((error: unknown) => this.#warn(error));
    await this.#deps.chats.follow(projectId).catch((error: unknown) => this.#warn(error));
  }

  /** Reads again what has changed: something may not have been heard of. */
  compare(): Promise<void> {
    return this.#rereading.now();
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#listeners.clear();
    await this.#rereading.close();
    await Promise.all(this.#underWay);
  }

  #apply(change: AccessChange): Promise<void> {
    const { access, live, log } = this.#deps;
    access.forget(change.projectId, change.userIds);
    for (const { call } of this.#listeners) {
      try {
        call(change);
      } catch (error) {
        log.error('A listener of access to projects broke', { error });
      }
    }
    return live.follow(change);
  }

  async #applyMissed(since: Date): Promise<void> {
    const { models, members } = this.#deps;
    const users = new Map<string, string[]>();
    for (const { projectId, userId } of await members.changedSince(since)) {
      const key = projectId.toHexString();
      users.set(key, [...(users.get(key) ?? []), userId.toHexString()]);
    }
    for (const [projectId, userIds] of users) await this.#apply({ projectId, userIds });
    const projects = await models.projects.collection
      .find<Pick<ProjectRecord, '_id'>>({ accessChangedAt: { $gte: since } }, { projection: { _id: 1 } })
      .toArray();
    for (const { _id } of projects) {
      // Restored, it has members whose sockets are not in its room.
      const userIds = await members.userIds(_id);
      await this.#apply({ projectId: _id.toHexString(), userIds });
      await this.#apply({ projectId: _id.toHexString(), userIds: undefined });
    }
  }

  /** What projects are now, to the sockets here: events of theirs may have been lost. */
  async #tellAgain(): Promise<void> {
    const { models, views, rooms, now } = this.#deps;
    const changed = await models.projects.collection
      .find<ProjectRecord>({ updatedAt: { $gte: new Date(now() - TOLD_AGAIN_MS) }, ...LIVE })
      .toArray();
    for (const project of changed) {
      const room = projectRoom(project._id.toHexString());
      if (rooms.has(room)) rooms.emitHere(room, 'project:updated', { project: await views.shared(project) });
    }
  }

  #inBackground(work: Promise<void>): void {
    const task: Promise<void> = work
      .catch((error: unknown) => this.#warn(error))
      .finally(() => this.#underWay.delete(task));
    this.#underWay.add(task);
  }

  #warn(error: unknown): void {
    this.#deps.log.warn('Access to projects could not be followed; it is read again', { error });
  }
}
