/** Changing, deleting and restoring chats. */
import { Types } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Audit } from '../../observability/audit.ts';
import { DAY_MS, Fault, LIMITS } from '../../protocol/index.ts';
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
  /** Makes the memberships of a deleted chat of a project those of the project. */
  alignClosed: (chat: ChatRecord) => Promise<void>;
}

/** Nobody can restore what was deleted then. */
const LONG_AGO = new Date(0);

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
        withProject: { $exists: false },
      },
      { $set: { status: 'active', changing: true }, $unset: { deletedAt: '' } },
    );
    if ((await this.#record(chatId)).status !== 'active') throw notFound();
    await this.#follow(membership.chatId);
    this.#deps.audit.record({ action: 'chat.restore', userId, target: chatId, ok: true });
  }

  /** Of a project that is deleted, since then; the chat comes back with it. */
  async deleteWithProject(_id: Types.ObjectId, deletedAt: Date): Promise<void> {
    const { modifiedCount } = await this.#deps.models.chats.collection.updateOne(
      { _id, status: 'active' },
      { $set: { status: 'deleted', deletedAt, withProject: true, changing: true } },
    );
    if (modifiedCount > 0) await this.#follow(_id);
  }

  /** What was deleted with its project. */
  async restoreWithProject(_id: Types.ObjectId): Promise<void> {
    const { modifiedCount } = await this.#deps.models.chats.collection.updateOne(
      { _id, status: 'deleted', withProject: true },
      { $set: { status: 'active', changing: true }, $unset: { deletedAt: '', withProject: '' } },
    );
    if (modifiedCount > 0) await this.#follow(_id);
  }

  /** The project is gone for ever: so is the chat when deleted ones are looked for next. */
  async endWithProject(_id: Types.ObjectId): Promise<void> {
    await this.deleteWithProject(_id, LONG_AGO);
    await this.#deps.models.chats.collection.updateOne(
      { _id, status: 'deleted' },
      { $set: { deletedAt: LONG_AGO, withProject: true } },
    );
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
    const chat = await this.#record(chatId);
    const { status, changing } = chat;
    if (!changing) return;
    if (status === 'deleted') {
      await memberships.setChatState(_id, 'active', 'closed');
    } else {
      // Before anybody is let in: some may have left the project meanwhile.
      if (chat.projectId) await this.#deps.alignClosed(chat);
      await memberships.setChatState(_id, 'closed', 'active');
    }
    const memberCount = status === 'active' ? { memberCount: await memberships.count(_id) } : {};
    await models.chats.collection.updateOne({ _id, status }, { $set: memberCount, $unset: { changing: '' } });
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
