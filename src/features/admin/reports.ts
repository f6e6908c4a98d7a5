/** Reported messages: kept as they were, judged once. */
import { Types, type Model } from 'mongoose';
import type { Limits } from '../../cluster/limits.ts';
import { Fault } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { belowPlace, derivedId, parseCursor, toCursor, type ChatService } from '../chat/index.ts';
import type { Message } from '../chat/contract.ts';
import type { ReportRecord } from './model.ts';
import type { Report, ReportActionName, ReportedMessage, ReportReasonName } from './shapes.ts';

/** Nobody reports more in earnest, and each is read by a person. */
const REPORTS_PER_HOUR = { points: 20, windowSeconds: 3_600 };
/** How long a resolved one can be looked up. */
const KEEP_RESOLVED_MS = 365 * 86_400_000;

export interface ReportsDeps {
  model: Model<ReportRecord>;
  chat: Pick<ChatService, 'requireMember' | 'messageById'>;
  limits: Limits;
  now: () => number;
}

export interface NewReport {
  chatId: string;
  messageId: string;
  reason: ReportReasonName;
  comment?: string | undefined;
}

export interface Resolution {
  action: ReportActionName;
  note?: string | undefined;
  by: string;
}

export class Reports {
  readonly #deps: ReportsDeps;

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
  }

  /** The id of the report, and whether this call made it. */
  async add(userId: string, { chatId, messageId, reason, comment }: NewReport) {
    const { model, chat, limits, now } = this.#deps;
    await chat.requireMember(chatId, userId);
    const _id = derivedId(userId, 'message:report', messageId);
    const reportId = _id.toHexString();
    if (await model.collection.findOne({ _id, 'message.chatId': chatId })) return { reportId, isNew: false };
    const message = await chat.messageById(chatId, messageId);
    if (!message) throw new Fault('not_found', 'There is no such message');
    if (message.deletedAt) throw new Fault('conflict', 'The message has been deleted');
    if (message.sender.userId === userId) throw new Fault('invalid', 'This message is your own');
    await limits.consume('report', userId, REPORTS_PER_HOUR);
    const record: ReportRecord = {
      _id,
      state: 'open',
      reporterId: new Types.ObjectId(userId),
      reason,
      ...(comment === undefined ? {} : { comment }),
      message: snapshotOf(message),
      createdAt: new Date(now()),
    };
    try {
      await model.collection.insertOne(record);
      return { reportId, isNew: true };
    } catch (error) {
      // A twin of this request was faster.
      if (duplicateIndexOf(error) === undefined) throw error;
      return { reportId, isNew: false };
    }
  }

  async list(state: Report['state'], limit: number, cursor: string | undefined) {
    const rows = await this.#deps.model.collection
      .find<ReportRecord>({ state, ...(cursor === undefined ? {} : belowPlace('createdAt', parseCursor(cursor))) })
      .sort({ createdAt: -1, _id: -1 })
      .limit(limit + 1)
      .toArray();
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const next = rows.length > limit && last ? toCursor({ at: last.createdAt, id: last._id }) : null;
    return { items: page.map(toReport), next };
  }

  /** Rejects with `not_found`. */
  async get(reportId: string): Promise<Report> {
    const row = await this.#deps.model.collection.findOne<ReportRecord>({ _id: new Types.ObjectId(reportId) });
    if (!row) throw new Fault('not_found', 'There is no such report');
    return toReport(row);
  }

  /** The account is gone, and what it reported with it; reports of its messages stay until they are judged. */
  async forgetUser(userId: string): Promise<void> {
    await this.#deps.model.collection.deleteMany({ reporterId: new Types.ObjectId(userId) });
  }

  /** Closes an open report; of several at once the first one decides. */
  async close(reportId: string, { action, note, by }: Resolution): Promise<Report> {
    const at = new Date(this.#deps.now());
    const resolution = { action, ...(note === undefined ? {} : { note }), by: new Types.ObjectId(by), at };
    await this.#deps.model.collection.updateOne(
      { _id: new Types.ObjectId(reportId), state: 'open' },
      { $set: { state: 'resolved', resolution, purgeAt: new Date(at.getTime() + KEEP_RESOLVED_MS) } },
    );
    return this.get(reportId);
  }
}

function snapshotOf(message: Message): ReportedMessage {
  const { id, chatId, seq, sender, type, content, attachments, createdAt, editedAt } = message;
  return {
    id,
    chatId,
    seq,
    sender,
    type,
    content,
    attachments: attachments.map((file) => ({
      id: file.id,
      kind: file.kind,
      name: file.name,
      mime: file.mime,
      sizeBytes: file.sizeBytes,
    })),
    createdAt,
    ...(editedAt === undefined ? {} : { editedAt }),
  };
}

function toReport({ _id, state, reporterId, reason, comment, message, createdAt, resolution }: ReportRecord): Report {
  return {
    id: _id.toHexString(),
    state,
    reporterId: reporterId.toHexString(),
    reason,
    ...(comment === undefined ? {} : { comment }),
    message,
    createdAt: createdAt.toISOString(),
    ...(resolution
      ? { resolution: { ...resolution, by: resolution.by.toHexString(), at: resolution.at.toISOString() } }
      : {}),
  };
}
