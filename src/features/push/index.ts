/** Notifications for people who are away, of messages in their chats. */
import type { Connection } from 'mongoose';
import { ALL_NODES, systemClock, type Bus, type Clock, type Jobs, type PresenceRegistry } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { Blocks } from '../blocks/index.ts';
import type { Message } from '../chat/contract.ts';
import type { ChatFeature } from '../chat/index.ts';
import type { Users } from '../users/index.ts';
import type { PushSettings, pushContract } from './contract.ts';
import { FanOut } from './fan-out.ts';
import { createPushModels } from './model.ts';
import { Pace } from './pace.ts';
import type { PushSender } from './push-sender.ts';
import { Recipients } from './recipients.ts';
import { Subscriptions } from './subscriptions.ts';

export type { PushMessage, PushOutcome, PushSender, PushTarget } from './push-sender.ts';
export { createWebPushSender, type WebPushOptions } from './web-push-sender.ts';

export interface PushDeps {
  connection: Connection;
  /** Undefined: push is off. */
  sender: PushSender | undefined;
  chat: Pick<ChatFeature, 'about' | 'service' | 'membersPage' | 'membersAmong'>;
  users: Pick<Users, 'findByIds'>;
  registry: Pick<PresenceRegistry, 'get'>;
  blocks: Pick<Blocks, 'between'>;
  bus: Bus;
  jobs: Jobs;
  /** Which of the sessions have not ended. */
  liveSessions: (sessionIds: readonly string[]) => Promise<Set<string>>;
  /** Counts what became of a notification. */
  count: (outcome: string) => void;
  log: Log;
  now: () => number;
  clock?: Clock;
}

export interface Push {
  handlers: Handlers<typeof pushContract>;
  /** A message was stored by this node. */
  posted(posted: { chatId: string; message: Message }): void;
  /** The account is gone. May be repeated. */
  forgetUser(userId: string): Promise<void>;
  /** Stores what is still to be notified of. */
  close(): Promise<void>;
}

/** Until the first device subscribes, a message costs nothing; whether one has is asked this often, besides the notice. */
const ASK_MS = 30_000;
const SUBSCRIBED = { type: 'push:subscribed' } as const;
const MOST_CHATS = 10_000;

export function createPush(deps: PushDeps): Push {
  const models = createPushModels(deps.connection);
  const { sender, now, liveSessions } = deps;
  const subscriptions = new Subscriptions({ models, publicKey: sender?.publicKey ?? '', liveSessions, now });
  const forgetUser = (userId: string): Promise<void> => subscriptions.forgetUser(userId);
  if (!sender) return { handlers: switchedOff, posted() {}, forgetUser, async close() {} };
  return { ...start(deps, subscriptions, sender), forgetUser };
}

function start(deps: PushDeps, subscriptions: Subscriptions, sender: PushSender): Omit<Push, 'forgetUser'> {
  const { chat, users, registry, blocks, bus, jobs, log, now, count, clock = systemClock } = deps;
  const { publicKey } = sender;
  const recipients = new Recipients({ subscriptions, registry, blocks, now });
  const fanOut = new FanOut({ chat, users, recipients, subscriptions, sender, jobs, log, count, now });
  const underWay = new Set<Promise<void>>();
  let anybody = false;
  let closed = false;

  const go = (work: Promise<void>, message: string): void => {
    const watched: Promise<void> = work
      .catch((error: unknown) => log.warn(message, { error }))
      .finally(() => underWay.delete(watched));
    underWay.add(watched);
  };

  const pace = new Pace({
    intervalMs: LIMITS.pushPaceMs,
    most: MOST_CHATS,
    pass: (chatId, messageId) => go(consider(chatId, messageId), 'A notification could not be prepared'),
  });

  /** With many under way already, and at the end, the job finds out itself whether there is anybody. */
  async function consider(chatId: string, messageId: string): Promise<void> {
    if (closed || underWay.size >= LIMITS.pushSendsAtOnce) return fanOut.store(chatId, messageId);
    const message = await chat.service.messageById(chatId, messageId);
    if (message && !message.deletedAt) await fanOut.post(chatId, message);
  }

  const ask = async (): Promise<void> => {
    anybody = await subscriptions.any();
  };
  const stops = [
    bus.subscribe(ALL_NODES, (data) => {
      if ((data as { type?: unknown } | null)?.type === SUBSCRIBED.type) anybody = true;
    }),
    clock.every(ASK_MS, () => go(ask(), 'Whether somebody has subscribed could not be asked')),
  ];
  go(ask(), 'Whether somebody has subscribed could not be asked');

  return {
    handlers: {
      async 'push:key'() {
        return { publicKey };
      },
      async 'push:subscribe'({ subscription: { endpoint, keys }, deviceName }, { session }) {
        const target = { endpoint, p256dh: plain(keys.p256dh), auth: plain(keys.auth) };
        sender.check(target);
        await subscriptions.add(session, target, deviceName);
        anybody = true;
        bus.publish(ALL_NODES, SUBSCRIBED);
        return {};
      },
      async 'push:unsubscribe'({ endpoint }, { session }) {
        await subscriptions.removeEndpoint(session.userId, endpoint);
        return {};
      },
      async 'push:settings'({ enabled, quietHours }, { session: { userId } }) {
        const wishes: Partial<PushSettings> = {
          ...(enabled === undefined ? {} : { enabled }),
          ...(quietHours === undefined ? {} : { quietHours }),
        };
        await subscriptions.set(userId, wishes);
        return subscriptions.settings(userId);
      },
    },

    posted({ chatId, message }) {
      if (!anybody || message.type === 'system') return;
      pace.add(chatId, message.id, message.mentions.length > 0);
    },

    async close() {
      closed = true;
      for (const stop of stops) stop();
      pace.close();
      while (underWay.size > 0) await Promise.all(underWay);
      sender.close();
    },
  };
}

const plain = (key: string): string => key.replace(/=+$/, '');

const off = (): Promise<never> =>
  Promise.reject(new Fault('unsupported', 'Push is off: VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are not set'));
const switchedOff: Handlers<typeof pushContract> = {
  'push:key': off,
  'push:subscribe': off,
  'push:unsubscribe': off,
  'push:settings': off,
};
