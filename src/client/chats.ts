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

/** Events that have a place in a chat's log. */
export type LoggedEvent = 'message:created' | 'message:updated' | 'message:deleted' | 'chat:members-changed';

interface Head {
  rev: number;
  seq: number;
}

export interface ChatsDeps {
  emit: <K extends keyof ClientEvents>(name: K, data: ClientEvents[K]) => void;
  timings: Timings;
}

export interface Chats {
  /** A connection has begun: resolves when each chat's place is known; what is missing follows by itself. */
  up(link: Link): Promise<void>;
  down(): void;
  /** An event of a chat's log. */
  onLogged: <K extends LoggedEvent>(name: K, event: ServerEvent<K>) => void;
  onCreated: (event: ServerEvent<'chat:created'>) => void;
  onDeleted: (event: ServerEvent<'chat:deleted'>) => void;
  /** The application has made a chat; its notice follows. */
  onMade: (chat: Chat) => void;
  /** The application has read the chat up to there (`chat:join`). */
  onJoined: (chatId: string, head: Head) => void;
  /** The chat's log is known to reach there (the answer to `message:send`). */
  onHead: (chatId: string, rev: number) => void;
}

interface Entry {
  log: ChatLog;
  /** The newest message that was told, or that was there before the first; tells a new message from a changed one. */
  seq: number | undefined;
  /** Messages that a page told in a state beyond its end, with the rev of that state. */
  ahead: Map<string, number>;
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
    const entry: Entry = {
      log: new ChatLog(),
      seq: undefined,
      ahead: new Map(),
      announced: false,
      opening: false,
      filling: false,
      stalls: 0,
    };
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

  /** Where an application that has not heard of a chat's messages begins. */
  const placeAt = (entry: Entry, { rev, seq }: Head): void => {
    entry.seq ??= seq;
    entry.log.place(rev);
  };

  /** A message as a page of the log gives it: new, or changed since it was told. */
  const stateOf = (entry: Entry, message: Message): LogEvent => ({
    rev: message.rev,
    deliver() {
      const { chatId, rev } = message;
      const isNew = message.seq > (entry.seq ?? 0);
      entry.ahead.set(message.id, rev);
      if (isNew) entry.seq = message.seq;
      emit(isNew ? 'message:created' : message.deletedAt ? 'message:deleted' : 'message:updated', {
        chatId,
        rev,
        message,
      });
    },
  });

  /** An event as the server told it; one whose message was told in that state or a later one is left out. */
  const eventOf = <K extends LoggedEvent>(entry: Entry, name: K, event: ServerEvent<K>): LogEvent => ({
    rev: event.rev,
    ...('message' in event ? {} : { alone: true }),
    deliver() {
      if ('message' in event) {
        const { id, seq, rev } = event.message;
        const told = entry.ahead.get(id) ?? 0;
        if (event.rev >= told) entry.ahead.delete(id);
        if (rev <= told) return;
        entry.seq = Math.max(entry.seq ?? 0, seq);
      }
      emit(name, event as ClientEvents[K]);
    },
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
        } else {
          const items = page.items.map((message) => stateOf(entry, message));
          entry.log.page(items, page.position);
          for (const [id, rev] of entry.ahead) if (rev <= page.position) entry.ahead.delete(id);
        }
        entry.log.noteHead(page.head.rev);
        if (page.membersChanged) emit('chat:updated', await mine.ask('chat:get', { chatId }));
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
        placeAt(entry, isLong ? { rev: head, seq: chat.lastSeq } : { rev: entry.floor ?? 0, seq: entry.floor ?? 0 });
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
  const readHeads = async (mine: Link): Promise<Map<string, Head>> => {
    const before = Array.from(entries.keys());
    const { items } = await mine.ask('chat:heads', {});
    const heads = new Map<string, Head>(items.map((item) => [item.chatId, item]));
    automatic.clear();
    for (const chatId of heads.keys()) automatic.add(chatId);
    tooMany = items.length >= LIMITS.chatsAtConnect;
    const others = before.filter((chatId) => !automatic.has(chatId));
    if (tooMany) await readOthers(mine, others, heads);
    else for (const chatId of others) leave(chatId);
    return heads;
  };

  const readOthers = async (mine: Link, chatIds: string[], heads: Map<string, Head>): Promise<void> => {
    for (let i = 0; i < chatIds.length; i += LIMITS.chatsAtConnect) {
      const asked = chatIds.slice(i, i + LIMITS.chatsAtConnect);
      const { items } = await mine.ask('chat:heads', { chatIds: asked });
      const found = new Set<string>();
      for (const item of items) {
        found.add(item.chatId);
        heads.set(item.chatId, item);
      }
      for (const chatId of asked) if (!found.has(chatId)) forget(chatId);
    }
  };

  const poll = (): void => {
    const mine = link;
    const others = Array.from(entries.keys()).filter((chatId) => !automatic.has(chatId));
    if (!mine || !tooMany || placing || others.length === 0) return;
    mine.run(async () => {
      const heads = new Map<string, Head>();
      await readOthers(mine, others, heads);
      for (const [chatId, { rev }] of heads) reach(chatId, rev);
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
      for (const [chatId, head] of heads) {
        const entry = entryOf(chatId);
        const { log, floor } = entry;
        const { rev } = head;
        if (log.position === undefined && first) placeAt(entry, head);
        else if (floor !== undefined) placeAt(entry, { rev: floor, seq: floor });
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
    onLogged(name, event) {
      const entry = entryOf(event.chatId);
      entry.log.receive(eventOf(entry, name, event));
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
        placeAt(entry, { rev: 0, seq: 0 });
        watch(chat.id, entry);
        return;
      }
      // It has a past that is read by `message:list`; where that ends in revs is asked. A rev is never below its seq.
      entry.floor = chat.lastSeq;
      const mine = link;
      if (!mine || placing || entry.opening) return;
      entry.opening = true;
      mine.run(async () => {
        try {
          const { items } = await mine.ask('chat:heads', { chatIds: [chat.id] });
          const head = items[0];
          if (head) placeAt(entry, head);
          else forget(chat.id);
        } finally {
          entry.opening = false;
        }
      });
    },
    onMade(chat) {
      if (chat.lastSeq === 0) placeAt(entryOf(chat.id), { rev: 0, seq: 0 });
    },
    onDeleted({ chatId }) {
      leave(chatId);
      emit('chat:deleted', { chatId });
    },
    onJoined(chatId, head) {
      const entry = entryOf(chatId);
      placeAt(entry, head);
      entry.log.noteHead(head.rev);
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
