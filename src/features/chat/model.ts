/** How chats, memberships and the log are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';
import type { MessageTypeName, RoleName } from './shapes.ts';

type ObjectId = Types.ObjectId;

export interface ChatRecord {
  _id: ObjectId;
  kind: 'private' | 'group' | 'project' | 'assistant';
  name?: string;
  /** Of kind `project`: its members are those of the project. */
  projectId?: ObjectId;
  /** As of the membership entry `membersRev`. */
  memberCount: number;
  membersRev?: number;
  createdBy: ObjectId;
  createdAt: Date;
  /** A cache for the order of lists, raised after an append and repaired by whoever reads a newer message. */
  lastActivityAt: Date;
  status: 'active' | 'deleted';
  deletedAt?: Date;
  /** It was deleted with its project, and comes back with it only. */
  withProject?: true;
  /** The memberships do not follow the status yet. */
  changing?: true;
  settings?: { retentionDays?: number };
  /** Entries at and below are gone by retention. */
  floorRev?: number;
}

/** The time at which a position was reached. */
export interface Mark {
  seq: number;
  at: Date;
}

/**
 * Rows are never removed while their chat exists: who left keeps one with `state: 'left'`, so that an older entry that
 * is applied late cannot bring a membership back.
 */
export interface MembershipRecord {
  _id: ObjectId;
  chatId: ObjectId;
  userId: ObjectId;
  /** `closed`: the chat is deleted, and could be restored. */
  state: 'active' | 'left' | 'closed';
  role: RoleName;
  joinedAt: Date;
  /** The last membership entry applied to this row; 0 for a founder. */
  rev: number;
  /** When role or state changed last, by the clock of the node that wrote it. */
  changedAt: Date;
  /** Positions in `seq`. */
  lastReadSeq: number;
  lastReadAt?: Date;
  lastDeliveredSeq?: number;
  lastDeliveredAt?: Date;
  /** The latest steps of each position, ascending. */
  readMarks?: Mark[];
  deliveredMarks?: Mark[];
  starred: boolean;
  archived?: boolean;
  mutedUntil?: Date;
}

/** What a log row keeps of an upload; addresses are signed anew whenever it is shown. */
export interface AttachmentInfo {
  id: string;
  kind: 'image' | 'file' | 'voice';
  name: string;
  mime: string;
  sizeBytes: number;
  width?: number;
  height?: number;
  durationMs?: number;
}

/** `rev` is an entry's place in its chat's log and never changes. */
interface EntryBase {
  _id: ObjectId;
  chatId: ObjectId;
  rev: number;
  /** Messages up to and including this entry. */
  seq: number;
  createdAt: Date;
  /** Who did it; undefined for an assistant. */
  userId?: ObjectId;
  clientId?: string;
}

/** The row of a message's creation, which also holds its present state. */
export interface MessageEntry extends EntryBase {
  kind: 'message';
  /** The last entry folded into it; at first its own. */
  appliedRev: number;
  sender: 'user' | 'assistant' | 'system';
  type: MessageTypeName;
  content: string;
  metadata?: Record<string, unknown>;
  attachments?: AttachmentInfo[];
  replyTo?: ObjectId;
  threadRoot?: ObjectId;
  mentions?: ObjectId[];
  reactions?: { emoji: string; userIds: ObjectId[] }[];
  /** Former contents, oldest first. */
  history?: { content: string; at: Date }[];
  /** What it can be searched by. */
  words?: string[];
  editedAt?: Date;
  deletedAt?: Date;
}

export interface EditEntry extends EntryBase {
  kind: 'edit';
  messageId: ObjectId;
  content: string;
}

export interface DeleteEntry extends EntryBase {
  kind: 'delete';
  messageId: ObjectId;
}

export interface ReactEntry extends EntryBase {
  kind: 'react';
  messageId: ObjectId;
  emoji: string;
  on: boolean;
}

export interface MembersEntry extends EntryBase {
  kind: 'members';
  added: { userId: ObjectId; role: RoleName }[];
  removed: ObjectId[];
  roles: { userId: ObjectId; role: RoleName }[];
  /** The memberships do not follow it yet. */
  pending?: true;
}

export type ChangeEntry = EditEntry | DeleteEntry | ReactEntry;
export type EntryRecord = MessageEntry | ChangeEntry | MembersEntry;

/** The names of the log's unique indexes, by which a collision says what it is. */
export const REV_INDEX = 'chat_rev';
export const CLIENT_INDEX = 'chat_user_client';

export interface ChatModels {
  chats: Model<ChatRecord>;
  memberships: Model<MembershipRecord>;
  entries: Model<EntryRecord>;
}

/** The filter of memberships that count. */
export const ACTIVE = { state: 'active' } as const;

export function createChatModels(connection: Connection): ChatModels {
  const { ObjectId, Mixed } = Schema.Types;
  const chat = new Schema<ChatRecord>(
    {
      kind: { type: String, required: true },
      name: String,
      projectId: ObjectId,
      memberCount: { type: Number, required: true },
      membersRev: Number,
      createdBy: { type: ObjectId, required: true },
      createdAt: { type: Date, required: true },
      lastActivityAt: { type: Date, required: true },
      status: { type: String, required: true },
      deletedAt: Date,
      withProject: Boolean,
      changing: Boolean,
      settings: Mixed,
      floorRev: Number,
    },
    { versionKey: false },
  );
  chat.index({ changing: 1 }, { name: 'changing', partialFilterExpression: { changing: true } });
  chat.index({ deletedAt: 1 }, { name: 'deleted', partialFilterExpression: { status: 'deleted' } });
  chat.index({ projectId: 1, _id: 1 }, { name: 'project', partialFilterExpression: { projectId: { $exists: true } } });
  chat.index(
    { _id: 1, 'settings.retentionDays': 1 },
    { name: 'retention', partialFilterExpression: { 'settings.retentionDays': { $exists: true } } },
  );

  const membership = new Schema<MembershipRecord>(
    {
      chatId: { type: ObjectId, required: true },
      userId: { type: ObjectId, required: true },
      state: { type: String, required: true },
      role: { type: String, required: true },
      joinedAt: { type: Date, required: true },
      rev: { type: Number, required: true },
      changedAt: { type: Date, required: true },
      lastReadSeq: { type: Number, required: true },
      lastReadAt: Date,
      lastDeliveredSeq: Number,
      lastDeliveredAt: Date,
      readMarks: Mixed,
      deliveredMarks: Mixed,
      starred: { type: Boolean, required: true },
      archived: Boolean,
      mutedUntil: Date,
    },
    { versionKey: false },
  );
  membership.index({ chatId: 1, userId: 1 }, { unique: true, name: 'chat_user' });
  membership.index({ chatId: 1, joinedAt: 1, _id: 1 }, { name: 'chat_joined' });
  membership.index({ userId: 1, chatId: 1 }, { name: 'user_chat' });
  membership.index({ changedAt: 1 }, { name: 'changed' });

  const entry = new Schema<EntryRecord>(
    {
      chatId: { type: ObjectId, required: true },
      rev: { type: Number, required: true },
      seq: { type: Number, required: true },
      kind: { type: String, required: true },
      userId: ObjectId,
      clientId: String,
      createdAt: { type: Date, required: true },
      appliedRev: Number,
      sender: String,
      type: String,
      content: String,
      metadata: Mixed,
      attachments: Mixed,
      replyTo: ObjectId,
      threadRoot: ObjectId,
      mentions: [ObjectId],
      reactions: Mixed,
      history: Mixed,
      words: [String],
      editedAt: Date,
      deletedAt: Date,
      messageId: ObjectId,
      emoji: String,
      on: Boolean,
      added: Mixed,
      removed: [ObjectId],
      roles: Mixed,
      pending: Boolean,
    },
    { versionKey: false, minimize: false },
  );
  entry.index({ chatId: 1, rev: 1 }, { unique: true, name: REV_INDEX });
  entry.index(
    { chatId: 1, userId: 1, clientId: 1 },
    { unique: true, name: CLIENT_INDEX, partialFilterExpression: { clientId: { $exists: true } } },
  );
  entry.index({ chatId: 1, seq: 1 }, { name: 'chat_seq', partialFilterExpression: { kind: 'message' } });
  // The entries that change a message, in order, for whoever folds them into it.
  entry.index(
    { messageId: 1, rev: 1 },
    { name: 'message_rev', partialFilterExpression: { messageId: { $exists: true } } },
  );
  entry.index(
    { threadRoot: 1, seq: 1 },
    { name: 'thread', partialFilterExpression: { threadRoot: { $exists: true } } },
  );
  entry.index(
    { chatId: 1, words: 1, createdAt: 1 },
    { name: 'words', partialFilterExpression: { words: { $exists: true } } },
  );
  entry.index({ chatId: 1, pending: 1 }, { name: 'pending', partialFilterExpression: { pending: true } });

  return {
    chats: connection.model<ChatRecord>('Chat', chat, 'chats'),
    memberships: connection.model<MembershipRecord>('Membership', membership, 'memberships'),
    entries: connection.model<EntryRecord>('Entry', entry, 'entries'),
  };
}
