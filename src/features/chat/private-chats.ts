/** The two of a private chat, who may have blocked each other. What kind a chat is and who its two are never changes. */
import { LRUCache } from 'lru-cache';
import { Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { ChatModels, ChatRecord, MembershipRecord } from './model.ts';

/** Which of others have blocked somebody or are blocked by them. */
export type BlockedBetween = (userId: string, otherIds: readonly string[]) => Promise<Set<string>>;

/** Chats of which kind and pair are remembered. */
const REMEMBERED = 50_000;

export class PrivateChats {
  readonly #models: ChatModels;
  readonly #blockedBetween: BlockedBetween;
  /** The pair of a private chat; empty for any other. */
  readonly #pairs = new LRUCache<string, readonly string[]>({ max: REMEMBERED });

  constructor(models: ChatModels, blockedBetween: BlockedBetween) {
    this.#models = models;
    this.#blockedBetween = blockedBetween;
  }

  /** Rejects with `forbidden` when the chat is private and one of its two has blocked the other. */
  async assertOpen(chatId: string, userId: string): Promise<void> {
    const others = (await this.#pair(chatId)).filter((id) => id !== userId);
    if (others.length > 0 && (await this.#blockedBetween(userId, others)).size > 0) {
      throw new Fault('forbidden', 'You cannot write to this person');
    }
  }

  async #pair(chatId: string): Promise<readonly string[]> {
    const known = this.#pairs.get(chatId);
    if (known) return known;
    const _id = new Types.ObjectId(chatId);
    const chat = await this.#models.chats.collection.findOne<Pick<ChatRecord, 'kind'>>(
      { _id },
      { projection: { _id: 0, kind: 1 } },
    );
    // One that is being made is looked up again.
    if (!chat) return [];
    const rows =
      chat.kind === 'private'
        ? await this.#models.memberships.collection.find<MembershipRecord>({ chatId: _id }).toArray()
        : [];
    const pair = rows.map((row) => row.userId.toHexString());
    this.#pairs.set(chatId, pair);
    return pair;
  }
}
