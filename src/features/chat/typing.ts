/** Who types where, on this node: told at most every 2 s, ends by itself, on a message and on disconnect. */
import { chatLiveRoom, LIMITS, userRoom, type Room, type Rooms } from '../../protocol/index.ts';
import type { chatEvents } from './contract.ts';

interface Typist {
  chatId: string;
  userId: string;
  connections: Set<string>;
  /** Rooms of people who are not told. */
  except: readonly Room[];
  toldAtMs: number;
  expiry: NodeJS.Timeout;
}

export class Typing {
  readonly #rooms: Rooms<typeof chatEvents>;
  readonly #now: () => number;
  readonly #typists = new Map<string, Typist>();

  constructor(rooms: Rooms<typeof chatEvents>, now: () => number) {
    this.#rooms = rooms;
    this.#now = now;
  }

  /** `hiddenFrom`: users who are not told, because one of the two has blocked the other. */
  start(chatId: string, userId: string, connectionId: string, hiddenFrom: Iterable<string> = []): void {
    const key = `${chatId}:${userId}`;
    const expiry = setTimeout(() => this.#end(key), LIMITS.typingExpiryMs).unref();
    const except = Array.from(hiddenFrom, userRoom);
    const known = this.#typists.get(key);
    if (known) {
      known.except = except;
      clearTimeout(known.expiry);
      known.expiry = expiry;
      known.connections.add(connectionId);
      if (this.#now() - known.toldAtMs < LIMITS.typingThrottleMs) return;
      known.toldAtMs = this.#now();
    } else {
      const connections = new Set([connectionId]);
      this.#typists.set(key, { chatId, userId, connections, except, toldAtMs: this.#now(), expiry });
    }
    this.#tell(chatId, userId, true, except);
  }

  /** The user stopped, or sent what was typed. */
  stop(chatId: string, userId: string): void {
    this.#end(`${chatId}:${userId}`);
  }

  /** A connection is gone; who typed on it only has stopped. */
  disconnected(connectionId: string): void {
    for (const [key, typist] of this.#typists) {
      if (typist.connections.delete(connectionId) && typist.connections.size === 0) this.#end(key);
    }
  }

  close(): void {
    for (const { expiry } of this.#typists.values()) clearTimeout(expiry);
    this.#typists.clear();
  }

  #end(key: string): void {
    const typist = this.#typists.get(key);
    if (!typist) return;
    clearTimeout(typist.expiry);
    this.#typists.delete(key);
    this.#tell(typist.chatId, typist.userId, false, typist.except);
  }

  #tell(chatId: string, userId: string, typing: boolean, except: readonly Room[]): void {
    this.#rooms.emit(
      chatLiveRoom(chatId),
      'typing:changed',
      { chatId, userId, typing },
      { latest: `typing:${chatId}:${userId}`, ...(except.length > 0 ? { except } : {}) },
    );
  }
}
