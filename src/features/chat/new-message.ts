/** What a message must be before it is appended: its parts exist, belong to the chat, and fit its type. */
import { Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import type { Memberships } from './memberships.ts';
import type { AttachmentInfo } from './model.ts';
import type { MessageTypeName } from './shapes.ts';

export interface Parts {
  chatId: string;
  type: MessageTypeName;
  content: string;
  attachmentIds: readonly string[];
  replyTo?: string | undefined;
  threadRoot?: string | undefined;
  mentions: readonly string[];
}

/** Rejects with `invalid` where a type and what it carries do not fit. */
export function checkType({ type, content, attachmentIds }: Parts): void {
  const carriesFiles = type === 'image' || type === 'file' || type === 'voice';
  if (carriesFiles && attachmentIds.length === 0)
    throw wrong('attachmentIds', `a message of type ${type} has attachments`);
  if (type === 'encrypted' && content === '') throw wrong('content', 'an encrypted message has a content');
  if (type === 'text' && content === '' && attachmentIds.length === 0) throw wrong('content', 'must not be empty');
}

/** Attachments of a message of type image or voice are of that kind; beside others any are fine. */
export const kindOf = (type: MessageTypeName): { kind?: AttachmentInfo['kind'] } =>
  type === 'image' || type === 'voice' ? { kind: type } : {};

/** Rejects with `invalid` what refers to messages or people that are not in the chat. */
export async function checkReferences(
  { chatId, replyTo, threadRoot, mentions }: Parts,
  { log, memberships }: { log: ChatLog; memberships: Memberships },
): Promise<void> {
  const id = new Types.ObjectId(chatId);
  const messageIds = [...new Set([replyTo, threadRoot].filter((one) => one !== undefined))];
  if (messageIds.length > 0) {
    const found = await log.messagesById(
      id,
      messageIds.map((one) => new Types.ObjectId(one)),
    );
    const byId = new Map(found.map((message) => [message._id.toHexString(), message]));
    if (replyTo !== undefined && !byId.has(replyTo)) throw wrong('replyTo', 'must be a message of this chat');
    if (threadRoot !== undefined) {
      const root = byId.get(threadRoot);
      if (!root) throw wrong('threadRoot', 'must be a message of this chat');
      if (root.threadRoot) throw wrong('threadRoot', 'must be the message that began the thread');
    }
  }
  if (mentions.length > 0) {
    const rows = await memberships.ofUsersIn(id, mentions);
    const members = new Set(rows.filter(({ state }) => state === 'active').map(({ userId }) => userId.toHexString()));
    if (mentions.some((userId) => !members.has(userId))) throw wrong('mentions', 'must be members of this chat');
  }
}

const wrong = (path: string, message: string): Fault =>
  new Fault('invalid', 'The message is not valid', { detail: [{ path, message }] });
