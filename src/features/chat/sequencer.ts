/**
 * Emission in order. For every chat with sockets on this node it keeps the last emitted rev and emits strictly
 * upwards: what comes early waits, what is missing for `LIMITS.gapFillMs` is read from the log, and from time to time
 * the log's ends are compared, so that a lost notice costs time but never a message.
 */
import { Types } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { chatRoom, LIMITS, type Packet, type Rooms } from '../../protocol/index.ts';
import type { ChatEvents } from './chat-events.ts';
import type { ChatLog } from './chat-log.ts';
import type { chatEvents } from './contract.ts';

interface ChatState {
  /** Undefined until the baseline has been read. */
  lastRev: number | undefined;
  ready: Promise<void>;
  /** What came before its turn; undefined where there is nothing to send. */
  early: Map<number, Packet | undefined>;
  /** The highest rev that is known to exist. */
  headRev: number;
  gapTimer: NodeJS.Timeout | undefined;
  filling: boolean;
}

export interface SequencerDeps {
  chatLog: Pick<ChatLog, 'head' | 'after'>;
  events: Pick<ChatEvents, 'of'>;
  rooms: Rooms<typeof chatEvents>;
  log: Log;
}

/** Heads that are read at once when positions are compared. */
const COMPARED_AT_ONCE = 16;

export class Sequencer {
  readonly #deps: SequencerDeps;
  readonly #chats = new Map<string, ChatState>();
  #compareTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: SequencerDeps) {
    this.#deps = deps;
    this.#scheduleCompare();
  }

  /** Call it before sockets join a room: what was known while nobody was in it may be old. */
  entering(chatId: string): void {
    const state = this.#chats.get(chatId);
    if (state && !this.#deps.rooms.has(chatRoom(chatId))) this.#forget(chatId, state);
  }

  /** Resolves when every entry above the log's present end will be emitted. Call it after a socket has joined the room. */
  open(chatId: string): Promise<void> {
    const known = this.#chats.get(chatId);
    if (known) return known.ready;
    const state = newState(undefined);
    this.#chats.set(chatId, state);
    state.ready = this.#baseline(chatId, state).catch((error: unknown) => {
      this.#chats.delete(chatId);
      throw error;
    });
    return state.ready;
  }

  /** As `open`, with a baseline that is known: everything above `rev` will be emitted. */
  openAt(chatId: string, rev: number): void {
    if (this.#chats.has(chatId)) return;
    const state = newState(rev);
    this.#chats.set(chatId, state);
    // What was relayed before this node listened is read.
    this.#catchUp(chatId, state).catch((error: unknown) => this.#warn(chatId, error));
  }

  /** An entry stands at `rev`; its packet, here or from elsewhere, in any order and any number of times. */
  accept(chatId: string, rev: number, packet: Packet | undefined): void {
    const state = this.#stateOf(chatId, rev);
    if (!state) return;
    state.early.set(rev, packet);
    this.#advance(chatId, state);
  }

  /** An entry stands at `rev`; unless its packet follows soon, it is read. */
  note(chatId: string, rev: number): void {
    const state = this.#stateOf(chatId, rev);
    if (state) this.#advance(chatId, state);
  }

  /** Compares with the log and emits what is missing. Chats without local sockets are forgotten. */
  async compare(): Promise<void> {
    const open = [...this.#chats];
    const work = async (): Promise<void> => {
      for (let next = open.pop(); next; next = open.pop()) {
        const [chatId, state] = next;
        if (!this.#deps.rooms.has(chatRoom(chatId))) this.#forget(chatId, state);
        else await this.#catchUp(chatId, state);
      }
    };
    await Promise.all(Array.from({ length: COMPARED_AT_ONCE }, work));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#compareTimer);
    for (const [chatId, state] of this.#chats) this.#forget(chatId, state);
  }

  /** The state of a chat that has sockets here and has not emitted `rev` yet. */
  #stateOf(chatId: string, rev: number): ChatState | undefined {
    const state = this.#chats.get(chatId);
    if (!state) return undefined;
    if (!this.#deps.rooms.has(chatRoom(chatId))) {
      this.#forget(chatId, state);
      return undefined;
    }
    if (state.lastRev !== undefined && rev <= state.lastRev) return undefined;
    state.headRev = Math.max(state.headRev, rev);
    return state;
  }

  async #baseline(chatId: string, state: ChatState): Promise<void> {
    // Listening first, reading second: what is written in between is relayed.
    await this.#deps.rooms.listening(chatRoom(chatId));
    const { rev } = await this.#deps.chatLog.head(new Types.ObjectId(chatId));
    state.lastRev = rev;
    this.#advance(chatId, state);
  }

  async #catchUp(chatId: string, state: ChatState): Promise<void> {
    await state.ready;
    await this.#deps.rooms.listening(chatRoom(chatId));
    const { rev } = await this.#deps.chatLog.head(new Types.ObjectId(chatId));
    state.headRev = Math.max(state.headRev, rev);
    if (rev > (state.lastRev ?? 0)) await this.#fill(chatId, state);
  }

  #advance(chatId: string, state: ChatState): void {
    if (state.lastRev === undefined) return;
    while (state.early.has(state.lastRev + 1)) {
      state.lastRev++;
      const packet = state.early.get(state.lastRev);
      state.early.delete(state.lastRev);
      if (packet) this.#deps.rooms.deliver(chatRoom(chatId), packet);
    }
    for (const rev of state.early.keys()) if (rev <= state.lastRev) state.early.delete(rev);
    if (state.headRev <= state.lastRev) {
      clearTimeout(state.gapTimer);
      state.gapTimer = undefined;
    } else if (!state.gapTimer && !state.filling) {
      state.gapTimer = setTimeout(() => {
        state.gapTimer = undefined;
        this.#fill(chatId, state).catch((error: unknown) => this.#warn(chatId, error));
      }, LIMITS.gapFillMs).unref();
    }
  }

  async #fill(chatId: string, state: ChatState): Promise<void> {
    if (state.filling) return;
    state.filling = true;
    try {
      for (;;) {
        const after = state.lastRev ?? 0;
        const missed = await this.#deps.chatLog.after(new Types.ObjectId(chatId), after, LIMITS.syncMax);
        const [first] = missed;
        // What retention has taken meanwhile cannot be told; `chat:sync` says so to whoever asks.
        if (first && first.rev > (state.lastRev ?? 0) + 1) state.lastRev = first.rev - 1;
        for (const { rev, packet } of await this.#deps.events.of(missed)) {
          if (rev > (state.lastRev ?? 0)) state.early.set(rev, packet);
        }
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

  #warn(chatId: string, error: unknown): void {
    this.#deps.log.warn('a gap in a chat could not be filled yet', { chatId, error });
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
  headRev: lastRev ?? 0,
  gapTimer: undefined,
  filling: false,
});
