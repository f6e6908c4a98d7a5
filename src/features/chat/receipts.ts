/** Who has got and read how much of a chat: positions in `seq`, with the times of their latest steps. */
import { Types } from 'mongoose';
import { chatLiveRoom, LIMITS, userRoom, type Rooms } from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import type { chatEvents } from './contract.ts';
import type { Memberships } from './memberships.ts';
import { ACTIVE, type ChatModels, type Mark, type MembershipRecord } from './model.ts';
import type { Receipt } from './shapes.ts';

export interface ReceiptsDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  rooms: Rooms<typeof chatEvents>;
  now: () => number;
}

export class Receipts {
  readonly #deps: ReceiptsDeps;

  constructor(deps: ReceiptsDeps) {
    this.#deps = deps;
  }

  /** Moves a member's read position, never back and never beyond the log, and tells of it. Gives what is unread. */
  async read(chatId: string, userId: string, wantedSeq: number): Promise<number> {
    const id = new Types.ObjectId(chatId);
    const head = await this.#deps.log.head(id);
    const seq = Math.min(wantedSeq, head.seq);
    const at = new Date(this.#deps.now());
    const moved = await this.#move(chatId, userId, seq, 'lastReadSeq', {
      $set: { lastReadSeq: seq, lastReadAt: at },
      $push: { readMarks: pushed(seq, at) },
    });
    // What is read has been delivered.
    await this.#deliver(chatId, userId, seq, at);
    if (moved) await this.#tell(chatId, userId);
    const position = moved ? seq : (await this.#deps.memberships.get(chatId, userId)).lastReadSeq;
    return head.seq - position;
  }

  /** Moves a member's delivered position, never back and never beyond the log, and tells of it. */
  async delivered(chatId: string, userId: string, wantedSeq: number): Promise<void> {
    const { seq: lastSeq } = await this.#deps.log.head(new Types.ObjectId(chatId));
    const seq = Math.min(wantedSeq, lastSeq);
    if (await this.#deliver(chatId, userId, seq, new Date(this.#deps.now()))) await this.#tell(chatId, userId);
  }

  #deliver(chatId: string, userId: string, seq: number, at: Date): Promise<boolean> {
    return this.#move(chatId, userId, seq, 'lastDeliveredSeq', {
      $set: { lastDeliveredSeq: seq, lastDeliveredAt: at },
      $push: { deliveredMarks: pushed(seq, at) },
    });
  }

  async #move(
    chatId: string,
    userId: string,
    seq: number,
    field: 'lastReadSeq' | 'lastDeliveredSeq',
    update: object,
  ): Promise<boolean> {
    const { modifiedCount } = await this.#deps.models.memberships.collection.updateOne(
      {
        chatId: new Types.ObjectId(chatId),
        userId: new Types.ObjectId(userId),
        ...ACTIVE,
        $or: [{ [field]: { $lt: seq } }, { [field]: { $exists: false } }],
      },
      update,
    );
    return modifiedCount > 0;
  }

  async #tell(chatId: string, userId: string): Promise<void> {
    const { rooms, memberships } = this.#deps;
    const receipt = toReceipt(await memberships.get(chatId, userId));
    const options = { latest: `receipt:${chatId}:${userId}` };
    rooms.emit(chatLiveRoom(chatId), 'receipt:changed', receipt, options);
    // The member's other devices count their unread messages by it.
    rooms.emit(userRoom(userId), 'receipt:changed', receipt, { ...options, except: [chatLiveRoom(chatId)] });
  }
}

const pushed = (seq: number, at: Date): object => ({ $each: [{ seq, at }], $slice: -LIMITS.receiptMarks });

function toReceipt(row: MembershipRecord): Receipt {
  return {
    chatId: row.chatId.toHexString(),
    userId: row.userId.toHexString(),
    lastReadSeq: row.lastReadSeq,
    ...(row.lastReadAt ? { readAt: row.lastReadAt.toISOString() } : {}),
    lastDeliveredSeq: Math.max(row.lastDeliveredSeq ?? 0, row.lastReadSeq),
    ...(row.lastDeliveredAt ? { deliveredAt: row.lastDeliveredAt.toISOString() } : {}),
  };
}

/** When a member's positions passed a message; null where they have not, or where they began above it. */
export function receiptOf(row: MembershipRecord, seq: number): { deliveredAt: string | null; readAt: string | null } {
  const readAt = passedAt(seq, row.lastReadSeq, row.readMarks, row.lastReadAt);
  const deliveredAt = passedAt(seq, row.lastDeliveredSeq ?? 0, row.deliveredMarks, row.lastDeliveredAt) ?? readAt;
  return { deliveredAt: deliveredAt?.toISOString() ?? null, readAt: readAt?.toISOString() ?? null };
}

function passedAt(seq: number, position: number, marks: readonly Mark[] = [], last?: Date): Date | undefined {
  if (position < seq) return undefined;
  return marks.find((mark) => mark.seq >= seq)?.at ?? last;
}
