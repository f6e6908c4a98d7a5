/** How chats get into a backup of a running server, and what has to be set right when they come out of one. */
import type { Connection } from 'mongoose';
import type { ChatRecord, EntryRecord, MembershipRecord } from './model.ts';

/**
 * A chat that is read has all its members, so they are read after it; membership entries that come later still are
 * followed again, so the log is read last, each chat's from its beginning: what is above a hole is not read.
 */
export const CHAT_BACKUP = {
  first: ['chats', 'memberships', 'entries'],
  orders: { entries: { chatId: 1, rev: 1 } },
} as const;

/** Nodes' clocks may differ by so much. */
const SKEW_MS = 60_000;

/**
 * Marks what may have changed while the backup was written, so that the next start makes memberships follow log and
 * chats once more.
 */
export async function unsettleChats(connection: Connection, backupStartedAt: Date): Promise<void> {
  const chats = connection.collection<ChatRecord>('chats');
  const closed = await connection.collection<MembershipRecord>('memberships').distinct('chatId', { state: 'closed' });
  await chats.updateMany({ $or: [{ status: 'deleted' }, { _id: { $in: closed } }] }, { $set: { changing: true } });
  await connection
    .collection<EntryRecord>('entries')
    .updateMany(
      { kind: 'members', createdAt: { $gte: new Date(backupStartedAt.getTime() - SKEW_MS) } },
      { $set: { pending: true } },
    );
}
