/** Editing, deleting and reacting: each is appended to the log first and folded into its message then. */
import { Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';
import type { ChatEvents } from './chat-events.ts';
import type { ChatLog, NewEntry } from './chat-log.ts';
import { canReact } from './fold.ts';
import type { Memberships } from './memberships.ts';
import type { ChangeEntry, MessageEntry } from './model.ts';
import { mayDelete, mayEdit } from './policy.ts';

export interface MessageChangesDeps {
  log: ChatLog;
  events: ChatEvents;
  memberships: Memberships;
  /** Rejects if the user is no member by what the log says now. */
  recheck: (chatId: string, userId: string) => Promise<void>;
  /** A change is folded: it can be told. */
  onChanged: (change: ChangeEntry, message: MessageEntry) => void;
}

interface Target {
  chatId: string;
  messageId: string;
  userId: string;
}

export class MessageChanges {
  readonly #deps: MessageChangesDeps;

  constructor(deps: MessageChangesDeps) {
    this.#deps = deps;
  }

  async edit(target: Target, content: string): Promise<MessageEntry> {
    const message = await this.#message(target);
    mayEdit(message, target.userId);
    if (message.content === content) return message;
    return this.#append(target, message, { kind: 'edit', content });
  }

  /** Deleting a second time changes nothing. */
  async delete(target: Target): Promise<MessageEntry> {
    const message = await this.#message(target);
    mayDelete(message, target.userId, await this.#deps.memberships.require(target.chatId, target.userId));
    if (message.deletedAt) return message;
    return this.#append(target, message, { kind: 'delete' });
  }

  /** On behalf of the whole server: who does it need not be a member. False when there is no such message. */
  async moderate(target: Target): Promise<boolean> {
    const { log, events } = this.#deps;
    const found = await log.message(new Types.ObjectId(target.chatId), new Types.ObjectId(target.messageId));
    if (!found) return false;
    const message = await events.settle(found);
    if (!message.deletedAt) await this.#append(target, message, { kind: 'delete' }, async () => {});
    return true;
  }

  /** Reacting a second time with the same emoji, or taking back what is not there, changes nothing. */
  async react(target: Target, emoji: string, on: boolean): Promise<MessageEntry> {
    const message = await this.#message(target);
    if (message.deletedAt) throw new Fault('conflict', 'The message has been deleted');
    const reactions = message.reactions ?? [];
    const users = reactions.find((reaction) => reaction.emoji === emoji)?.userIds ?? [];
    if (users.some((id) => id.toHexString() === target.userId) === on) return message;
    if (on && !canReact(reactions, emoji))
      throw new Fault('quota_exceeded', 'The message has all the reactions it can have');
    return this.#append(target, message, { kind: 'react', emoji, on });
  }

  /** The message as it is now, or `not_found`. */
  async #message({ chatId, messageId, userId }: Target): Promise<MessageEntry> {
    await this.#deps.memberships.require(chatId, userId);
    const message = await this.#deps.log.message(new Types.ObjectId(chatId), new Types.ObjectId(messageId));
    if (!message) throw new Fault('not_found', 'There is no such message');
    return this.#deps.events.settle(message);
  }

  async #append(
    { chatId, userId }: Target,
    message: MessageEntry,
    what: { kind: 'edit'; content: string } | { kind: 'delete' } | { kind: 'react'; emoji: string; on: boolean },
    recheck = () => this.#deps.recheck(chatId, userId),
  ): Promise<MessageEntry> {
    const { log, memberships, events, onChanged } = this.#deps;
    memberships.assertStaying(chatId, userId);
    const entry: NewEntry = {
      _id: new Types.ObjectId(),
      chatId: message.chatId,
      userId: new Types.ObjectId(userId),
      messageId: message._id,
      ...what,
    };
    const change = await log.append(entry, recheck);
    const settled = await events.settle(message);
    onChanged(change, settled);
    return settled;
  }
}
