/**
 * Which sockets of this node hear of whom. Who may see whom is asked when a watch begins, and again when the right may
 * have ended: by a block, or a membership that is gone.
 */
import { presenceRoom, userRoom, type Room, type Rooms } from '../../protocol/index.ts';
import type { presenceEvents } from './contract.ts';

export interface WatchesDeps {
  rooms: Rooms<typeof presenceEvents>;
  /** Which of the others `userId` may see. It holds both ways. */
  visible: (userId: string, otherIds: readonly string[]) => Promise<Set<string>>;
}

const PREFIX = 'presence';

export class Watches {
  readonly #deps: WatchesDeps;
  /** Sockets that watch somebody, and whose they are. */
  readonly #watchers = new Map<string, string>();
  /** Counts what may have ended a right to see; a right that was asked for before it is asked for again. */
  #endings = 0;

  constructor(deps: WatchesDeps) {
    this.#deps = deps;
  }

  /** Replaces what the socket watches. Returns whom it may see, and who of them nobody here watched before. */
  async replace(
    connectionId: string,
    userId: string,
    wanted: readonly string[],
  ): Promise<{ userIds: string[]; first: Set<string> }> {
    const { rooms, visible } = this.#deps;
    const endings = this.#endings;
    const allowed = await visible(userId, wanted);
    const rooming = new Set<Room>([...allowed].map(presenceRoom));
    for (const room of rooms.of(connectionId, PREFIX)) {
      if (!rooming.has(room)) rooms.leave({ connectionId }, room);
    }
    const first = new Set([...allowed].filter((id) => !rooms.has(presenceRoom(id))));
    for (const room of rooming) rooms.join({ connectionId }, room);
    this.#watchers.set(connectionId, userId);
    if (endings === this.#endings) return { userIds: [...allowed], first };
    const hidden = await this.#recheck(userId, [...allowed]);
    return { userIds: [...allowed].filter((id) => !hidden.has(id)), first };
  }

  disconnected(connectionId: string): void {
    this.#watchers.delete(connectionId);
  }

  /** Forgets sockets that watch nobody any more. */
  sweep(): void {
    for (const id of this.#watchers.keys()) if (this.#watchedBy(id).length === 0) this.#watchers.delete(id);
  }

  /** Everybody whom some socket here watches. */
  watched(): Set<string> {
    const all = new Set<string>();
    for (const connectionId of this.#watchers.keys()) for (const id of this.#watchedBy(connectionId)) all.add(id);
    return all;
  }

  /** The two may not see each other any more. */
  part(userId: string, otherId: string): void {
    this.#endings++;
    this.#hide(userId, [otherId]);
    this.#hide(otherId, [userId]);
  }

  /** Each of the users may have lost the right to see some, and some to see them. */
  async recheck(userIds: readonly string[]): Promise<void> {
    this.#endings++;
    const { rooms } = this.#deps;
    for (const userId of userIds) {
      const watched = rooms.connections(userRoom(userId)).flatMap(({ id }) => this.#watchedBy(id));
      const watchers = rooms.connections(presenceRoom(userId)).map((watcher) => watcher.userId);
      const others = new Set([...watched, ...watchers]);
      if (others.size === 0) continue;
      for (const otherId of await this.#recheck(userId, [...others])) this.#hide(otherId, [userId]);
    }
  }

  /** Hides from the user those of the others whom they may not see; returns these. */
  async #recheck(userId: string, otherIds: readonly string[]): Promise<Set<string>> {
    const visible = await this.#deps.visible(userId, otherIds);
    const hidden = otherIds.filter((id) => !visible.has(id));
    this.#hide(userId, hidden);
    return new Set(hidden);
  }

  /** The user's sockets here stop hearing of the others, who look absent to them as strangers do. */
  #hide(userId: string, otherIds: readonly string[]): void {
    const { rooms } = this.#deps;
    const connections = rooms.connections(userRoom(userId));
    if (connections.length === 0) return;
    for (const otherId of otherIds) {
      const room = presenceRoom(otherId);
      const watching = connections.filter(({ id }) => rooms.of(id, PREFIX).includes(room));
      if (watching.length === 0) continue;
      for (const { id } of watching) rooms.leave({ connectionId: id }, room);
      rooms.emitHere(userRoom(userId), 'presence:changed', { userId: otherId, status: 'offline', lastSeen: null });
    }
  }

  #watchedBy(connectionId: string): string[] {
    return this.#deps.rooms.of(connectionId, PREFIX).map((room) => room.slice(PREFIX.length + 1));
  }
}
