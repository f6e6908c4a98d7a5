/**
 * What ends, and when: old entries of chats with a retention, chats and projects that were deleted, accounts. The features remove
 * what is theirs; this one sees to it that all of them do, however often the server is cut off.
 */
import type { Jobs } from '../../cluster/job.ts';
import type { Audit } from '../../observability/audit.ts';
import { type Handlers, HOUR_MS } from '../../protocol/index.ts';
import type { Auth } from '../auth/index.ts';
import type { ChatUpkeep } from '../chat/index.ts';
import type { ProjectUpkeep } from '../projects/index.ts';
import type { Users } from '../users/index.ts';
import type { lifecycleContract } from './contract.ts';

export interface LifecycleDeps {
  jobs: Jobs;
  auth: Pick<Auth, 'confirm' | 'forgetUser'>;
  users: Pick<Users, 'erase'>;
  chats: Pick<ChatUpkeep, 'retain' | 'due' | 'purge' | 'depart'>;
  projects: Pick<ProjectUpkeep, 'due' | 'purge' | 'depart'>;
  /** What else refers to a chat, and goes before it. Each may be done again. */
  chatParts: readonly ((chatId: string) => Promise<unknown>)[];
  /** What is in a project or refers to one, and goes before it. Each may be done again. */
  projectParts: readonly ((projectId: string, signal: AbortSignal) => Promise<unknown>)[];
  /** What else refers to a user. Each may be done again. */
  userParts: readonly ((userId: string) => Promise<unknown>)[];
  audit: Audit;
  now: () => number;
}

export interface Lifecycle {
  handlers: Handlers<typeof lifecycleContract>;
}

/** Of a run that is long: it is cut at the end, and the next one goes on. */
const LONG_MS = 30 * 60_000;
/** Sessions end at once, and their sockets with them; a server that missed the notice sees it within 5 s. */
const SOCKETS_CLOSE_MS = 5_000;
/** What must not be left undone is tried for days. */
const PATIENT = { maxAttempts: 500, timeoutMs: LONG_MS };

export function createLifecycle(deps: LifecycleDeps): Lifecycle {
  const { jobs, auth, users, chats, projects, chatParts, projectParts, userParts, audit, now } = deps;

  async function purge(chatId: string, signal: AbortSignal): Promise<void> {
    for (const part of chatParts) await part(chatId);
    await chats.purge(chatId, signal);
    audit.record({ action: 'chat.purge', target: chatId, ok: true });
  }

  async function purgeProject(projectId: string, signal: AbortSignal): Promise<void> {
    for (const part of projectParts) {
      signal.throwIfAborted();
      await part(projectId, signal);
    }
    await projects.purge(projectId);
    audit.record({ action: 'project.purge', projectId, target: projectId, ok: true });
  }

  jobs.every<string>(
    'chat:retention',
    HOUR_MS,
    ({ resume, progress, signal }) => chats.retain(signal, resume, progress),
    { timeoutMs: LONG_MS },
  );

  jobs.every(
    'chat:purge',
    HOUR_MS,
    async ({ signal }) => {
      for (let due = await chats.due(); due.length > 0; due = await chats.due()) {
        for (const chatId of due) await purge(chatId, signal);
      }
    },
    { timeoutMs: LONG_MS },
  );

  jobs.every(
    'project:purge',
    HOUR_MS,
    async ({ signal }) => {
      for (let due = await projects.due(); due.length > 0; due = await projects.due()) {
        for (const projectId of due) await purgeProject(projectId, signal);
      }
    },
    { timeoutMs: LONG_MS },
  );

  jobs.handle<{ userId: string; abandoned?: string[] }, string[]>(
    'account:end',
    async ({ data: { userId }, resume = [], progress, signal }) => {
      // First what lets somebody in.
      await users.erase(userId);
      await auth.forgetUser(userId);
      const abandoned = [...new Set([...resume, ...(await chats.depart(userId, signal))])];
      // Nobody is left who could restore them; a run that is cut off before this leaves them to `chat:purge`.
      await progress(abandoned);
      // Found again as long as they are there.
      for (const projectId of await projects.depart(userId, signal)) await purgeProject(projectId, signal);
      for (const part of userParts) await part(userId);
      for (const chatId of abandoned) await purge(chatId, signal);
      audit.record({ action: 'account.end', target: userId, ok: true });
    },
    PATIENT,
  );

  return {
    handlers: {
      async 'user:delete-account'({ password }, { session, origin }) {
        const { userId } = session;
        await auth.confirm(session, password, origin);
        // Stored before anything is removed: what begins is ended. Later, when all sockets have closed: they leave traces.
        const runAt = new Date(now() + SOCKETS_CLOSE_MS);
        await jobs.enqueue('account:end', { userId }, { key: userId, runAt });
        audit.record({ action: 'account.delete', userId, target: userId, ok: true, origin });
        await users.erase(userId);
        await auth.forgetUser(userId);
        return {};
      },
    },
  };
}
