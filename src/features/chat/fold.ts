/** What the entries that change a message make of it. Pure: every node folds the same entries to the same message. */
import { LIMITS } from '../../protocol/index.ts';
import type { ChangeEntry, EditEntry, MessageEntry, ReactEntry } from './model.ts';
import { searchWordsOf } from './search-words.ts';

/** `changes` ascend by rev and lie above `message.appliedRev`. */
export function fold(message: MessageEntry, changes: readonly ChangeEntry[]): MessageEntry {
  let folded = message;
  for (const change of changes) folded = { ...apply(folded, change), appliedRev: change.rev };
  return folded;
}

function apply(message: MessageEntry, change: ChangeEntry): MessageEntry {
  // What comes after a deletion changes nothing.
  if (message.deletedAt) return message;
  if (change.kind === 'edit') return edited(message, change);
  if (change.kind === 'delete') return tombstone(message, change.createdAt);
  return { ...message, reactions: react(message.reactions ?? [], change) };
}

function edited(message: MessageEntry, { content, createdAt }: EditEntry): MessageEntry {
  if (content === message.content) return message;
  const former = { content: message.content, at: message.editedAt ?? message.createdAt };
  const { words: _former, ...rest } = message;
  const words = searchWordsOf(message.type, content);
  return {
    ...rest,
    content,
    editedAt: createdAt,
    history: [...(message.history ?? []), former].slice(-LIMITS.editsKept),
    ...(words.length > 0 ? { words } : {}),
  };
}

/** What is left of a deleted message: that it was, by whom, and where. */
function tombstone(message: MessageEntry, deletedAt: Date): MessageEntry {
  const { _id, chatId, rev, seq, createdAt, kind, appliedRev, sender, type } = message;
  const { userId, clientId, replyTo, threadRoot } = message;
  return {
    _id,
    chatId,
    rev,
    seq,
    createdAt,
    kind,
    appliedRev,
    sender,
    type,
    ...(userId ? { userId } : {}),
    ...(clientId === undefined ? {} : { clientId }),
    ...(replyTo ? { replyTo } : {}),
    ...(threadRoot ? { threadRoot } : {}),
    content: '',
    deletedAt,
  };
}

type Reactions = NonNullable<MessageEntry['reactions']>;

function react(reactions: Reactions, { emoji, on, userId }: ReactEntry): Reactions {
  if (!userId) return reactions;
  const known = reactions.find((reaction) => reaction.emoji === emoji);
  const has = known?.userIds.some((id) => id.equals(userId)) ?? false;
  if (has === on) return reactions;
  if (!on) {
    return reactions
      .map((one) => (one === known ? { emoji, userIds: one.userIds.filter((id) => !id.equals(userId)) } : one))
      .filter(({ userIds }) => userIds.length > 0);
  }
  if (!canReact(reactions, emoji)) return reactions;
  if (!known) return [...reactions, { emoji, userIds: [userId] }];
  return reactions.map((one) => (one === known ? { emoji, userIds: [...one.userIds, userId] } : one));
}

/** Whether one more reaction fits on a message. */
export function canReact(reactions: Reactions, emoji: string): boolean {
  const total = reactions.reduce((sum, { userIds }) => sum + userIds.length, 0);
  if (total >= LIMITS.reactionsPerMessage) return false;
  return reactions.length < LIMITS.reactionKinds || reactions.some((reaction) => reaction.emoji === emoji);
}
