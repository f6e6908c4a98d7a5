/**
 * The jobs of push: one for each message goes through the members in pages, from where an earlier run has come; one for
 * each device that could not be reached tries again. Both look at the message and at who is away when they run.
 */
import { setMaxListeners } from 'node:events';
import { Types } from 'mongoose';
import type { JobRun, Jobs } from '../../cluster/index.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Log } from '../../observability/log.ts';
import type { ChatFeature, ChatRecord, Place } from '../chat/index.ts';
import type { Message } from '../chat/contract.ts';
import type { Users } from '../users/index.ts';
import { notificationOf } from './notification.ts';
import type { PushOutcome, PushSender } from './push-sender.ts';
import type { Recipient, Recipients } from './recipients.ts';
import type { Subscriptions } from './subscriptions.ts';

export interface FanOutDeps {
  chat: Pick<ChatFeature, 'about' | 'service' | 'membersPage' | 'membersAmong'>;
  users: Pick<Users, 'findByIds'>;
  recipients: Recipients;
  subscriptions: Subscriptions;
  sender: PushSender;
  jobs: Jobs;
  log: Log;
  /** Counts what became of a notification. */
  count: (outcome: string) => void;
  now: () => number;
}

interface MessageJob {
  chatId: string;
  messageId: string;
}

interface AgainJob extends MessageJob {
  userId: string;
  endpoint: string;
}

/** The member after whom to go on. */
interface Progress {
  at: string;
  id: string;
}

/** What is said, to whoever it is. */
interface Subject {
  chat: ChatRecord;
  message: Message;
  senderName: string | undefined;
}

const FAN_OUT = 'push';
const AGAIN = 'push-again';
const FAN_OUTS_AT_ONCE = 4;
const RETRIES_AT_ONCE = 4;
const FAN_OUT_TIMEOUT_MS = 10 * 60_000;
const RETRY_TIMEOUT_MS = 60_000;
/** About an hour of pauses. */
const MOST_RETRIES = 14;
/** The first pause where the push service names none. */
const FIRST_RETRY_MS = 1_000;
/** A longer pause than jobs make by themselves. */
const LONG_PAUSE_MS = 15 * 60_000;

export class FanOut {
  readonly #deps: FanOutDeps;

  constructor(deps: FanOutDeps) {
    this.#deps = deps;
    deps.jobs.handle<MessageJob, Progress>(FAN_OUT, (run) => this.#fanOut(run), {
      concurrency: FAN_OUTS_AT_ONCE,
      timeoutMs: FAN_OUT_TIMEOUT_MS,
    });
    deps.jobs.handle<AgainJob>(AGAIN, (run) => this.#again(run), {
      concurrency: RETRIES_AT_ONCE,
      maxAttempts: MOST_RETRIES,
      timeoutMs: RETRY_TIMEOUT_MS,
    });
  }

  /** Stores the job of a message, unless a first look shows that there is nobody to notify. */
  async post(chatId: string, message: Message): Promise<void> {
    const first = await this.#deps.chat.membersPage(chatId, LIMITS.pushPageMembers);
    const isAll = first.length < LIMITS.pushPageMembers;
    if (isAll && (await this.#deps.recipients.of(message, first)).length === 0) return;
    await this.store(chatId, message.id);
  }

  /** Stores the job of a message. */
  async store(chatId: string, messageId: string): Promise<void> {
    const data: MessageJob = { chatId, messageId };
    await this.#deps.jobs.enqueue(FAN_OUT, data, { key: messageId });
  }

  async #fanOut({ data, resume, signal, progress }: JobRun<MessageJob, Progress>): Promise<void> {
    const { chat, recipients } = this.#deps;
    // Each notification under way listens until its answer has been read to the end.
    setMaxListeners(0, signal);
    const subject = await this.#subject(data);
    if (!subject) return;
    let after: Place | undefined = resume && { at: new Date(resume.at), id: new Types.ObjectId(resume.id) };
    for (;;) {
      signal.throwIfAborted();
      const page = await chat.membersPage(data.chatId, LIMITS.pushPageMembers, after);
      await this.#notify(subject, await recipients.of(subject.message, page), signal);
      signal.throwIfAborted();
      const last = page.at(-1);
      if (!last || page.length < LIMITS.pushPageMembers) return;
      after = { at: last.joinedAt, id: last._id };
      await progress({ at: last.joinedAt.toISOString(), id: last._id.toHexString() });
    }
  }

  async #notify(subject: Subject, all: readonly Recipient[], signal: AbortSignal): Promise<void> {
    const rest = [...all];
    const sendAll = async (): Promise<void> => {
      for (let next = rest.shift(); next && !signal.aborted; next = rest.shift()) {
        const outcome = await this.#send(subject, next, signal);
        // A run that is cut off goes again by itself.
        if (outcome.kind === 'later' && !signal.aborted) await this.#sendLater(subject.message, next, outcome);
      }
    };
    await Promise.all(Array.from({ length: Math.min(LIMITS.pushSendsAtOnce, all.length) }, sendAll));
  }

  async #again({ data, signal, attempt }: JobRun<AgainJob>): Promise<void> {
    const { chat, recipients } = this.#deps;
    const subject = await this.#subject(data);
    if (!subject) return;
    // Who has come back, read it, muted it or left since then hears nothing.
    const members = await chat.membersAmong(data.chatId, [data.userId]);
    const all = await recipients.of(subject.message, members);
    const recipient = all.find(({ subscription }) => subscription.endpoint === data.endpoint);
    if (!recipient) return;
    const outcome = await this.#send(subject, recipient, signal);
    if (outcome.kind !== 'later') return;
    if ((outcome.retryAfterMs ?? 0) > LONG_PAUSE_MS) return this.#sendLater(subject.message, recipient, outcome);
    if (attempt === MOST_RETRIES) this.#deps.count('given_up');
    const { retryAfterMs } = outcome;
    throw new Fault(
      'upstream',
      'The push service takes nothing now',
      retryAfterMs === undefined ? {} : { retryAfterMs },
    );
  }

  /** Undefined when there is nothing (any more) to be said. */
  async #subject({ chatId, messageId }: MessageJob): Promise<Subject | undefined> {
    const { chat, users, now } = this.#deps;
    const [about, message] = await Promise.all([chat.about(chatId), chat.service.messageById(chatId, messageId)]);
    if (about?.status !== 'active' || !message || message.deletedAt || message.type === 'system') return undefined;
    if (now() - Date.parse(message.createdAt) > LIMITS.pushTtlSeconds * 1_000) return undefined;
    const { userId } = message.sender;
    const [sender] = userId === undefined ? [] : await users.findByIds([userId]);
    return { chat: about, message, senderName: sender?.name };
  }

  async #send(subject: Subject, { type, userId, subscription }: Recipient, signal: AbortSignal): Promise<PushOutcome> {
    const { sender, subscriptions, count, log } = this.#deps;
    const outcome = await sender.send(subscription, notificationOf({ ...subject, type, recipientId: userId }), signal);
    count(outcome.kind);
    if (outcome.kind === 'gone') await subscriptions.remove(subscription);
    if (outcome.kind === 'refused') {
      const { host } = new URL(subscription.endpoint);
      log.warn('A push service refused a notification', { userId, host, status: outcome.status });
    }
    return outcome;
  }

  async #sendLater(
    { id, chatId }: Message,
    { userId, subscription }: Recipient,
    { retryAfterMs = FIRST_RETRY_MS }: { retryAfterMs?: number | undefined },
  ): Promise<void> {
    const data: AgainJob = { chatId, messageId: id, userId, endpoint: subscription.endpoint };
    const runAt = new Date(this.#deps.now() + Math.min(retryAfterMs, LIMITS.pushTtlSeconds * 1_000));
    await this.#deps.jobs.enqueue(AGAIN, data, { runAt });
  }
}
