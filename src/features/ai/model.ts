/** The durable rows of streams: which ones there are, who runs them, how they ended. Their text is kept elsewhere. */
import { Schema, Types, type Connection, type Model } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { StopReason, Usage } from './contract.ts';

interface StreamDocument {
  _id: Types.ObjectId;
  chatId: Types.ObjectId;
  messageId: Types.ObjectId;
  userMessageId: Types.ObjectId;
  askedBy: Types.ObjectId;
  nodeId: string;
  /** Place among the running streams of the chat, so that an index can count them. */
  slot: number;
  status: 'running' | 'finished' | 'interrupted' | 'failed';
  model: string;
  /** Length of the stored text, in UTF-16 units. */
  offset: number;
  usage: Usage;
  stopReason?: StopReason;
  failure?: StreamFailure;
  stopAsked?: boolean;
  startedAt: Date;
  endedAt?: Date;
}

export type ModelUsage = Usage & { model: string };

export interface StreamFailure {
  code: 'upstream' | 'timeout' | 'unavailable';
  message: string;
}

/** How a stream ends. */
export type Outcome =
  | { status: 'finished'; stopReason: StopReason }
  | { status: 'interrupted' | 'failed'; failure: StreamFailure };

export interface StreamRow {
  streamId: string;
  chatId: string;
  messageId: string;
  userMessageId: string;
  askedBy: string;
  nodeId: string;
  status: StreamDocument['status'];
  model: string;
  offset: number;
  usage: Usage;
  stopReason?: StopReason;
  failure?: StreamFailure;
  stopAsked: boolean;
}

export type NewStream = Pick<
  StreamRow,
  'streamId' | 'chatId' | 'messageId' | 'userMessageId' | 'askedBy' | 'nodeId' | 'model'
>;

const usage = {
  _id: false,
  inputTokens: Number,
  outputTokens: Number,
  cacheReadTokens: Number,
  cacheWriteTokens: Number,
};
const id = { type: Schema.Types.ObjectId, required: true };

function createStreamModel(connection: Connection): Model<StreamDocument> {
  const schema = new Schema<StreamDocument>(
    {
      chatId: id,
      messageId: id,
      userMessageId: id,
      askedBy: id,
      nodeId: { type: String, required: true },
      slot: { type: Number, required: true },
      status: { type: String, required: true },
      model: { type: String, required: true },
      offset: { type: Number, required: true },
      usage: new Schema<Usage>(usage),
      stopReason: String,
      failure: new Schema<StreamFailure>({ code: String, message: String }, { _id: false }),
      stopAsked: Boolean,
      startedAt: { type: Date, required: true },
      endedAt: Date,
    },
    { collection: 'streams', versionKey: false },
  );
  const running = { partialFilterExpression: { status: 'running' } };
  schema.index({ chatId: 1, slot: 1 }, { ...running, unique: true, name: 'running_of_chat' });
  schema.index({ status: 1 }, { ...running, name: 'running' });
  schema.index({ endedAt: 1 }, { name: 'ended', partialFilterExpression: { endedAt: { $exists: true } } });
  return connection.model<StreamDocument>('Stream', schema);
}

export class StreamStore {
  readonly #model: Model<StreamDocument>;
  readonly #now: () => number;

  constructor(connection: Connection, now: () => number) {
    this.#model = createStreamModel(connection);
    this.#now = now;
  }

  async find(streamId: string): Promise<StreamRow | undefined> {
    const found = await this.#model.findById(streamId).lean();
    return found ? rowOf(found) : undefined;
  }

  /** Running streams of a chat, or of all chats; the longest-running first. */
  async running(chatId?: string): Promise<StreamRow[]> {
    const filter = { status: 'running' as const, ...(chatId === undefined ? {} : { chatId }) };
    return (await this.#model.find(filter).sort({ startedAt: 1 }).lean()).map(rowOf);
  }

  /**
   * Adds a running stream, or gives the one that has this id already: the insert is the guard.
   * Rejects with `Fault('rate_limited')` when the chat has as many running streams as it may.
   */
  async start(stream: NewStream): Promise<{ row: StreamRow; isNew: boolean }> {
    for (let slot = 0; slot < LIMITS.streamsPerChat; slot++) {
      const document = {
        _id: new Types.ObjectId(stream.streamId),
        chatId: new Types.ObjectId(stream.chatId),
        messageId: new Types.ObjectId(stream.messageId),
        userMessageId: new Types.ObjectId(stream.userMessageId),
        askedBy: new Types.ObjectId(stream.askedBy),
        nodeId: stream.nodeId,
        slot,
        status: 'running' as const,
        model: stream.model,
        offset: 0,
        usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
        startedAt: new Date(this.#now()),
      };
      try {
        await this.#model.collection.insertOne(document);
        return { row: rowOf(document), isNew: true };
      } catch (error) {
        if (!isDuplicate(error)) throw error;
        // Either the slot is taken or the stream exists; which index is named first is up to the database.
        const existing = await this.find(stream.streamId);
        if (existing) return { row: existing, isNew: false };
      }
    }
    throw tooMany();
  }

  /** Rejects with `Fault('rate_limited')` when no further stream may start in the chat. */
  async requireFreeSlot(chatId: string): Promise<void> {
    if ((await this.#model.countDocuments({ chatId, status: 'running' })) >= LIMITS.streamsPerChat) throw tooMany();
  }

  /** Asks whichever node runs the stream to stop it. */
  async askToStop(streamId: string): Promise<void> {
    await this.#model.updateOne({ _id: streamId, status: 'running' }, { $set: { stopAsked: true } });
  }

  /** Of a chat that is gone. */
  async removeOf(chatId: string): Promise<void> {
    await this.#model.collection.deleteMany({ chatId: new Types.ObjectId(chatId) });
  }

  /** What the streams that ended within the time have used, by model. */
  async usage(from: Date, to: Date): Promise<ModelUsage[]> {
    const rows = await this.#model.collection
      .aggregate<Usage & { _id: string }>([
        { $match: { endedAt: { $gte: from, $lt: to } } },
        {
          $group: {
            _id: '$model',
            inputTokens: { $sum: '$usage.inputTokens' },
            outputTokens: { $sum: '$usage.outputTokens' },
            cacheReadTokens: { $sum: '$usage.cacheReadTokens' },
            cacheWriteTokens: { $sum: '$usage.cacheWriteTokens' },
          },
        },
        { $sort: { _id: 1 } },
      ])
      .toArray();
    return rows.map(({ _id, ...used }) => ({ model: _id, ...used }));
  }

  /** Ends a running stream; false when it had ended before. */
  async end(streamId: string, outcome: Outcome, offset: number, usage: Usage): Promise<boolean> {
    const { matchedCount } = await this.#model.updateOne(
      { _id: streamId, status: 'running' },
      { $set: { ...outcome, offset, usage, endedAt: new Date(this.#now()) } },
    );
    return matchedCount === 1;
  }
}

const tooMany = (): Fault =>
  new Fault('rate_limited', `At most ${LIMITS.streamsPerChat} answers of a chat may be under way`, {
    retryAfterMs: 5_000,
  });

function rowOf(document: StreamDocument): StreamRow {
  const { chatId, messageId, userMessageId, askedBy, nodeId, status, model, offset, usage } = document;
  return {
    streamId: document._id.toHexString(),
    chatId: chatId.toHexString(),
    messageId: messageId.toHexString(),
    userMessageId: userMessageId.toHexString(),
    askedBy: askedBy.toHexString(),
    nodeId,
    status,
    model,
    offset,
    usage,
    stopAsked: document.stopAsked ?? false,
    ...(document.stopReason ? { stopReason: document.stopReason } : {}),
    ...(document.failure ? { failure: document.failure } : {}),
  };
}

const isDuplicate = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 11_000;
