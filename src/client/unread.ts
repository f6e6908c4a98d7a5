/**
 * How many messages of each chat the user has not read: from the chats as they are read, from messages as they are
 * told, and from the user's own positions, whichever device moved them. After each reconnect it is read again.
 */
import type { Link } from './link.ts';
import type { Chat, ClientEvents } from './operations.ts';

export interface Unread {
  /** Reads the counts of all chats, now and after each reconnect; before the first call nothing is counted. */
  load(): Promise<void>;
  /** Messages of a chat that are not read; 0 for one that is not known. */
  of(chatId: string): number;
  readonly total: number;
}

export interface UnreadDeps {
  emit: (name: 'unread', data: ClientEvents['unread']) => void;
  readChats: (input: { cursor?: string }) => Promise<{ items: Chat[]; next: string | null }>;
  userId: () => string | undefined;
}

export interface UnreadCounter extends Unread {
  up(link: Link): void;
  /** Hears every event before the application does. */
  onEvent<K extends keyof ClientEvents>(name: K, data: ClientEvents[K]): void;
}

interface Positions {
  lastSeq: number;
  lastReadSeq: number;
}

const unreadOf = ({ lastSeq, lastReadSeq }: Positions): number => Math.max(0, lastSeq - lastReadSeq);

export function createUnread({ emit, readChats, userId }: UnreadDeps): UnreadCounter {
  const chats = new Map<string, Positions>();
  let total = 0;
  let wanted = false;

  /** Both positions only move forward, so what comes late changes nothing. */
  const move = (chatId: string, lastSeq: number, lastReadSeq: number): void => {
    const known = chats.get(chatId) ?? { lastSeq: 0, lastReadSeq: 0 };
    const next = {
      lastSeq: Math.max(known.lastSeq, lastSeq),
      lastReadSeq: Math.max(known.lastReadSeq, lastReadSeq),
    };
    chats.set(chatId, next);
    tell(chatId, unreadOf(known), unreadOf(next));
  };

  const tell = (chatId: string, before: number, unread: number): void => {
    if (before === unread) return;
    total += unread - before;
    emit('unread', { chatId, unread, total });
  };

  const read = async (page: UnreadDeps['readChats']): Promise<void> => {
    let cursor: string | null = null;
    const found = new Set<string>();
    do {
      const { items, next }: { items: Chat[]; next: string | null } = await page(cursor === null ? {} : { cursor });
      for (const chat of items) {
        found.add(chat.id);
        move(chat.id, chat.lastSeq, chat.lastReadSeq);
      }
      cursor = next;
    } while (cursor !== null);
    for (const chatId of chats.keys()) if (!found.has(chatId)) forget(chatId);
  };

  const forget = (chatId: string): void => {
    const known = chats.get(chatId);
    if (known && chats.delete(chatId)) tell(chatId, unreadOf(known), 0);
  };

  /** What moves a position. */
  const hears: { readonly [K in keyof ClientEvents]?: (data: ClientEvents[K]) => void } = {
    'chat:created': ({ chat }) => move(chat.id, chat.lastSeq, chat.lastReadSeq),
    'chat:updated': ({ chat }) => move(chat.id, chat.lastSeq, chat.lastReadSeq),
    'chat:deleted': ({ chatId }) => forget(chatId),
    'message:created': ({ message: { chatId, seq, sender } }) => {
      // One's own message moves one's own position.
      move(chatId, seq, sender.userId !== undefined && sender.userId === userId() ? seq : 0);
    },
    'receipt:changed': (receipt) => {
      if (receipt.userId === userId()) move(receipt.chatId, 0, receipt.lastReadSeq);
    },
  };

  return {
    async load() {
      wanted = true;
      await read(readChats);
    },
    of: (chatId) => unreadOf(chats.get(chatId) ?? { lastSeq: 0, lastReadSeq: 0 }),
    get total() {
      return total;
    },
    up(link) {
      if (wanted) link.run(() => read((input) => link.ask('chat:list', { ...input, limit: 100 })));
    },
    onEvent(name, data) {
      if (!wanted) return;
      const hear = hears[name];
      if (hear) hear(data as never);
    },
  };
}
