/**
 * Emission in order. For every chat with sockets on this node it keeps the last emitted rev and emits strictly
 * upwards: what comes early waits, what is missing for `LIMITS.gapFillMs` is read from the log, and from time to time
 * the log's ends are compared, so that a lost notice costs time but never a message.
 */
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { chatRoom, LIMITS, type Rooms } from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import type { chatEvents } from './contract.ts';
import { toMessage } from './entry.ts';
import type { EntryRecord } from './model.ts';

interface ChatState {
  /** Undefined until the baseline has been read. */
  lastRev: number | undefined;
  ready: Promise<void>;
  early: Map<number, EntryRecord>;
  gapTimer: NodeJS.Timeout | undefined;
  filling: boolean;
}

export interface SequencerDeps {
  rooms: Rooms<typeof chatEvents>;
  log: Log;
}

export class Sequencer {
  readonly #deps: SequencerDeps;
  /** Set once: log and sequencer know each other. */
  readonly #chatLog: () => ChatLog;
  readonly #chats = new Map<string, ChatState>();
  #compareTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(chatLog: () => ChatLog, deps: SequencerDeps) {
    this.#chatLog = chatLog;
    this.#deps = deps;
    this.#scheduleCompare();
  }

  /** Resolves when every entry above the log's present end will be emitted. Call it after a socket has joined the room. */
  open(chatId: string): Promise<void> {
    const known = this.#chats.get(chatId);
    if (known) return known.ready;
    const state = newState(undefined);
    this.#chats.set(chatId, state);
    state.ready = this.#chatLog()
      .head(new Types.ObjectId(chatId))
      .then(({ rev }) => {
        state.lastRev = rev;
        this.#advance(chatId, state);
      })
      .catch((error: unknown) => {
        this.#chats.delete(chatId);
        throw error;
      });
    return state.ready;
  }

  /** As `open`, with a baseline that is known: everything above `rev` will be emitted. */
  openAt(chatId: string, rev: number): void {
    if (!this.#chats.has(chatId)) this.#chats.set(chatId, newState(rev));
  }

  /** Entries that have become durable, here or elsewhere, in any order and any number of times. */
  accept(entries: readonly EntryRecord[]): void {
    for (const entry of entries) {
      const chatId = entry.chatId.toHexString();
      const state = this.#chats.get(chatId);
      if (!state) continue;
      if (!this.#deps.rooms.has(chatRoom(chatId))) {
        this.#forget(chatId, state);
        continue;
      }
      if (state.lastRev !== undefined && entry.rev <= state.lastRev) continue;
      state.early.set(entry.rev, entry);
      this.#advance(chatId, state);
    }
  }

  /** Compares with the log and emits what is missing. Chats without local sockets are forgotten. */
  async compare(): Promise<void> {
    for (const [chatId, state] of this.#chats) {
      if (!this.#deps.rooms.has(chatRoom(chatId))) {
        this.#forget(chatId, state);
        continue;
      }
      await state.ready;
      const { rev } = await this.#chatLog().head(new Types.ObjectId(chatId));
      if (rev > (state.lastRev ?? 0)) await this.#fill(chatId, state);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#compareTimer);
    for (const [chatId, state] of this.#chats) this.#forget(chatId, state);
  }

  #advance(chatId: string, state: ChatState): void {
    if (state.lastRev === undefined) return;
    for (;;) {
      const next: EntryRecord | undefined = state.early.get(state.lastRev + 1);
      if (!next) break;
      state.early.delete(next.rev);
      state.lastRev = next.rev;
      this.#deps.rooms.emitHere(chatRoom(chatId), 'message:created', {
        chatId,
        rev: next.rev,
        message: toMessage(next),
      });
    }
    for (const rev of state.early.keys()) if (rev <= state.lastRev) state.early.delete(rev);
    if (state.early.size === 0) {
      clearTimeout(state.gapTimer);
      state.gapTimer = undefined;
    } else if (!state.gapTimer && !state.filling) {
      state.gapTimer = setTimeout(() => {
        state.gapTimer = undefined;
        this.#fill(chatId, state).catch((error: unknown) =>
          this.#deps.log.warn('a gap in a chat could not be filled yet', { chatId, error }),
        );
      }, LIMITS.gapFillMs).unref();
    }
  }

  async #fill(chatId: string, state: ChatState): Promise<void> {
    if (state.filling) return;
    state.filling = true;
    try {
      for (;;) {
        const missed = await this.#chatLog().after(new Types.ObjectId(chatId), state.lastRev ?? 0, LIMITS.syncMax);
        for (const entry of missed) if (entry.rev > (state.lastRev ?? 0)) state.early.set(entry.rev, entry);
        this.#advance(chatId, state);
        if (missed.length < LIMITS.syncMax || this.#closed) break;
      }
    } finally {
      state.filling = false;
      // An entry that came early while this read was under way has set no timer for its own gap.
      if (this.#chats.get(chatId) === state) this.#advance(chatId, state);
    }
  }

  #forget(chatId: string, state: ChatState): void {
    clearTimeout(state.gapTimer);
    this.#chats.delete(chatId);
  }

  #scheduleCompare(): void {
    if (this.#closed) return;
    const inMs = LIMITS.headCompareMs * (0.75 + Math.random() * 0.5);
    this.#compareTimer = setTimeout(() => {
      this.compare()
        .catch((error: unknown) => this.#deps.log.warn('positions could not be compared', { error }))
        .finally(() => this.#scheduleCompare());
    }, inMs).unref();
  }
}

const newState = (lastRev: number | undefined): ChatState => ({
  lastRev,
  ready: Promise.resolve(),
  early: new Map(),
  gapTimer: undefined,
  filling: false,
});
