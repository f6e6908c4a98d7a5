/** What administrators see: people with their bans, reports, figures, audit rows. */
import { z } from 'zod';
import { Id, LIMITS, Time } from '../../protocol/index.ts';
import { MessageType, Sender } from '../chat/contract.ts';
import { Profile } from '../users/contract.ts';

export const Ban = z.object({
  reason: z.string(),
  by: Id.meta({ description: 'The administrator' }),
  at: Time,
  until: Time.optional().meta({ description: 'For ever without it' }),
});

export const AdminUser = Profile.extend({ ban: Ban.nullable() }).meta({ id: 'AdminUser' });
export type AdminUser = z.output<typeof AdminUser>;

export const BanReason = z.string().trim().min(1).max(LIMITS.banReasonLength);

export const ReportReason = z.enum([
  'spam',
  'harassment',
  'hate',
  'violence',
  'sexual',
  'self_harm',
  'impersonation',
  'illegal',
  'other',
]);
export type ReportReasonName = z.output<typeof ReportReason>;

export const ReportAction = z.enum(['dismissed', 'message-deleted', 'banned']);
export type ReportActionName = z.output<typeof ReportAction>;

/** A message as it was when it was reported. */
const ReportedMessage = z.object({
  id: Id,
  chatId: Id,
  seq: z.int(),
  sender: Sender,
  type: MessageType,
  content: z.string(),
  attachments: z.array(
    z.object({
      id: Id,
      kind: z.enum(['image', 'file', 'voice']),
      name: z.string(),
      mime: z.string(),
      sizeBytes: z.int(),
    }),
  ),
  createdAt: Time,
  editedAt: Time.optional(),
});
export type ReportedMessage = z.output<typeof ReportedMessage>;

export const Report = z
  .object({
    id: Id,
    state: z.enum(['open', 'resolved']),
    reporterId: Id,
    reason: ReportReason,
    comment: z.string().optional(),
    message: ReportedMessage.meta({ description: 'As it was when it was reported, whatever became of it' }),
    createdAt: Time,
    resolution: z.object({ action: ReportAction, note: z.string().optional(), by: Id, at: Time }).optional(),
  })
  .meta({ id: 'Report' });
export type Report = z.output<typeof Report>;

/** A day of the calendar in UTC. */
export const Day = z.iso.date().meta({ description: 'A day in UTC, as 2026-01-31' });

const ModelUsage = z.object({
  model: z.string(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  cacheReadTokens: z.int(),
  cacheWriteTokens: z.int(),
  costUsd: z.number().nullable().meta({ description: 'By AI_PRICES; null for a model that it does not name' }),
});

export const DayFigures = z
  .object({
    date: Day,
    activeUsers: z.int().meta({ description: 'People who connected or did anything' }),
    newUsers: z.int(),
    messages: z.int(),
    ai: z.array(ModelUsage).meta({ description: 'Of the answers that ended on the day' }),
  })
  .meta({ id: 'DayFigures' });
export type DayFigures = z.output<typeof DayFigures>;

export const AuditRow = z
  .object({
    id: Id,
    at: Time,
    action: z.string(),
    ok: z.boolean(),
    actor: Id.optional().meta({ description: 'Who did it; missing where nobody was signed in' }),
    projectId: Id.optional(),
    target: z.string().optional(),
    ip: z.string().optional().meta({ description: 'A network, not an address' }),
    userAgent: z.string().optional(),
    detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  })
  .meta({ id: 'AuditRow' });

export const AnnouncementLevel = z.enum(['info', 'warning', 'critical']);
