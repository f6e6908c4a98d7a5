/** Whom one does not want to deal with. A block holds both ways and takes effect on every node at once. */
import { Types, type Connection } from 'mongoose';
import { z } from 'zod';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Clock } from '../../cluster/clock.ts';
import { Rereading } from '../../cluster/rereading.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, Id, LIMITS, type Handlers } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { Users } from '../users/index.ts';
import { BlockPairs } from './block-pairs.ts';
import type { blocksContract } from './contract.ts';
import { createBlockModel, type BlockRecord } from './model.ts';

/** What other features ask. */
export interface Blocks {
  /** Which of the others have blocked `userId` or are blocked by them. */
  between(userId: string, otherIds: readonly string[]): Promise<Set<string>>;
  /** Everybody who has blocked `userId` or is blocked by them. */
  of(userId: string): Promise<ReadonlySet<string>>;
  /**
   * Called on every node when a block between two people begins or ends; a begin possibly more than once. Without the
   * bus a begin is told late, and an end shows in `between` only. Returns how to stop.
   */
  onChange(listener: BlockListener): () => void;
}

export type BlockListener = (userId: string, otherId: string, blocked: boolean) => void;

export interface BlocksFeature extends Blocks {
  handlers: Handlers<typeof blocksContract>;
  /** Removes the blocks of and against somebody whose account has ended. */
  forgetUser(userId: string): Promise<void>;
  close(): Promise<void>;
}

export interface BlocksDeps {
  connection: Connection;
  users: Pick<Users, 'exists' | 'findByIds'>;
  bus: Bus;
  log: Log;
  now: () => number;
  clock?: Clock;
}

/** The notice of a block that began or ended. */
const BlockChanged = z.object({ type: z.literal('block:changed'), userId: Id, otherId: Id, blocked: z.boolean() });
type BlockChanged = z.output<typeof BlockChanged>;

export function createBlocks(deps: BlocksDeps): BlocksFeature {
  const { connection, users, bus, log, now, clock } = deps;
  const model = createBlockModel(connection);
  const { collection } = model;
  const pairs = new BlockPairs(model);
  const listeners = new Set<{ call: BlockListener }>();

  const apply = ({ userId, otherId, blocked }: BlockChanged): void => {
    pairs.forget(userId, otherId);
    for (const { call } of listeners) {
      try {
        call(userId, otherId, blocked);
      } catch (error) {
        log.error('A listener of blocks broke', { error });
      }
    }
  };

  /** Effective here before the caller has its answer, elsewhere as soon as the notice arrives. */
  const tell = (userId: string, otherId: string, blocked: boolean): void => {
    const notice: BlockChanged = { type: 'block:changed', userId, otherId, blocked };
    apply(notice);
    bus.relay(ALL_NODES, notice);
  };

  const unsubscribe = bus.subscribe(ALL_NODES, (data) => {
    const { success, data: notice } = BlockChanged.safeParse(data);
    if (success) apply(notice);
  });
  const rereading = new Rereading({
    bus,
    read: applyMissed,
    onReady: () => pairs.forgetAll(),
    onFailed: (error) => log.warn('Blocks could not be read again yet', { error }),
    now,
    clock,
  });

  async function applyMissed(since: Date): Promise<void> {
    // One cursor: pages by number would leave out a row whenever an earlier one is removed in between.
    for await (const { userId, blockedId } of collection.find<BlockRecord>({ createdAt: { $gte: since } })) {
      apply({ type: 'block:changed', userId: userId.toHexString(), otherId: blockedId.toHexString(), blocked: true });
    }
  }

  return {
    between: (userId, otherIds) => pairs.between(userId, otherIds),
    of: (userId) => pairs.of(userId),
    onChange(call) {
      const entry = { call };
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },

    handlers: {
      async 'user:block'({ userId: otherId }, { session: { userId } }) {
        if (otherId === userId) throw new Fault('invalid', 'Nobody can block themselves');
        if ((await users.exists([otherId])).length === 0) throw new Fault('not_found', 'There is no such user');
        const row = { userId: new Types.ObjectId(userId), blockedId: new Types.ObjectId(otherId) };
        await collection
          .updateOne(row, { $setOnInsert: { createdAt: new Date(now()) } }, { upsert: true })
          .catch((error: unknown) => {
            // A twin of this request was faster.
            if (duplicateIndexOf(error) === undefined) throw error;
          });
        // Told again also when it stood before: the notice of its beginning may be the one that was lost.
        tell(userId, otherId, true);
        return {};
      },

      async 'user:unblock'({ userId: otherId }, { session: { userId } }) {
        const { deletedCount } = await collection.deleteOne({
          userId: new Types.ObjectId(userId),
          blockedId: new Types.ObjectId(otherId),
        });
        if (deletedCount === 0) return {};
        pairs.forget(userId, otherId);
        tell(userId, otherId, (await pairs.between(userId, [otherId])).has(otherId));
        return {};
      },

      async 'user:blocked'({ limit = LIMITS.listDefault, cursor }, { session: { userId } }) {
        const rows = await collection
          .find<BlockRecord>({
            userId: new Types.ObjectId(userId),
            ...(cursor === undefined ? {} : { _id: { $lt: parseCursor(cursor) } }),
          })
          .sort({ _id: -1 })
          .limit(limit + 1)
          .toArray();
        const page = rows.slice(0, limit);
        const blockedAt = new Map(page.map((row) => [row.blockedId.toHexString(), row.createdAt.toISOString()]));
        const items = (await users.findByIds([...blockedAt.keys()])).map((user) => ({
          ...user,
          blockedAt: blockedAt.get(user.id) ?? '',
        }));
        return { items, next: rows.length > limit ? (page.at(-1)?._id.toHexString() ?? null) : null };
      },
    },

    async forgetUser(userId) {
      const id = new Types.ObjectId(userId);
      await collection.deleteMany({ $or: [{ userId: id }, { blockedId: id }] });
      pairs.forgetAll();
    },

    async close() {
      unsubscribe();
      listeners.clear();
      await rereading.close();
    },
  };
}

function parseCursor(cursor: string): Types.ObjectId {
  if (!/^[0-9a-f]{24}$/.test(cursor)) throw new Fault('invalid', 'The cursor is not one of ours');
  return new Types.ObjectId(cursor);
}
