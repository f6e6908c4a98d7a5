/** Between which two people a block stands, whoever set it. Answers are remembered for a while and forgotten at a notice. */
import { LRUCache } from 'lru-cache';
import { Types, type Model } from 'mongoose';
import { LIMITS } from '../../protocol/index.ts';
import type { BlockRecord } from './model.ts';

/** About 15 MB when full. */
const REMEMBERED_PAIRS = 100_000;
/** Users whose blocks are remembered as a whole. */
const REMEMBERED_USERS = 10_000;

export class BlockPairs {
  readonly #model: Model<BlockRecord>;
  readonly #known = new LRUCache<string, boolean>({ max: REMEMBERED_PAIRS, ttl: LIMITS.headCompareMs });
  readonly #all = new LRUCache<string, ReadonlySet<string>>({ max: REMEMBERED_USERS, ttl: LIMITS.headCompareMs });
  /** Counts what was forgotten: an answer that was read before it is not remembered after it. */
  #generation = 0;

  constructor(model: Model<BlockRecord>) {
    this.#model = model;
  }

  /** Which of the others have blocked the user or are blocked by them. */
  async between(userId: string, otherIds: readonly string[]): Promise<Set<string>> {
    const blocked = new Set<string>();
    const unknown: string[] = [];
    for (const otherId of new Set(otherIds)) {
      if (otherId === userId) continue;
      const known = this.#known.get(keyOf(userId, otherId));
      if (known === undefined) unknown.push(otherId);
      else if (known) blocked.add(otherId);
    }
    if (unknown.length === 0) return blocked;

    const generation = this.#generation;
    const found = await this.#read(userId, unknown);
    for (const otherId of unknown) {
      const isBlocked = found.has(otherId);
      if (isBlocked) blocked.add(otherId);
      if (generation === this.#generation) this.#known.set(keyOf(userId, otherId), isBlocked);
    }
    return blocked;
  }

  /** Everybody who has blocked the user or is blocked by them. */
  async of(userId: string): Promise<ReadonlySet<string>> {
    const known = this.#all.get(userId);
    if (known) return known;
    const generation = this.#generation;
    const all = await this.#read(userId);
    if (generation === this.#generation) this.#all.set(userId, all);
    return all;
  }

  /** A block between the two has begun or ended. */
  forget(userId: string, otherId: string): void {
    this.#generation++;
    this.#all.delete(userId);
    this.#all.delete(otherId);
    this.#known.delete(keyOf(userId, otherId));
  }

  forgetAll(): void {
    this.#generation++;
    this.#all.clear();
    this.#known.clear();
  }

  async #read(userId: string, otherIds?: readonly string[]): Promise<Set<string>> {
    const me = new Types.ObjectId(userId);
    const among = otherIds && { $in: otherIds.map((id) => new Types.ObjectId(id)) };
    const [mine, theirs] = await Promise.all([
      this.#model.collection.find<BlockRecord>({ userId: me, ...(among && { blockedId: among }) }).toArray(),
      this.#model.collection.find<BlockRecord>({ blockedId: me, ...(among && { userId: among }) }).toArray(),
    ]);
    return new Set([
      ...mine.map(({ blockedId }) => blockedId.toHexString()),
      ...theirs.map((row) => row.userId.toHexString()),
    ]);
  }
}

const keyOf = (a: string, b: string): string => (a < b ? a + b : b + a);
