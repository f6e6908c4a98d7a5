/** Who types where, as far as the opened chats tell, and how the application says that its own user does. */
import { LIMITS } from '../protocol/limits.ts';
import type { ClientEvents, Message } from './operations.ts';

export type TypingChange = ClientEvents['typing:changed'];

/** Needs `autoResume`, and chats that are opened by `chat:join`. A beginning and an end are told as `typing:changed`, once each. */
export interface TypingState {
  /** The ids of others who type in the chat now. */
  of(chatId: string): string[];
  /** Call it with every key: the server is told from time to time. It ends by itself some seconds after the last call. */
  start(chatId: string): void;
  /** The text was given up. Sending it says as much. */
  stop(chatId: string): void;
}

export interface TypingDeps {
  emit: (name: 'typing:changed', data: TypingChange) => void;
  /** Sends without minding what becomes of it; false where there is no connection. */
  tell: (name: 'typing:start' | 'typing:stop', chatId: string) => boolean;
  /** The signed-in user, once known. */
  me: () => string | undefined;
}

export interface Typings extends TypingState {
  onChanged: (change: TypingChange) => void;
  onMessage(message: Message): void;
  /** The application has sent a message to the chat. */
  onSent(chatId: string): void;
  /** The connection is gone: what was told on it has ended. */
  down(): void;
  close(): void;
}

export function createTypings({ emit, tell, me }: TypingDeps): Typings {
  /** By chat and user: when each ends by itself. */
  const typists = new Map<string, Map<string, ReturnType<typeof setTimeout>>>();
  /** When the server was last told that the user types, by chat. */
  const told = new Map<string, number>();

  const end = (chatId: string, userId: string): void => {
    const chat = typists.get(chatId);
    const timer = chat?.get(userId);
    if (!chat || timer === undefined) return;
    clearTimeout(timer);
    chat.delete(userId);
    if (chat.size === 0) typists.delete(chatId);
    emit('typing:changed', { chatId, userId, typing: false });
  };

  const begin = (chatId: string, userId: string): void => {
    const chat = typists.get(chatId) ?? new Map<string, ReturnType<typeof setTimeout>>();
    typists.set(chatId, chat);
    const before = chat.get(userId);
    clearTimeout(before);
    chat.set(
      userId,
      setTimeout(() => end(chatId, userId), LIMITS.typingExpiryMs),
    );
    if (before === undefined) emit('typing:changed', { chatId, userId, typing: true });
  };

  return {
    of: (chatId) => Array.from(typists.get(chatId)?.keys() ?? []).filter((userId) => userId !== me()),
    start(chatId) {
      const now = Date.now();
      if (now - (told.get(chatId) ?? -Infinity) < LIMITS.typingThrottleMs) return;
      if (tell('typing:start', chatId)) told.set(chatId, now);
    },
    stop(chatId) {
      if (told.delete(chatId)) tell('typing:stop', chatId);
    },
    onChanged({ chatId, userId, typing }) {
      if (typing) begin(chatId, userId);
      else end(chatId, userId);
    },
    onMessage({ chatId, sender }) {
      if (sender.userId !== undefined) end(chatId, sender.userId);
    },
    onSent(chatId) {
      told.delete(chatId);
    },
    down() {
      told.clear();
    },
    close() {
      for (const chat of typists.values()) for (const timer of chat.values()) clearTimeout(timer);
      typists.clear();
    },
  };
}
