/** Finding messages by their words, through an index of (chat, word, time). */
import { Types } from 'mongoose';
import { belowPlace, parseCursor, toCursor } from './cursor.ts';
import type { ChatModels, MessageEntry } from './model.ts';
import { wordsOf } from './search-words.ts';
import type { MessageTypeName } from './shapes.ts';

export interface SearchQuery {
  query: string;
  /** The chats to look through. */
  chatIds: readonly Types.ObjectId[];
  senderId?: string | undefined;
  type?: MessageTypeName | undefined;
  from?: string | undefined;
  to?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/** More words narrow nothing down any further. */
const MOST_WORDS = 10;
/** Shorter beginnings of words would match too much. */
const SHORTEST_PREFIX = 2;
/** Above every word that begins with the same text. */
const LAST_CHARACTER = '\u{10ffff}';

/** Messages that have every word of the query, newest first. The last word may be the beginning of one. */
export async function searchMessages(
  models: Pick<ChatModels, 'entries'>,
  search: SearchQuery,
): Promise<{ items: MessageEntry[]; next: string | null }> {
  const { chatIds, senderId, type, from, to, cursor, limit } = search;
  const words = [...new Set(wordsOf(search.query))].slice(0, MOST_WORDS);
  if (words.length === 0 || chatIds.length === 0) return { items: [], next: null };
  const rows = await models.entries.collection
    .find<MessageEntry>({
      chatId: { $in: [...chatIds] },
      kind: 'message',
      $and: [
        ...words.map((word, i) => ({ words: i === words.length - 1 ? lastWord(word) : word })),
        ...(cursor === undefined ? [] : [belowPlace('createdAt', parseCursor(cursor))]),
      ],
      ...(senderId === undefined ? {} : { userId: new Types.ObjectId(senderId) }),
      ...(type === undefined ? {} : { type }),
      ...(from === undefined && to === undefined
        ? {}
        : {
            createdAt: {
              ...(from === undefined ? {} : { $gte: new Date(from) }),
              ...(to === undefined ? {} : { $lt: new Date(to) }),
            },
          }),
    })
    .sort({ createdAt: -1, _id: -1 })
    .limit(limit + 1)
    .toArray();
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last ? toCursor({ at: last.createdAt, id: last._id }) : null };
}

function lastWord(word: string): string | object {
  if (word.length < SHORTEST_PREFIX) return word;
  const bounds = { $gte: word, $lt: word + LAST_CHARACTER };
  // One word must meet both bounds; the outer ones follow from that and give a planner its range.
  return { ...bounds, $elemMatch: bounds };
}
