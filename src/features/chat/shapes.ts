/** What chats and messages look like on the wire. */
import { z } from 'zod';
import { Id, LIMITS, Time, utf8Length } from '../../protocol/index.ts';

export const ChatKind = z.enum(['private', 'group', 'project', 'assistant']);
export const Role = z.enum(['owner', 'admin', 'member']);
export type RoleName = z.output<typeof Role>;

/** Opaque to the server: kept and given back as it is. */
export const Metadata = z
  .record(z.string().min(1).max(64), z.json())
  .refine((value) => utf8Length(JSON.stringify(value), LIMITS.metadataBytes) <= LIMITS.metadataBytes, {
    error: `must be at most ${LIMITS.metadataBytes} bytes of JSON`,
  })
  .meta({ description: `Any JSON object of at most ${LIMITS.metadataBytes} bytes` });

export const Sender = z.object({ type: z.enum(['user', 'assistant', 'system']), userId: Id.optional() });

export const MessageType = z.enum(['text', 'image', 'file', 'voice', 'encrypted', 'system']);
export type MessageTypeName = z.output<typeof MessageType>;

export const Attachment = z
  .object({
    id: Id,
    kind: z.enum(['image', 'file', 'voice']),
    name: z.string(),
    mime: z.string(),
    sizeBytes: z.int(),
    width: z.int().optional(),
    height: z.int().optional(),
    durationMs: z.int().optional(),
    url: z.string().meta({ description: 'Signed: serves without a token until urlExpiresAt' }),
    urlExpiresAt: Time,
  })
  .meta({ id: 'Attachment' });
export type Attachment = z.output<typeof Attachment>;

export const Message = z
  .object({
    id: Id,
    chatId: Id,
    seq: z.int(),
    rev: z.int().meta({ description: 'Of the last log entry applied to the message; keep the one with the highest' }),
    sender: Sender,
    type: MessageType,
    content: z.string().meta({ description: 'Empty in a deleted message' }),
    attachments: z.array(Attachment),
    metadata: z.record(z.string(), z.json()),
    replyTo: Id.optional(),
    threadRoot: Id.optional(),
    mentions: z.array(Id),
    reactions: z.array(
      z.object({
        emoji: z.string(),
        userIds: z.array(Id).meta({ description: `The first ${LIMITS.reactionUsersShown}` }),
        count: z.int(),
      }),
    ),
    createdAt: Time,
    editedAt: Time.optional(),
    deletedAt: Time.optional(),
  })
  .meta({ id: 'Message' });
export type Message = z.output<typeof Message>;

export const Member = z.object({ userId: Id, role: Role });
export type Member = z.output<typeof Member>;

export const Chat = z
  .object({
    id: Id,
    kind: ChatKind,
    name: z.string().optional(),
    avatarUrl: z.string().optional(),
    projectId: Id.optional(),
    memberCount: z.int(),
    members: z
      .array(Member)
      .optional()
      .meta({ description: 'The longest-standing members, at most 50; in lists of private and assistant chats only' }),
    lastSeq: z.int(),
    lastMessage: Message.nullable(),
    lastActivityAt: Time,
    status: z.enum(['active', 'deleted']),
    retentionDays: z.int().optional().meta({ description: 'Messages go when they are older' }),
    role: Role.meta({ description: "The caller's" }),
    lastReadSeq: z.int(),
    unread: z.int(),
    starred: z.boolean(),
    archived: z.boolean(),
    mutedUntil: Time.optional(),
    createdAt: Time,
    deletedAt: Time.optional(),
  })
  .meta({ id: 'Chat' });
export type Chat = z.output<typeof Chat>;

/** One member's positions in `seq`, and when they were reached. */
export const Receipt = z.object({
  chatId: Id,
  userId: Id,
  lastReadSeq: z.int(),
  readAt: Time.optional(),
  lastDeliveredSeq: z.int(),
  deliveredAt: Time.optional(),
});
export type Receipt = z.output<typeof Receipt>;
