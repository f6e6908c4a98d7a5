/**
 * Which sockets of this node are in which chat's room. A new socket joins the rooms of its user's chats; changes of
 * membership move sockets as soon as a node tells of them, and once more when the rows are read again, in case a notice
 * was lost.
 */
import { LRUCache } from 'lru-cache';
import type { Types } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import { Rereading } from '../../cluster/rereading.ts';
import type { Sequencer } from '../../cluster/sequencer.ts';
import type { Log } from '../../observability/log.ts';
import { chatLiveRoom, chatRoom, LIMITS, userRoom, type Rooms } from '../../protocol/index.ts';
import type { chatEvents } from './contract.ts';
import type { Memberships } from './memberships.ts';
import { asChatNotice, type ChatNotice } from './notices.ts';
import type { Typing } from './typing.ts';
import type { Views } from './views.ts';

export interface LiveRoomsDeps {
  memberships: Memberships;
  sequencer: Pick<Sequencer<unknown>, 'entering' | 'open' | 'openAt' | 'compare'>;
  typing: Typing;
  views: Views;
  rooms: Rooms<typeof chatEvents>;
  bus: Bus;
  log: Log;
  now: () => number;
  /** The chats that a socket joins by itself. */
  newestChats: (userId: string) => Promise<Types.ObjectId[]>;
}

/** Ids of chats that are remembered for users who come back, about 50 bytes each. */
const REMEMBERED_IDS = 400_000;

/** A user's chats being loaded. */
interface Load {
  /** Those that they lose meanwhile. */
  lost: Set<string>;
  /** Something has changed meanwhile: the outcome is not to be remembered. */
  outdated: boolean;
}

export class LiveRooms {
  readonly #deps: LiveRoomsDeps;
  /** By user. */
  readonly #loading = new Map<string, Set<Load>>();
  /** The newest chats by user, for a storm of reconnects; forgotten as soon as a change of membership is heard of. */
  readonly #chatsOf = new LRUCache<string, readonly string[]>({
    maxSize: REMEMBERED_IDS,
    sizeCalculation: (chatIds) => chatIds.length + 1,
    ttl: LIMITS.headCompareMs,
  });
  readonly #unsubscribe: () => void;
  readonly #rereading: Rereading;
  readonly #leftListeners = new Set<{ call: (userIds: readonly string[]) => void }>();

  constructor(deps: LiveRoomsDeps) {
    this.#deps = deps;
    const { bus, sequencer, now } = deps;
    this.#unsubscribe = bus.subscribe(ALL_NODES, (data) => {
      const notice = asChatNotice(data);
      if (notice) this.#hear(notice).catch((error: unknown) => this.#warn(error, notice.chatId));
    });
    this.#rereading = new Rereading({
      bus,
      read: (since) => this.#applyMissed(since),
      onReady: () => void sequencer.compare().catch((error: unknown) => this.#warn(error)),
      onFailed: (error) => this.#warn(error),
      now,
    });
  }

  /** Lets a new socket into its user's chats; resolves when nothing in them can be missed. */
  async connected({ id, userId }: { id: string; userId: string }): Promise<void> {
    const known = this.#chatsOf.get(userId);
    if (known) this.#join(id, known);
    const chats = known ?? (await this.#loadAndJoin(id, userId));
    await Promise.all(chats.map((chatId) => this.#deps.sequencer.open(chatId)));
  }

  #join(connectionId: string, chatIds: readonly string[]): void {
    for (const chatId of chatIds) {
      this.#deps.sequencer.entering(chatId);
      this.#deps.rooms.join({ connectionId }, chatRoom(chatId));
    }
  }

  async #loadAndJoin(connectionId: string, userId: string): Promise<readonly string[]> {
    const load: Load = { lost: new Set(), outdated: false };
    const loads = this.#loading.get(userId) ?? new Set();
    this.#loading.set(userId, loads.add(load));
    try {
      const chats = (await this.#deps.newestChats(userId)).map((chatId) => chatId.toHexString());
      if (!load.outdated) this.#chatsOf.set(userId, chats);
      const mine = chats.filter((chatId) => !load.lost.has(chatId));
      // Before the load ends: from then on `#leave` looks for the socket in the room.
      this.#join(connectionId, mine);
      return mine;
    } finally {
      if (loads.delete(load) && loads.size === 0) this.#loading.delete(userId);
    }
  }

  /** What is remembered, or being loaded, of these users' chats may no longer hold. */
  #forget(userIds: Iterable<string>): void {
    for (const userId of userIds) {
      this.#chatsOf.delete(userId);
      for (const load of this.#loading.get(userId) ?? []) load.outdated = true;
    }
  }

  #forgetAll(): void {
    this.#chatsOf.clear();
    this.#forget(this.#loading.keys());
  }

  /** Called with users who are no longer in some chat, possibly more than once. Returns how to stop. */
  onLeft(call: (userIds: readonly string[]) => void): () => void {
    const entry = { call };
    this.#leftListeners.add(entry);
    return () => void this.#leftListeners.delete(entry);
  }

  async #applyMissed(since: Date): Promise<void> {
    const { memberships } = this.#deps;
    memberships.forgetAll();
    this.#forgetAll();
    for (const { chatId, userId, state } of await memberships.changedSince(since)) {
      const [chat, user] = [chatId.toHexString(), userId.toHexString()];
      if (state === 'active') await this.#enter(chat, [user]);
      else this.#leave(chat, [user]);
    }
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#rereading.close();
  }

  async #hear(notice: ChatNotice): Promise<void> {
    const { memberships, sequencer, rooms } = this.#deps;
    const { chatId } = notice;
    switch (notice.type) {
      case 'members:changed':
        memberships.forget(chatId, [...notice.added, ...notice.removed, ...notice.roles]);
        this.#forget([...notice.added, ...notice.removed]);
        this.#leave(chatId, notice.removed);
        await this.#enter(chatId, notice.added, notice.rev);
        return;
      case 'chat:opened':
        memberships.forget(chatId, notice.userIds);
        this.#forget(notice.userIds);
        // A new chat's beginning belongs to the live events, also what was written before this notice came.
        if (notice.fresh) {
          sequencer.entering(chatId);
          for (const userId of notice.userIds) rooms.join({ room: userRoom(userId) }, chatRoom(chatId));
          if (rooms.has(chatRoom(chatId))) sequencer.openAt(chatId, 0);
          return;
        }
        await this.#enter(chatId, notice.userIds);
        return;
      case 'chat:closed': {
        memberships.forgetAll();
        this.#forgetAll();
        const users = new Set(rooms.connections(chatRoom(chatId)).map(({ userId }) => userId));
        this.#leave(chatId, [...users]);
        return;
      }
      case 'chat:changed':
        await this.#tellUpdated(chatId);
    }
  }

  /** Lets the users' sockets into the chat, and tells those that were not there before. */
  async #enter(chatId: string, userIds: readonly string[], rev?: number): Promise<void> {
    const { rooms, sequencer, views } = this.#deps;
    const room = chatRoom(chatId);
    sequencer.entering(chatId);
    const inside = new Set(rooms.connections(room).map(({ id }) => id));
    const newcomers = userIds.filter((userId) => {
      const outside = rooms.connections(userRoom(userId)).filter(({ id }) => !inside.has(id));
      for (const { id } of outside) rooms.join({ connectionId: id }, room);
      return outside.length > 0;
    });
    if (newcomers.length === 0) return;
    if (rev === undefined) await sequencer.open(chatId);
    else sequencer.openAt(chatId, rev);
    for (const [userId, chat] of await views.forUsers(chatId, newcomers)) {
      rooms.emitHere(userRoom(userId), 'chat:created', { chat });
    }
  }

  #leave(chatId: string, userIds: readonly string[]): void {
    const { rooms, typing } = this.#deps;
    for (const { call } of this.#leftListeners) call(userIds);
    for (const userId of userIds) {
      for (const { lost } of this.#loading.get(userId) ?? []) lost.add(chatId);
      typing.stop(chatId, userId);
      const inside = rooms
        .connections(userRoom(userId))
        .filter(({ id }) => rooms.of(id, 'chat').includes(chatRoom(chatId)));
      if (inside.length === 0) continue;
      rooms.leave({ room: userRoom(userId) }, chatLiveRoom(chatId));
      rooms.leave({ room: userRoom(userId) }, chatRoom(chatId));
      rooms.emitHere(userRoom(userId), 'chat:deleted', { chatId });
    }
  }

  /** To each member with sockets here, the chat as they see it. */
  async #tellUpdated(chatId: string): Promise<void> {
    const { rooms, views } = this.#deps;
    const users = [...new Set(rooms.connections(chatRoom(chatId)).map(({ userId }) => userId))];
    if (users.length === 0) return;
    for (const [userId, chat] of await views.forUsers(chatId, users)) {
      rooms.emitHere(userRoom(userId), 'chat:updated', { chat });
    }
  }

  #warn(error: unknown, chatId?: string): void {
    this.#deps.log.warn('memberships could not be followed; they are read again', { chatId, error });
  }
}
