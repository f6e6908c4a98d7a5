/** Who of a chat's members is to be notified of a message: those who are away, care, and may hear of its sender. */
import type { PresenceRegistry } from '../../cluster/presence-registry.ts';
import { Fault } from '../../protocol/index.ts';
import type { Blocks } from '../blocks/index.ts';
import type { Message } from '../chat/contract.ts';
import type { MembershipRecord } from '../chat/index.ts';
import type { SubscriptionRecord } from './model.ts';
import type { NotificationType } from './notification.ts';
import { isQuiet } from './quiet-hours.ts';
import type { Subscriptions } from './subscriptions.ts';

export interface Recipient {
  userId: string;
  type: NotificationType;
  subscription: SubscriptionRecord;
}

export interface RecipientsDeps {
  subscriptions: Subscriptions;
  registry: Pick<PresenceRegistry, 'get'>;
  blocks: Pick<Blocks, 'between'>;
  now: () => number;
}

export class Recipients {
  readonly #deps: RecipientsDeps;

  constructor(deps: RecipientsDeps) {
    this.#deps = deps;
  }

  /** Each device of those among `members`. */
  async of(message: Message, members: readonly MembershipRecord[]): Promise<Recipient[]> {
    const { subscriptions } = this.#deps;
    const interested = members.filter((member) => this.#cares(member, message)).map(({ userId }) => String(userId));
    const away = await this.#away(interested);
    const devices = await subscriptions.ofUsers(away);
    if (devices.length === 0) return [];
    const owners = [...new Set(devices.map(({ userId }) => userId.toHexString()))];
    const [wishes, blocked] = await Promise.all([subscriptions.settingsOf(owners), this.#blocked(message, owners)]);
    return devices.flatMap((subscription) => {
      const userId = subscription.userId.toHexString();
      const { enabled = true, quietHours } = wishes.get(userId) ?? {};
      if (!enabled || blocked.has(userId) || (quietHours && isQuiet(quietHours, this.#deps.now()))) return [];
      return [{ userId, type: message.mentions.includes(userId) ? 'mention' : 'message', subscription } as const];
    });
  }

  /** A mention passes an archived chat: it was put aside, not silenced. A muted one is silent. */
  #cares({ state, userId, mutedUntil, archived, lastReadSeq }: MembershipRecord, message: Message): boolean {
    const id = userId.toHexString();
    if (state !== 'active' || id === message.sender.userId || lastReadSeq >= message.seq) return false;
    if (mutedUntil && mutedUntil.getTime() > this.#deps.now()) return false;
    return !archived || message.mentions.includes(id);
  }

  /** Without presence everybody counts as away: a notification too many is better than one too few. */
  async #away(userIds: readonly string[]): Promise<readonly string[]> {
    if (userIds.length === 0) return userIds;
    try {
      const there = await this.#deps.registry.get(userIds);
      return userIds.filter((userId) => !there.has(userId));
    } catch (error) {
      if (error instanceof Fault && error.code === 'unavailable') return userIds;
      throw error;
    }
  }

  async #blocked({ sender }: Message, userIds: readonly string[]): Promise<Set<string>> {
    return sender.userId === undefined ? new Set() : this.#deps.blocks.between(sender.userId, userIds);
  }
}
