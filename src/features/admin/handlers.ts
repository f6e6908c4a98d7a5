/** One function for each operation. Everything that an administrator does or looks at is audited. */
import { Types } from 'mongoose';
import type { AuditStore } from '../../observability/audit-store.ts';
import { EVERYONE, Fault, LIMITS, type Handlers, type Rooms, type UserContext } from '../../protocol/index.ts';
import { parseCursor, toCursor } from '../chat/index.ts';
import type { Users } from '../users/index.ts';
import type { adminContract, adminEvents } from './contract.ts';
import { dayOf, daysAfter } from './days.ts';
import type { Figures } from './figures.ts';
import type { OpenConnections } from './open-connections.ts';
import type { People } from './people.ts';
import type { Reports } from './reports.ts';
import type { AdminUser, Report } from './shapes.ts';
import type { Tally } from './tally.ts';

export interface AdminHandlerDeps {
  users: Users;
  people: People;
  reports: Reports;
  figures: Figures;
  tally: Tally;
  connections: OpenConnections;
  /** Makes a tombstone of any message; false when it is gone. */
  moderate: (target: { chatId: string; messageId: string; userId: string }) => Promise<boolean>;
  projectCount: () => Promise<number>;
  storage: () => Promise<{ databaseBytes: number | null; uploadBytes: number | null }>;
  rooms: Rooms<typeof adminEvents>;
  audit: AuditStore;
  now: () => number;
}

const DEFAULT_DAYS = 30;

export function createAdminHandlers(deps: AdminHandlerDeps): Handlers<typeof adminContract> {
  const { users, people, reports, figures, tally, connections, rooms, audit, now } = deps;

  const note = (
    { session, origin }: UserContext,
    action: string,
    target?: string,
    detail?: Record<string, string | number | boolean>,
  ): void =>
    audit.record({
      action,
      userId: session.userId,
      ok: true,
      origin,
      ...(target === undefined ? {} : { target }),
      ...(detail ? { detail } : {}),
    });

  const ban = async (context: UserContext, userId: string, terms: { reason: string; until?: string | undefined }) => {
    const sessions = await people.ban(context.session.userId, userId, terms);
    note(context, 'admin.ban', userId, { ...terms, until: terms.until ?? 'for ever', sessions });
  };

  /** What the resolution of a report says is to be done. Repeatable. */
  async function carryOut(
    context: UserContext,
    { message, reason }: Report,
    { action, until }: { action: string; until?: string | undefined },
  ): Promise<void> {
    if (action === 'message-deleted') {
      const target = { chatId: message.chatId, messageId: message.id, userId: context.session.userId };
      if (await deps.moderate(target)) note(context, 'admin.delete-message', message.id, { chatId: message.chatId });
    }
    if (action === 'banned') {
      const { userId } = message.sender;
      if (userId === undefined) throw new Fault('invalid', 'The message was not sent by a user');
      await ban(context, userId, { reason: `Reported: ${reason}`, until });
    }
  }

  return {
    async 'message:report'(input, { session, origin }) {
      const { reportId, isNew } = await reports.add(session.userId, input);
      if (isNew) {
        const detail = { reason: input.reason, reportId };
        audit.record({
          action: 'message.report',
          userId: session.userId,
          target: input.messageId,
          ok: true,
          origin,
          detail,
        });
      }
      return { reportId };
    },

    async 'admin:users'({ limit = LIMITS.listDefault, cursor, query, role, banned }, context) {
      const below = cursor === undefined ? undefined : idCursor(cursor);
      const rows = await users.directory.list({ query, role, banned, below, limit: limit + 1 });
      const page = rows.slice(0, limit);
      note(context, 'admin.users', undefined, { found: page.length });
      return {
        items: page.map(({ ban: banned, ...profile }): AdminUser => ({
          ...profile,
          ban: banned ? banOf(banned) : null,
        })),
        next: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
      };
    },

    async 'admin:ban'({ userId, ...terms }, context) {
      await ban(context, userId, terms);
      return {};
    },

    async 'admin:unban'({ userId }, context) {
      if (await people.unban(userId)) note(context, 'admin.unban', userId);
      return {};
    },

    async 'admin:set-role'({ userId, role }, context) {
      if (await people.setRole(context.session.userId, userId, role)) note(context, 'admin.set-role', userId, { role });
      return {};
    },

    async 'admin:reports'({ limit = LIMITS.listDefault, cursor, state }, context) {
      const page = await reports.list(state, limit, cursor);
      note(context, 'admin.reports', undefined, { state, found: page.items.length });
      const named = page.items.flatMap(({ reporterId, message }) => [reporterId, message.sender.userId ?? []].flat());
      return { ...page, users: await users.findByIds(named) };
    },

    async 'admin:resolve'({ reportId, action, note: text, until }, context) {
      const before = await reports.get(reportId);
      if (before.state === 'open') await carryOut(context, before, { action, until });
      const report = await reports.close(reportId, { action, note: text, by: context.session.userId });
      if (report.resolution?.action !== action) {
        throw new Fault('conflict', `The report is resolved already: ${report.resolution?.action ?? ''}`);
      }
      if (before.state === 'open') note(context, 'admin.resolve', reportId, { action });
      return { report };
    },

    async 'admin:announce'({ text, level }, context) {
      const announcementId = new Types.ObjectId().toHexString();
      const createdAt = new Date(now()).toISOString();
      rooms.emit(EVERYONE, 'announcement:created', { id: announcementId, text, level, createdAt });
      note(context, 'admin.announce', announcementId, { level });
      return { announcementId };
    },

    async 'admin:stats'({ from, to }, context) {
      const last = to ?? dayOf(now());
      const first = from ?? daysAfter(last, 1 - DEFAULT_DAYS);
      checkRange(first, last);
      await tally.flush();
      const [days, total, projects, open, storage] = await Promise.all([
        figures.of(first, last),
        users.directory.count(),
        deps.projectCount(),
        connections.count(),
        deps.storage(),
      ]);
      note(context, 'admin.stats');
      return { days, now: { users: total, projects, connections: open, ...storage } };
    },

    async 'admin:audit'({ limit = LIMITS.listDefault, cursor, actor, project, action, from, to }, context) {
      const rows = await audit.list({
        userId: actor,
        projectId: project,
        action,
        from: from === undefined ? undefined : new Date(from),
        to: to === undefined ? undefined : new Date(to),
        below: cursor === undefined ? undefined : parseCursor(cursor),
        limit: limit + 1,
      });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      // After the reading, so that a page does not begin with itself.
      note(context, 'admin.audit');
      return {
        items: page.map(({ _id, time, userId, projectId, ...row }) => ({
          ...row,
          id: _id.toHexString(),
          at: time.toISOString(),
          ...(userId ? { actor: userId.toHexString() } : {}),
          ...(projectId ? { projectId: projectId.toHexString() } : {}),
        })),
        next: rows.length > limit && last ? toCursor({ at: last.time, id: last._id }) : null,
      };
    },
  };
}

function checkRange(from: string, to: string): void {
  const fail = (message: string): never => {
    throw new Fault('invalid', 'The input is not valid', { detail: [{ path: 'from', message }] });
  };
  if (from > to) fail('must not be after `to`');
  // Counted without making a list of what a hostile range may be.
  if (daysAfter(from, LIMITS.statsDays) <= to) fail(`must be at most ${LIMITS.statsDays - 1} days before \`to\``);
}

function idCursor(cursor: string): Types.ObjectId {
  if (!/^[0-9a-f]{24}$/.test(cursor)) throw new Fault('invalid', 'The cursor is not one of ours');
  return new Types.ObjectId(cursor);
}

function banOf({ reason, by, at, until }: { reason: string; by: Types.ObjectId; at: Date; until?: Date }) {
  return {
    reason,
    by: by.toHexString(),
    at: at.toISOString(),
    ...(until ? { until: until.toISOString() } : {}),
  };
}
