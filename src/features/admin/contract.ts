/** Reporting a message, and what those do who administer the whole server. */
import { z } from 'zod';
import { Empty, event, Id, LIMITS, listInput, operation, pageOf, textOf, Time } from '../../protocol/index.ts';
import { User } from '../users/contract.ts';
import {
  AdminUser,
  AnnouncementLevel,
  AuditRow,
  BanReason,
  Day,
  DayFigures,
  Report,
  ReportAction,
  ReportReason,
} from './shapes.ts';

const Note = textOf(LIMITS.reportTextBytes).trim().min(1);
const userKey = ({ userId }: { userId: string }): string => userId;
const flag = z.stringbool().or(z.boolean()).optional();

export const adminContract = {
  'message:report': operation({
    input: z.strictObject({
      chatId: Id,
      messageId: Id,
      reason: ReportReason,
      comment: Note.optional(),
    }),
    output: z.object({ reportId: Id }),
    auth: 'user',
    rate: 'writes',
    orderKey: ({ chatId }) => chatId,
    http: { route: 'POST /api/chats/:chatId/messages/:messageId/report' },
    doc: "Tells the administrators of somebody else's message; they see it as it is now, also when it is edited or deleted later. Reporting a message again gives the first report. A deleted message is a conflict, one's own is invalid; more than 20 reports an hour are rate_limited.",
  }),
  'admin:users': operation({
    input: z.strictObject({
      ...listInput,
      query: z.string().trim().min(1).max(100).optional().meta({
        description: 'The beginning of a name, username, e-mail address or phone number',
      }),
      role: z.enum(['user', 'admin']).optional(),
      banned: flag,
    }),
    output: pageOf(AdminUser),
    auth: 'admin',
    rate: 'reads',
    http: { route: 'GET /api/admin/users' },
    doc: 'Everybody, the newest first.',
  }),
  'admin:ban': operation({
    input: z.strictObject({ userId: Id, reason: BanReason, until: Time.optional() }),
    output: Empty,
    auth: 'admin',
    rate: 'writes',
    orderKey: userKey,
    http: { route: 'PUT /api/admin/users/:userId/ban' },
    doc: 'Ends all sessions of a user on every server at once and refuses new ones with forbidden and the reason, until the time given or for ever. A ban that stands is replaced. An administrator is a conflict: take the role away first.',
  }),
  'admin:unban': operation({
    input: z.strictObject({ userId: Id }),
    output: Empty,
    auth: 'admin',
    rate: 'writes',
    orderKey: userKey,
    http: { route: 'DELETE /api/admin/users/:userId/ban' },
    doc: 'Ends a ban; the user signs in again. Without a ban nothing changes.',
  }),
  'admin:set-role': operation({
    input: z.strictObject({ userId: Id, role: z.enum(['user', 'admin']) }),
    output: Empty,
    auth: 'admin',
    rate: 'writes',
    orderKey: userKey,
    http: { route: 'PUT /api/admin/users/:userId/role' },
    doc: "Makes somebody an administrator of the server, or takes the role away: that holds from the user's next operation on. One's own role, the one that ADMIN_EMAIL names, and a banned user are a conflict.",
  }),
  'admin:reports': operation({
    input: z.strictObject({ ...listInput, state: z.enum(['open', 'resolved']).default('open') }),
    output: pageOf(Report).extend({ users: z.array(User).meta({ description: 'Everybody whom the page names' }) }),
    auth: 'admin',
    rate: 'reads',
    http: { route: 'GET /api/admin/reports' },
    doc: 'Reported messages, the newest report first.',
  }),
  'admin:resolve': operation({
    input: z.strictObject({
      reportId: Id,
      action: ReportAction,
      note: Note.optional(),
      until: Time.optional().meta({ description: 'Of a ban; for ever without it' }),
    }),
    output: z.object({ report: Report }),
    auth: 'admin',
    rate: 'writes',
    orderKey: ({ reportId }) => reportId,
    http: { route: 'POST /api/admin/reports/:reportId/resolve' },
    doc: 'Carries the action out and closes the report: `message-deleted` makes a tombstone of the message, `banned` bans its sender with the reason of the report. A report that is resolved otherwise is a conflict.',
  }),
  'admin:announce': operation({
    input: z.strictObject({
      text: textOf(LIMITS.announcementBytes).trim().min(1),
      level: AnnouncementLevel.default('info'),
    }),
    output: z.object({ announcementId: Id }),
    auth: 'admin',
    rate: 'writes',
    http: { route: 'POST /api/admin/announcements' },
    doc: 'Says something to everybody who is connected now, on every server. It is not kept for those who are not.',
  }),
  'admin:stats': operation({
    input: z.strictObject({
      from: Day.optional().meta({ description: '29 days before `to` if not given' }),
      to: Day.optional().meta({ description: 'Included; today if not given' }),
    }),
    output: z.object({
      days: z.array(DayFigures),
      now: z.object({
        users: z.int(),
        projects: z.int().meta({ description: 'Deleted ones that are still kept among them' }),
        connections: z.int().meta({ description: 'Open sockets of all servers' }),
        databaseBytes: z.int().nullable().meta({ description: 'null where the database does not say' }),
        uploadBytes: z.int().nullable().meta({ description: 'Measured once a day; null before the first time' }),
      }),
    }),
    auth: 'admin',
    rate: 'search',
    http: { route: 'GET /api/admin/stats' },
    doc: `Figures of each day in UTC, at most ${LIMITS.statsDays}, and of now. A crash may lose the last seconds of counting.`,
  }),
  'admin:audit': operation({
    input: z.strictObject({
      ...listInput,
      actor: Id.optional(),
      project: Id.optional(),
      action: z.string().trim().min(1).max(100).optional().meta({ description: 'As `auth.login`' }),
      from: Time.optional(),
      to: Time.optional().meta({ description: 'Exclusive' }),
    }),
    output: pageOf(AuditRow),
    auth: 'admin',
    rate: 'reads',
    http: { route: 'GET /api/admin/audit' },
    doc: 'What was done, the newest first.',
  }),
};

export const adminEvents = {
  'announcement:created': event({
    data: z.object({ id: Id, text: z.string(), level: AnnouncementLevel, createdAt: Time }),
    doc: 'An administrator says something to everybody who is connected.',
  }),
};
