/** How chats, memberships and the log are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';

type ObjectId = Types.ObjectId;

export interface ChatRecord {
  _id: ObjectId;
  kind: 'private' | 'group' | 'project' | 'assistant';
  name?: string;
  memberCount: number;
  createdBy: ObjectId;
  createdAt: Date;
  /** A cache for the order of lists, raised after an append and repaired by whoever reads a newer message. */
  lastActivityAt: Date;
  status: 'active' | 'deleted';
}

export type RoleName = 'owner' | 'admin' | 'member';

export interface MembershipRecord {
  _id: ObjectId;
  chatId: ObjectId;
  userId: ObjectId;
  role: RoleName;
  joinedAt: Date;
  /** Positions in `seq`. */
  lastReadSeq: number;
  lastReadAt?: Date;
  starred: boolean;
}

/**
 * One row of a chat's log. `rev` is its place and never changes. The row of a message's creation also holds the
 * message's present state; `appliedRev` says up to which entry.
 */
export interface EntryRecord {
  _id: ObjectId;
  chatId: ObjectId;
  rev: number;
  /** Messages up to and including this entry. */
  seq: number;
  kind: 'message';
  appliedRev: number;
  sender: 'user' | 'assistant' | 'system';
  /** Of a user's entry. */
  userId?: ObjectId;
  clientId?: string;
  type: 'text' | 'image' | 'file' | 'voice' | 'encrypted' | 'system';
  content: string;
  metadata?: Record<string, unknown>;
  replyTo?: ObjectId;
  threadRoot?: ObjectId;
  mentions?: ObjectId[];
  createdAt: Date;
}

/** The names of the log's unique indexes, by which a collision says what it is. */
export const REV_INDEX = 'chat_rev';
export const CLIENT_INDEX = 'chat_user_client';

export interface ChatModels {
  chats: Model<ChatRecord>;
  memberships: Model<MembershipRecord>;
  entries: Model<EntryRecord>;
}

export function createChatModels(connection: Connection): ChatModels {
  const chat = new Schema<ChatRecord>(
    {
      kind: { type: String, required: true },
      name: String,
      memberCount: { type: Number, required: true },
      createdBy: { type: Schema.Types.ObjectId, required: true },
      createdAt: { type: Date, required: true },
      lastActivityAt: { type: Date, required: true },
      status: { type: String, required: true },
    },
    { versionKey: false },
  );

  const membership = new Schema<MembershipRecord>(
    {
      chatId: { type: Schema.Types.ObjectId, required: true },
      userId: { type: Schema.Types.ObjectId, required: true },
      role: { type: String, required: true },
      joinedAt: { type: Date, required: true },
      lastReadSeq: { type: Number, required: true },
      lastReadAt: Date,
      starred: { type: Boolean, required: true },
    },
    { versionKey: false },
  );
  membership.index({ chatId: 1, userId: 1 }, { unique: true, name: 'chat_user' });
  membership.index({ userId: 1, chatId: 1 }, { name: 'user_chat' });

  const entry = new Schema<EntryRecord>(
    {
      chatId: { type: Schema.Types.ObjectId, required: true },
      rev: { type: Number, required: true },
      seq: { type: Number, required: true },
      kind: { type: String, required: true },
      appliedRev: Number,
      sender: String,
      userId: Schema.Types.ObjectId,
      clientId: String,
      type: String,
      content: String,
      metadata: Schema.Types.Mixed,
      replyTo: Schema.Types.ObjectId,
      threadRoot: Schema.Types.ObjectId,
      mentions: [Schema.Types.ObjectId],
      createdAt: { type: Date, required: true },
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

  return {
    chats: connection.model<ChatRecord>('Chat', chat, 'chats'),
    memberships: connection.model<MembershipRecord>('Membership', membership, 'memberships'),
    entries: connection.model<EntryRecord>('Entry', entry, 'entries'),
  };
}
