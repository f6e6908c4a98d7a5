/**
 * Chats of projects. Their members are the project's, always: rows and log of each chat follow the rows of the project.
 * A job that is stored before anything changes compares both a while later, so that it does not matter where a server
 * is cut off in between.
 */
import { Types } from 'mongoose';
import type { Jobs } from '../../cluster/job.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { ChatLifecycle } from './chat-lifecycle.ts';
import type { ChatLog } from './chat-log.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord } from './model.ts';
import type { Member } from './shapes.ts';

/** A project as its row says now. */
export interface ProjectStanding {
  /** Undefined while it is there. */
  deletedAt: Date | undefined;
  members: readonly { userId: string; role: 'owner' | 'editor' | 'viewer' }[];
}

/** What chats need of projects. */
export interface ProjectsOfChats {
  /** Rejects with `not_found` or `forbidden` who may not write in the project. */
  requireWriter(projectId: string, userId: string): Promise<unknown>;
  /** Read anew each time; undefined when the project is gone for ever. */
  standing(projectId: string): Promise<ProjectStanding | undefined>;
}

export interface ProjectChatsDeps {
  models: ChatModels;
  log: Pick<ChatLog, 'head'>;
  memberships: Memberships;
  members: MemberChanges;
  lifecycle: ChatLifecycle;
  projects: ProjectsOfChats;
  jobs: Pick<Jobs, 'enqueue' | 'handle'>;
  now: () => number;
}

const KIND = 'chats.project-members';
/** Changes of so long are compared by one job … */
const WINDOW_MS = 30_000;
/** … which runs so long after: by then what was begun is written, or was given up. */
const AFTER_MS = 60_000;
/** What must not be left undone is tried for days. */
const MAX_ATTEMPTS = 500;

export class ProjectChats {
  readonly #deps: ProjectChatsDeps;

  constructor(deps: ProjectChatsDeps) {
    this.#deps = deps;
    deps.jobs.handle<{ projectId: string }>(KIND, ({ data, signal }) => this.follow(data.projectId, signal), {
      maxAttempts: MAX_ATTEMPTS,
    });
  }

  /** To be called before members, roles or the project itself change: from then on its chats will follow. */
  async expect(projectId: string): Promise<void> {
    const window = Math.floor(this.#deps.now() / WINDOW_MS);
    const runAt = new Date((window + 1) * WINDOW_MS + AFTER_MS);
    await this.#deps.jobs.enqueue(KIND, { projectId }, { key: `${projectId}:${window}`, runAt });
  }

  /** Makes all chats of the project follow it now. May be done again. */
  async follow(projectId: string, signal?: AbortSignal): Promise<void> {
    const chats = await this.#deps.models.chats.collection
      .find<ChatRecord>({ projectId: new Types.ObjectId(projectId) })
      .sort({ _id: 1 })
      .toArray();
    for (const chat of chats) {
      signal?.throwIfAborted();
      await this.#followOne(chat);
    }
  }

  /** Who is in a new chat of the project. Rejects when the user may not make one. */
  async founders(projectId: string, userId: string): Promise<readonly Member[]> {
    const { projects, models } = this.#deps;
    await projects.requireWriter(projectId, userId);
    const count = await models.chats.collection.countDocuments({ projectId: new Types.ObjectId(projectId) });
    if (count >= LIMITS.chatsPerProject) {
      throw new Fault('quota_exceeded', `A project has at most ${LIMITS.chatsPerProject} chats`);
    }
    const standing = await projects.standing(projectId);
    if (!standing || standing.deletedAt) throw new Fault('not_found', 'There is no such project');
    return membersOf(standing);
  }

  /** Brings back a chat that was deleted by itself. */
  async restore(chat: ChatRecord, userId: string): Promise<void> {
    const projectId = chat.projectId?.toHexString() ?? '';
    const standing = await this.#deps.projects.standing(projectId);
    if (!standing || standing.deletedAt) throw new Fault('not_found', 'There is no such chat');
    await this.expect(projectId);
    if (chat.status === 'deleted') await this.alignClosed(chat);
    await this.#deps.lifecycle.restore(chat._id.toHexString(), userId);
    await this.follow(projectId);
  }

  /** Makes the memberships of a deleted chat those of the project. */
  async alignClosed({ _id, projectId }: ChatRecord): Promise<void> {
    const { projects, memberships, log } = this.#deps;
    const standing = projectId && (await projects.standing(projectId.toHexString()));
    const members = standing && !standing.deletedAt ? membersOf(standing) : [];
    await memberships.setClosed(_id, members, (await log.head(_id)).seq);
  }

  async #followOne(chat: ChatRecord): Promise<void> {
    const { _id, projectId } = chat;
    const { lifecycle, members, projects, models } = this.#deps;
    if (!projectId) return;
    const standing = await projects.standing(projectId.toHexString());
    if (!standing) return lifecycle.endWithProject(_id);
    if (standing.deletedAt) return lifecycle.deleteWithProject(_id, standing.deletedAt);
    if (chat.withProject) await lifecycle.restoreWithProject(_id);
    const wanted = async (): Promise<readonly Member[] | undefined> => {
      const now = await projects.standing(projectId.toHexString());
      return now && !now.deletedAt ? membersOf(now) : undefined;
    };
    try {
      await members.follow(_id.toHexString(), wanted);
    } catch (error) {
      if (!(error instanceof Fault && error.code === 'not_found')) throw error;
      // Deleted by itself: its memberships follow where they are, in case it comes back.
      const now = await models.chats.collection.findOne<ChatRecord>({ _id, status: 'deleted' });
      if (now && !now.changing) await this.alignClosed(now);
    }
  }
}

/** In an order that does not change. */
const membersOf = ({ members }: ProjectStanding): Member[] =>
  members
    .map(({ userId, role }): Member => ({ userId, role: role === 'owner' ? 'owner' : 'member' }))
    .sort((a, b) => (a.userId < b.userId ? -1 : 1));
