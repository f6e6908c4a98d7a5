/** Changing, deleting and restoring chats. */
import { Types } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Memberships } from './memberships.ts';
import type { ChatModels, ChatRecord } from './model.ts';
import type { ChatNotice } from './notices.ts';
import { mayDeleteChat, mayUpdate } from './policy.ts';

export interface ChatLifecycleDeps {
  models: ChatModels;
  memberships: Memberships;
  bus: Bus;
  audit: Audit;
  now: () => number;
}

const DAY_MS = 86_400_000;

export class ChatLifecycle {
  readonly #deps: ChatLifecycleDeps;

  constructor(deps: ChatLifecycleDeps) {
    this.#deps = deps;
  }

  async update(
    chatId: string,
    userId: string,
    change: { name?: string | undefined; retentionDays?: number | null | undefined },
  ): Promise<void> {
    const { models, memberships } = this.#deps;
    const { role } = await memberships.get(chatId, userId);
    const chat = await this.#record(chatId);
    const { name, retentionDays } = change;
    mayUpdate(chat.kind, role, { name: name !== undefined, retention: retentionDays !== undefined });
    if (name === undefined && retentionDays === undefined) return;
    await models.chats.collection.updateOne(
      { _id: chat._id },
      {
        ...(name === undefined && typeof retentionDays !== 'number'
          ? {}
          : {
              $set: {
                ...(name === undefined ? {} : { name }),
                ...(typeof retentionDays === 'number' ? { 'settings.retentionDays': retentionDays } : {}),
              },
            }),
        ...(retentionDays === null ? { $unset: { 'settings.retentionDays': '' } } : {}),
      },
    );
    this.#tell({ type: 'chat:changed', chatId });
  }

  /** For everyone. Deleting again changes nothing. */
  async delete(chatId: string, userId: string): Promise<void> {
    const { models, memberships, now } = this.#deps;
    const membership = await memberships.find(chatId, userId);
    if (!membership || membership.state === 'left') throw notFound();
    mayDeleteChat(membership.role);
    await models.chats.collection.updateOne(
      { _id: membership.chatId, status: 'active' },
      { $set: { status: 'deleted', deletedAt: new Date(now()), changing: true } },
    );
    await this.#follow(membership.chatId);
    this.#deps.audit.record({ action: 'chat.delete', userId, target: chatId, ok: true });
  }

  /** Within `LIMITS.restoreDays` of its deletion. */
  async restore(chatId: string, userId: string): Promise<void> {
    const { models, memberships, now } = this.#deps;
    const membership = await memberships.find(chatId, userId);
    if (!membership || membership.state === 'left') throw notFound();
    mayDeleteChat(membership.role);
    await models.chats.collection.updateOne(
      {
        _id: membership.chatId,
        status: 'deleted',
        deletedAt: { $gt: new Date(now() - LIMITS.restoreDays * DAY_MS) },
      },
      { $set: { status: 'active', changing: true }, $unset: { deletedAt: '' } },
    );
    if ((await this.#record(chatId)).status !== 'active') throw notFound();
    await this.#follow(membership.chatId);
    this.#deps.audit.record({ action: 'chat.restore', userId, target: chatId, ok: true });
  }

  /** Ends what a node that died has left half done. */
  async settlePending(): Promise<void> {
    const chats = await this.#deps.models.chats.collection
      .find<Pick<ChatRecord, '_id'>>({ changing: true }, { projection: { _id: 1 } })
      .toArray();
    for (const { _id } of chats) await this.#follow(_id);
  }

  /** Makes the memberships follow the chat's status, and tells every node. */
  async #follow(_id: Types.ObjectId): Promise<void> {
    const { models, memberships } = this.#deps;
    const chatId = _id.toHexString();
    const { status, changing } = await this.#record(chatId);
    if (!changing) return;
    if (status === 'deleted') await memberships.setChatState(_id, 'active', 'closed');
    else await memberships.setChatState(_id, 'closed', 'active');
    await models.chats.collection.updateOne({ _id, status }, { $unset: { changing: '' } });
    if (status === 'deleted') this.#tell({ type: 'chat:closed', chatId });
    else this.#tell({ type: 'chat:opened', chatId, fresh: false, userIds: await memberships.userIds(_id) });
  }

  async #record(chatId: string): Promise<ChatRecord> {
    const chat = await this.#deps.models.chats.collection.findOne<ChatRecord>({ _id: new Types.ObjectId(chatId) });
    if (!chat) throw notFound();
    return chat;
  }

  #tell(notice: ChatNotice): void {
    this.#deps.bus.publish(ALL_NODES, notice);
  }
}

const notFound = (): Fault => new Fault('not_found', 'There is no such chat');
