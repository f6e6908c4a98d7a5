/** What a notification says: enough to be understood, small enough for every push service, nothing that is encrypted. */
import { createHash } from 'node:crypto';
import { LIMITS, utf8Length } from '../../protocol/index.ts';
import type { ChatRecord } from '../chat/index.ts';
import type { Message } from '../chat/contract.ts';
import type { PushMessage } from './push-sender.ts';

export type NotificationType = 'message' | 'mention';

export interface NotificationParts {
  type: NotificationType;
  chat: Pick<ChatRecord, 'kind' | 'name'>;
  message: Message;
  recipientId: string;
  /** The sender's, if they have one. */
  senderName: string | undefined;
}

const BODY_CHARS = 300;
const TITLE_CHARS = 100;
const BY_TYPE = { image: 'Picture', file: 'File', voice: 'Voice message', encrypted: 'New message' } as const;

export function notificationOf({ type, chat, message, recipientId, senderName }: NotificationParts): PushMessage {
  const sender = senderName ?? (message.sender.type === 'assistant' ? 'Assistant' : 'Somebody');
  const isPrivate = chat.kind === 'private';
  const text = textOf(message);
  const title = cut(isPrivate ? sender : (chat.name ?? sender), TITLE_CHARS);
  const body = isPrivate || title === sender ? text : `${sender}: ${text}`;
  const fixed = { type, chatId: message.chatId, messageId: message.id, title };
  let payload = JSON.stringify({ ...fixed, body: cut(body, BODY_CHARS) });
  // Escapes may make a text six times longer.
  if (utf8Length(payload) > LIMITS.pushPayloadBytes) payload = JSON.stringify(fixed);
  return {
    payload,
    // The same for all of a chat, and another for each person: push services cannot tell who is in one with whom.
    topic: createHash('sha256')
      .update(`atelier/push-topic|${message.chatId}|${recipientId}`)
      .digest('base64url')
      .slice(0, 32),
    urgency: isPrivate || type === 'mention' ? 'high' : 'normal',
    ttlSeconds: LIMITS.pushTtlSeconds,
  };
}

function textOf({ type, content }: Message): string {
  if (type === 'encrypted') return BY_TYPE.encrypted;
  if (content !== '' || type === 'text' || type === 'system') return content;
  return BY_TYPE[type];
}

/** Never in the middle of a surrogate pair. */
function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = text.charCodeAt(most - 1) >= 0xd800 && text.charCodeAt(most - 1) < 0xdc00 ? most - 1 : most;
  return `${text.slice(0, end)}…`;
}
