/**
 * Changes of membership: each is one entry of the log, and the rows follow it. A node that dies in between leaves the
 * entry marked as pending; whoever meets it next makes the rows follow.
 */
import { Types } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import { Fault, KeyedQueue, LIMITS } from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import { membersOf } from './entry.ts';
import type { Memberships } from './memberships.ts';
import { ACTIVE, type ChatModels, type ChatRecord, type MembersEntry, type MembershipRecord } from './model.ts';
import type { MembersChanged } from './notices.ts';
import { mayRemove, mayAddMembers, maySetRole } from './policy.ts';
import type { Member, RoleName } from './shapes.ts';

type ObjectId = Types.ObjectId;
type Change = Pick<MembersEntry, 'added' | 'removed' | 'roles'>;

export interface MemberChangesDeps {
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  bus: Bus;
  /** Which of the ids are users. */
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  /** The rows follow the entry: it can be told. */
  onApplied: (entry: MembersEntry) => void;
}

/** Another node's change came first, and this one is not what it would be now. */
class Outdated extends Error {}

export class MemberChanges {
  readonly #deps: MemberChangesDeps;
  /** One change of a chat after another on this node; other nodes are told apart by the log. */
  readonly #queue = new KeyedQueue();

  constructor(deps: MemberChangesDeps) {
    this.#deps = deps;
  }

  /** Who is a member already is left as they are. */
  add(chatId: string, actorId: string, userIds: readonly string[]): Promise<void> {
    return this.#change(chatId, actorId, async (chat) => {
      mayAddMembers(chat.kind, (await this.#deps.memberships.get(chatId, actorId)).role);
      const wanted = [...new Set(userIds)];
      const existing = new Set(await this.#deps.existingUsers(wanted));
      if (wanted.some((id) => !existing.has(id))) throw new Fault('not_found', 'There is no such user');
      const rows = await this.#deps.memberships.ofUsersIn(chat._id, wanted);
      const present = new Set(rows.filter(({ state }) => state === 'active').map(({ userId }) => userId.toHexString()));
      const added = wanted.filter((id) => !present.has(id));
      if ((await this.#deps.memberships.count(chat._id)) + added.length > LIMITS.membersPerChat) {
        throw new Fault('quota_exceeded', `A chat has at most ${LIMITS.membersPerChat} members`);
      }
      return { added: added.map((id) => ({ userId: new Types.ObjectId(id), role: 'member' })), removed: [], roles: [] };
    });
  }

  /**
   * Removes a member, or oneself. Resolves to false, with nothing changed, when the caller is the last one there.
   */
  async remove(chatId: string, actorId: string, userId: string): Promise<boolean> {
    let alone = false;
    await this.#change(chatId, actorId, async (chat) => {
      const { memberships } = this.#deps;
      const actor = await memberships.get(chatId, actorId);
      const target = actorId === userId ? actor : await memberships.find(chatId, userId);
      mayRemove(chat.kind, actor.role, actorId === userId ? 'self' : target?.role);
      if (target?.state !== 'active') return undefined;
      const departure = await this.#departure(chat._id, target);
      alone = !departure;
      return departure;
    });
    return !alone;
  }

  /**
   * Makes the members those that `wanted` gives, whenever it is asked: those of the chat's project. Undefined leaves
   * them as they are.
   */
  async follow(chatId: string, wanted: () => Promise<readonly Member[] | undefined>): Promise<void> {
    await this.#change(chatId, undefined, async (chat) => {
      const rows = await this.#deps.memberships.active(chat._id);
      const members = await wanted();
      if (!members) return undefined;
      const present = new Map(rows.map(({ userId, role }) => [userId.toHexString(), role]));
      const roles = new Map(members.map(({ userId, role }) => [userId, role]));
      const plain = ([id, role]: [string, RoleName]) => ({ userId: new Types.ObjectId(id), role });
      return {
        added: [...roles].filter(([id]) => !present.has(id)).map(plain),
        removed: [...present.keys()].filter((id) => !roles.has(id)).map((id) => new Types.ObjectId(id)),
        roles: [...roles].filter(([id, role]) => (present.get(id) ?? role) !== role).map(plain),
      };
    });
  }

  /** As removing oneself, from a chat of any kind: the account ends. */
  async depart(chatId: string, userId: string): Promise<boolean> {
    let alone = false;
    await this.#change(chatId, userId, async (chat) => {
      const target = await this.#deps.memberships.find(chatId, userId);
      if (target?.state !== 'active') return undefined;
      const departure = await this.#departure(chat._id, target);
      alone = !departure;
      return departure;
    });
    return !alone;
  }

  /** Making somebody the owner makes the caller an admin. */
  setRole(chatId: string, actorId: string, userId: string, role: RoleName): Promise<void> {
    return this.#change(chatId, actorId, async (chat) => {
      const { memberships } = this.#deps;
      const actor = await memberships.get(chatId, actorId);
      maySetRole(chat.kind, actor.role);
      if (actorId === userId) throw new Fault('invalid', 'Make somebody else the owner, or leave');
      const target = await memberships.find(chatId, userId);
      if (target?.state !== 'active') throw new Fault('not_found', 'There is no such member');
      if (target.role === role) return undefined;
      const roles = [{ userId: target.userId, role }];
      if (role === 'owner') roles.push({ userId: actor.userId, role: 'admin' });
      return { added: [], removed: [], roles };
    });
  }

  /** Rejects with `not_found` if the user is no member by what the log says now. */
  async assertMember(chatId: string, userId: string): Promise<void> {
    await this.settlePending(new Types.ObjectId(chatId));
    await this.#deps.memberships.get(chatId, userId);
  }

  /** Makes the rows follow what a node that died has left pending. */
  async settlePending(chatId?: ObjectId): Promise<void> {
    const pending = await this.#deps.models.entries.collection
      .find<MembersEntry>({ ...(chatId ? { chatId } : {}), pending: true })
      .sort({ chatId: 1, rev: 1 })
      .toArray();
    for (const entry of pending) await this.settle(entry);
  }

  /** Makes rows and caches follow an entry, here and everywhere. Repeating it changes nothing. */
  async settle(entry: MembersEntry): Promise<void> {
    const { memberships, models, bus, onApplied } = this.#deps;
    if (!entry.pending) return;
    await memberships.apply(entry);
    const memberCount = await memberships.count(entry.chatId);
    await models.chats.collection.updateOne(
      { _id: entry.chatId, $or: [{ membersRev: { $exists: false } }, { membersRev: { $lt: entry.rev } }] },
      { $set: { memberCount, membersRev: entry.rev } },
    );
    await models.entries.collection.updateOne({ _id: entry._id }, { $unset: { pending: '' } });
    const { added, removed, roles } = membersOf(entry);
    const notice: MembersChanged = {
      type: 'members:changed',
      chatId: entry.chatId.toHexString(),
      rev: entry.rev,
      added: added.map(({ userId }) => userId),
      removed,
      roles: roles.map(({ userId }) => userId),
    };
    onApplied(entry);
    bus.publish(ALL_NODES, notice);
  }

  async #change(
    chatId: string,
    actorId: string | undefined,
    compute: (chat: ChatRecord) => Promise<Change | undefined>,
  ): Promise<void> {
    const id = new Types.ObjectId(chatId);
    const decide = async (): Promise<Change | undefined> => {
      await this.settlePending(id);
      const chat = await this.#deps.models.chats.collection.findOne<ChatRecord>({ _id: id, status: 'active' });
      if (!chat) throw new Fault('not_found', 'There is no such chat');
      return compute(chat);
    };
    await this.#queue.run(chatId, async () => {
      for (let change = await decide(); change && !isEmpty(change); change = await decide()) {
        if (await this.#append(id, actorId, change, decide)) return;
      }
    });
  }

  /** False when another node's change came first and this one has to be decided again. */
  async #append(
    chatId: ObjectId,
    actorId: string | undefined,
    change: Change,
    decide: () => Promise<Change | undefined>,
  ): Promise<boolean> {
    const stay = this.#deps.memberships.leaving(
      chatId.toHexString(),
      change.removed.map((id) => id.toHexString()),
    );
    try {
      const entry = await this.#deps.log.append(
        {
          _id: new Types.ObjectId(),
          chatId,
          kind: 'members',
          ...(actorId === undefined ? {} : { userId: new Types.ObjectId(actorId) }),
          ...change,
          pending: true,
        },
        async () => {
          if (JSON.stringify(await decide()) !== JSON.stringify(change)) throw new Outdated();
        },
      );
      await this.settle(entry);
      return true;
    } catch (error) {
      if (error instanceof Outdated) return false;
      throw error;
    } finally {
      stay();
    }
  }

  /** What the log says of somebody who leaves; undefined when nobody would be left. */
  async #departure(chatId: ObjectId, { userId, role }: MembershipRecord): Promise<Change | undefined> {
    if (role !== 'owner') return { added: [], removed: [userId], roles: [] };
    const successor = await this.#successor(chatId, userId);
    return successor && { added: [], removed: [userId], roles: [{ userId: successor.userId, role: 'owner' }] };
  }

  /** Who follows a leaving owner: the longest-serving admin, else member. */
  async #successor(chatId: ObjectId, leavingId: ObjectId): Promise<MembershipRecord | undefined> {
    for (const role of ['owner', 'admin', 'member'] as const) {
      const row = await this.#deps.models.memberships.collection.findOne<MembershipRecord>(
        { chatId, ...ACTIVE, role, userId: { $ne: leavingId } },
        { sort: { joinedAt: 1, _id: 1 } },
      );
      if (row) return row;
    }
    return undefined;
  }
}

const isEmpty = ({ added, removed, roles }: Change): boolean => added.length + removed.length + roles.length === 0;
