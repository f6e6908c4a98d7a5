/**
 * Brings every chat up to date after each connection and closes holes in between, so that the application hears every
 * event of its chats once and in order from the first `ready` on.
 */
import { LIMITS } from '../protocol/limits.ts';
import { ChatLog, type LogEvent } from './chat-log.ts';
import { isGone, type Link } from './link.ts';
import type { Chat, ClientEvents, Message, ServerEvent } from './operations.ts';
import type { Timings } from './timings.ts';

/** A chat that is new to the client is told from its beginning up to this length; a longer one is to be read. */
export const REPLAY_MAX = 1_000;

export interface ChatsDeps {
  emit: <K extends keyof ClientEvents>(name: K, data: ClientEvents[K]) => void;
  timings: Timings;
}

export interface Chats {
  /** A connection has begun: resolves when each chat's place is known; what is missing follows by itself. */
  up(link: Link): Promise<void>;
  down(): void;
  onMessage: (event: ServerEvent<'message:created'>) => void;
  onCreated: (event: ServerEvent<'chat:created'>) => void;
  /** The application has made a chat; its notice follows. */
  onMade: (chat: Chat) => void;
  /** The application has read the chat up to there (`chat:join`). */
  onJoined: (chatId: string, rev: number) => void;
  /** The chat's log is known to reach there (the answer to `message:send`). */
  onHead: (chatId: string, rev: number) => void;
}

interface Entry {
  log: ChatLog;
  /** `chat:created` was told. */
  announced: boolean;
  /** Of an entry without a position: where to begin if the connection ends before it is known. */
  floor?: number;
  /** Its place is being asked for. */
  opening: boolean;
  filling: boolean;
  /** Fillings in a row that brought nothing. */
  stalls: number;
  timer?: ReturnType<typeof setTimeout>;
}

export function createChats({ emit, timings }: ChatsDeps): Chats {
  const entries = new Map<string, Entry>();
  /** Chats whose events the server sends by itself: all, or the newest if there are too many. */
  const automatic = new Set<string>();
  let tooMany = false;
  let link: Link | undefined;
  let first = true;
  /** Until the heads have come, events of unknown chats wait: they may have a past that the client missed. */
  let placing = true;
  let pollTimer: ReturnType<typeof setInterval> | undefined;

  const entryOf = (chatId: string): Entry => {
    const known = entries.get(chatId);
    if (known) return known;
    const entry: Entry = { log: new ChatLog(), announced: false, opening: false, filling: false, stalls: 0 };
    entries.set(chatId, entry);
    return entry;
  };

  const forget = (chatId: string): void => {
    clearTimeout(entries.get(chatId)?.timer);
    entries.delete(chatId);
    automatic.delete(chatId);
  };

  /** The chat is no longer the caller's; if it is again, that is news, and its events go on from where they were. */
  const leave = (chatId: string): void => {
    const entry = entries.get(chatId);
    if (entry) entry.announced = false;
  };

  const eventOf = (message: Message): LogEvent => ({
    rev: message.rev,
    deliver: () => emit('message:created', { chatId: message.chatId, rev: message.rev, message }),
  });

  /** Starts or ends the wait after which what is missing is asked for: events, or what chat this is. */
  const watch = (chatId: string, entry: Entry): void => {
    const isUnknown = entry.log.position === undefined && !entry.opening && !placing;
    if (!entry.log.behind && !isUnknown) {
      clearTimeout(entry.timer);
      delete entry.timer;
      entry.stalls = 0;
      return;
    }
    if (entry.timer || entry.filling || !link) return;
    const waitMs = Math.min(timings.pollMs, timings.holeMs * 2 ** Math.min(entry.stalls, 16));
    entry.timer = setTimeout(() => {
      delete entry.timer;
      if (entry.log.position === undefined) open(chatId);
      else fill(chatId, entry);
    }, waitMs);
  };

  const fill = (chatId: string, entry: Entry): void => {
    clearTimeout(entry.timer);
    delete entry.timer;
    const mine = link;
    if (!mine || entry.filling || !entry.log.behind) return;
    entry.filling = true;
    mine.run(async () => {
      try {
        await readMissing(mine, chatId, entry);
      } finally {
        entry.filling = false;
        if (entries.get(chatId) === entry) watch(chatId, entry);
      }
    });
  };

  const readMissing = async (mine: Link, chatId: string, entry: Entry): Promise<void> => {
    try {
      for (let more = true; more || entry.log.behind;) {
        const after = entry.log.position ?? 0;
        const page = await mine.ask('chat:sync', { chatId, after, limit: LIMITS.syncMax });
        if (entries.get(chatId) !== entry) return;
        if (page.reset) {
          emit('chat:reset', { chatId, position: page.position });
          entry.log.skip(page.position);
        } else entry.log.page(page.items.map(eventOf), page.position);
        entry.log.noteHead(page.head.rev);
        more = page.more;
        entry.stalls = (entry.log.position ?? 0) > after ? 0 : entry.stalls + 1;
        if (entry.stalls > 0) return;
      }
    } catch (error) {
      if (!isGone(error)) throw error;
      forget(chatId);
    }
  };

  /** A chat of which the client has not been told: it began while the client was away, or the notice is lost. */
  const open = (chatId: string): void => {
    const entry = entryOf(chatId);
    const mine = link;
    if (!mine || entry.opening) return;
    entry.opening = true;
    mine.run(async () => {
      try {
        const { chat } = await mine.ask('chat:get', { chatId });
        announce(entry, chat);
        const { head, position } = entry.log;
        const isLong = position === undefined && entry.floor === undefined && head > REPLAY_MAX;
        if (isLong) emit('chat:reset', { chatId, position: head });
        entry.log.place(entry.floor ?? (isLong ? head : 0));
        fill(chatId, entry);
      } catch (error) {
        if (!isGone(error)) throw error;
        forget(chatId);
      } finally {
        entry.opening = false;
      }
    });
  };

  const announce = (entry: Entry, chat: Chat): void => {
    if (entry.announced) return;
    entry.announced = true;
    emit('chat:created', { chat });
  };

  /** The heads of all chats that the server sends, and by name of the others that are known. */
  const readHeads = async (mine: Link): Promise<Map<string, number>> => {
    const before = Array.from(entries.keys());
    const { items } = await mine.ask('chat:heads', {});
    const heads = new Map(items.map((item) => [item.chatId, item.rev]));
    automatic.clear();
    for (const chatId of heads.keys()) automatic.add(chatId);
    tooMany = items.length >= LIMITS.chatsAtConnect;
    const others = before.filter((chatId) => !automatic.has(chatId));
    if (tooMany) await readOthers(mine, others, heads);
    else for (const chatId of others) leave(chatId);
    return heads;
  };

  const readOthers = async (mine: Link, chatIds: string[], heads: Map<string, number>): Promise<void> => {
    for (let i = 0; i < chatIds.length; i += LIMITS.chatsAtConnect) {
      const asked = chatIds.slice(i, i + LIMITS.chatsAtConnect);
      const { items } = await mine.ask('chat:heads', { chatIds: asked });
      const found = new Set<string>();
      for (const { chatId, rev } of items) {
        found.add(chatId);
        heads.set(chatId, rev);
      }
      for (const chatId of asked) if (!found.has(chatId)) forget(chatId);
    }
  };

  const poll = (): void => {
    const mine = link;
    const others = Array.from(entries.keys()).filter((chatId) => !automatic.has(chatId));
    if (!mine || !tooMany || placing || others.length === 0) return;
    mine.run(async () => {
      const heads = new Map<string, number>();
      await readOthers(mine, others, heads);
      for (const [chatId, rev] of heads) reach(chatId, rev);
    });
  };

  /** The log of a chat that has its place reaches to `rev`; what is missing is read at once. */
  const reach = (chatId: string, rev: number): void => {
    const entry = entries.get(chatId);
    if (!entry) return;
    entry.log.noteHead(rev);
    fill(chatId, entry);
  };

  return {
    async up(mine) {
      link = mine;
      placing = true;
      pollTimer = setInterval(poll, timings.pollMs);
      const heads = await readHeads(mine);
      placing = false;
      for (const [chatId, rev] of heads) {
        const { log, floor } = entryOf(chatId);
        if (log.position === undefined && first) log.place(rev);
        else if (floor !== undefined) log.place(floor);
        log.noteHead(rev);
        if (log.position === undefined) open(chatId);
        else reach(chatId, rev);
      }
      for (const [chatId, entry] of entries) {
        if (tooMany && !entry.opening) entry.log.placeAtFirst();
        watch(chatId, entry);
      }
      first = false;
    },
    down() {
      link = undefined;
      clearInterval(pollTimer);
      for (const entry of entries.values()) {
        clearTimeout(entry.timer);
        delete entry.timer;
      }
    },
    onMessage(event) {
      const entry = entryOf(event.chatId);
      entry.log.receive({ rev: event.rev, deliver: () => emit('message:created', event) });
      // Among too many chats it may be an old one that is told of again. Else it is new, and its notice is under way.
      if (tooMany && !placing && !entry.opening) entry.log.placeAtFirst();
      watch(event.chatId, entry);
    },
    onCreated({ chat }) {
      const entry = entryOf(chat.id);
      automatic.add(chat.id);
      announce(entry, chat);
      if (entry.log.position !== undefined) return;
      if (chat.lastSeq === 0) {
        entry.log.place(0);
        watch(chat.id, entry);
        return;
      }
      // It has a past that is read by `message:list`; where that ends in revs is asked.
      entry.floor = chat.lastSeq;
      const mine = link;
      if (!mine || placing || entry.opening) return;
      entry.opening = true;
      mine.run(async () => {
        try {
          const { items } = await mine.ask('chat:heads', { chatIds: [chat.id] });
          const head = items[0];
          if (head) entry.log.place(head.rev);
          else forget(chat.id);
        } finally {
          entry.opening = false;
        }
      });
    },
    onMade(chat) {
      if (chat.lastSeq === 0) entryOf(chat.id).log.place(0);
    },
    onJoined(chatId, rev) {
      const entry = entryOf(chatId);
      entry.log.place(rev);
      entry.log.noteHead(rev);
      watch(chatId, entry);
    },
    onHead(chatId, rev) {
      const entry = entries.get(chatId);
      if (!entry || entry.log.position === undefined) return;
      entry.log.noteHead(rev);
      watch(chatId, entry);
    },
  };
}
