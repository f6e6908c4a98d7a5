/** From a log row to what goes over the wire. */
import type { Message } from './contract.ts';
import type { EntryRecord } from './model.ts';

export function toMessage(entry: EntryRecord): Message {
  return {
    id: entry._id.toHexString(),
    chatId: entry.chatId.toHexString(),
    seq: entry.seq,
    rev: entry.appliedRev,
    sender: { type: entry.sender, ...(entry.userId ? { userId: entry.userId.toHexString() } : {}) },
    type: entry.type,
    content: entry.content,
    attachments: [],
    metadata: (entry.metadata ?? {}) as Message['metadata'],
    ...(entry.replyTo ? { replyTo: entry.replyTo.toHexString() } : {}),
    ...(entry.threadRoot ? { threadRoot: entry.threadRoot.toHexString() } : {}),
    mentions: (entry.mentions ?? []).map((id) => id.toHexString()),
    reactions: [],
    createdAt: entry.createdAt.toISOString(),
  };
}
