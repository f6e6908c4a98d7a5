/** From log rows to what goes over the wire. */
import { LIMITS } from '../../protocol/index.ts';
import type { AttachmentInfo, EntryRecord, MembersEntry, MessageEntry } from './model.ts';
import type { Attachment, Message } from './shapes.ts';

/** Gives an upload fresh signed addresses. */
export type ViewAttachment = (info: AttachmentInfo) => Attachment;

export function toMessage(entry: MessageEntry, viewAttachment: ViewAttachment): Message {
  return {
    id: entry._id.toHexString(),
    chatId: entry.chatId.toHexString(),
    seq: entry.seq,
    rev: entry.appliedRev,
    sender: { type: entry.sender, ...(entry.userId ? { userId: entry.userId.toHexString() } : {}) },
    type: entry.type,
    content: entry.content,
    attachments: (entry.attachments ?? []).map(viewAttachment),
    metadata: (entry.metadata ?? {}) as Message['metadata'],
    ...(entry.replyTo ? { replyTo: entry.replyTo.toHexString() } : {}),
    ...(entry.threadRoot ? { threadRoot: entry.threadRoot.toHexString() } : {}),
    mentions: (entry.mentions ?? []).map((id) => id.toHexString()),
    reactions: (entry.reactions ?? []).map(({ emoji, userIds }) => ({
      emoji,
      userIds: userIds.slice(0, LIMITS.reactionUsersShown).map((id) => id.toHexString()),
      count: userIds.length,
    })),
    createdAt: entry.createdAt.toISOString(),
    ...(entry.editedAt ? { editedAt: entry.editedAt.toISOString() } : {}),
    ...(entry.deletedAt ? { deletedAt: entry.deletedAt.toISOString() } : {}),
  };
}

/** The parts of a membership entry as ids on the wire. */
export function membersOf({ added, removed, roles }: Pick<MembersEntry, 'added' | 'removed' | 'roles'>) {
  const plain = ({ userId, role }: MembersEntry['added'][number]) => ({ userId: userId.toHexString(), role });
  return { added: added.map(plain), removed: removed.map((id) => id.toHexString()), roles: roles.map(plain) };
}

export const isMessage = (entry: EntryRecord): entry is MessageEntry => entry.kind === 'message';
