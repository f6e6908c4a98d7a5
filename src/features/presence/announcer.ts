/**
 * Tells watchers on this node of changes: after a moment's calm, so that a reconnect is not a flicker, and of many
 * people at a time, because a node that dies or a registry that comes back changes thousands at once.
 */
import type { Log } from '../../observability/log.ts';
import { LIMITS, presenceRoom, type Rooms } from '../../protocol/index.ts';
import type { Presence, PresenceStatus, presenceEvents } from './contract.ts';

export interface AnnouncerDeps {
  rooms: Rooms<typeof presenceEvents>;
  read: (userIds: readonly string[]) => Promise<Presence[]>;
  log: Log;
}

export class Announcer {
  readonly #deps: AnnouncerDeps;
  /** What all watchers here know of a user; nothing where some know something else. */
  readonly #told = new Map<string, PresenceStatus>();
  /** Changes that wait for their moment of calm. */
  readonly #calming = new Map<string, NodeJS.Timeout>();
  /** Users who are to be told of now. */
  readonly #due = new Set<string>();
  #telling: Promise<void> | undefined;
  #closed = false;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
  }

  /** Something about the user changed, or may have. `atOnce`: there is nothing to wait for. */
  changed(userId: string, atOnce = false): void {
    if (this.#closed) return;
    // Whoever begins to watch reads the present state.
    if (!this.#deps.rooms.has(presenceRoom(userId))) {
      this.#told.delete(userId);
      return;
    }
    if (atOnce) {
      clearTimeout(this.#calming.get(userId));
      this.#isDue(userId);
    } else if (!this.#calming.has(userId)) {
      this.#calming.set(userId, setTimeout(() => this.#isDue(userId), LIMITS.presenceDebounceMs).unref());
    }
  }

  /** A socket has begun to watch and was answered this. `first`: nobody else on this node watched the user. */
  answered({ userId, status }: Presence, first: boolean): void {
    if (first) this.#told.set(userId, status);
    else if (this.#told.get(userId) !== status) {
      // Not all know the same now: the next word of the user goes out whatever it is.
      this.#told.delete(userId);
      this.changed(userId);
    }
  }

  /** Forgets whom nobody watches any more. */
  sweep(): void {
    for (const userId of this.#told.keys()) if (!this.#deps.rooms.has(presenceRoom(userId))) this.#told.delete(userId);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#calming.values()) clearTimeout(timer);
    this.#calming.clear();
    this.#due.clear();
    await this.#telling;
  }

  #isDue(userId: string): void {
    this.#calming.delete(userId);
    this.#due.add(userId);
    // One after another: an older state must not be told after a newer one.
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined;
    });
  }

  async #tellAll(): Promise<void> {
    // Those who are due in the same moment are read together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#due.size > 0) {
      const userIds = [...this.#due].slice(0, LIMITS.presencePerRequest);
      for (const userId of userIds) this.#due.delete(userId);
      try {
        await this.#tell(userIds);
      } catch (error) {
        this.#deps.log.warn('Changes of presence could not be told', { count: userIds.length, error });
        for (const userId of userIds) this.#told.delete(userId);
      }
    }
  }

  async #tell(userIds: readonly string[]): Promise<void> {
    const { rooms, read } = this.#deps;
    const watched = userIds.filter((userId) => rooms.has(presenceRoom(userId)));
    for (const presence of await read(watched)) {
      const { userId, status } = presence;
      // A connection that came back in time is no change.
      if (this.#told.get(userId) === status) continue;
      this.#told.set(userId, status);
      // Every node hears of it from the registry.
      rooms.emitHere(presenceRoom(userId), 'presence:changed', presence, { latest: `presence:${userId}` });
    }
  }
}
