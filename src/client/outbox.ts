/**
 * Messages that must not be lost with the connection or the page: stored before they are sent, sent in the order of
 * their chat, again and again with the same `clientId` until the server has acknowledged or refused them.
 */
import type { FaultCode } from '../protocol/fault.ts';
import { AtelierError } from './atelier-error.ts';
import { makeClientId, type ClientEvents, type OperationInput, type OperationOutput } from './operations.ts';
import type { OutboxItem, OutboxStorage } from './outbox-storage.ts';
import { pauseMs, type Timings } from './timings.ts';

type SendInput = OperationInput<'message:send'>;
type Sent = OperationOutput<'message:send'>;

/** What became of an item: `sent` carries the answer, by which the message is known from then on. */
export type OutboxChange =
  | { item: OutboxItem; state: 'waiting' | 'failed' | 'removed' }
  | { item: OutboxItem; state: 'sent'; sent: Sent };

export interface OutboxEvents {
  'outbox:changed': OutboxChange;
  /** The storage did not take the item: it is sent, but would be lost with the page. */
  'outbox:unsaved': { item: OutboxItem; error: unknown };
}

/** What `client.outbox` offers. */
export interface Outbox {
  /** Resolves when what an earlier page has left is listed. Rejects as the storage does. */
  loaded(): Promise<void>;
  /** Queues a message and returns it; it is listed until it is acknowledged. */
  send(chatId: string, content: string, more?: Omit<SendInput, 'chatId' | 'content'>): OutboxItem;
  /** What waits or was refused, in the order of writing; of one chat or of all. */
  items(chatId?: string): OutboxItem[];
  /** Sends again what was refused, at its old place. */
  retry(clientId: string): void;
  /** Gives up an item. If it was under way it may have been sent. */
  remove(clientId: string): void;
}

export interface OutboxDeps {
  storage: OutboxStorage;
  /** Sends as the application does; waits for a connection. */
  call: (input: SendInput & { clientId: string }, signal: AbortSignal) => Promise<Sent>;
  emit: <K extends keyof ClientEvents>(name: K, data: ClientEvents[K]) => void;
  timings: Timings;
}

export interface OutboxPart extends Outbox {
  /** Operations flow, and this is who is signed in. */
  up(userId: string): void;
  close(): void;
}

/** Items that wait; more are refused, so that a page that was left open does not grow. */
export const OUTBOX_MAX = 1_000;
/** Bugs of the server in a row after which an item counts as refused, so that it does not hold up its chat for ever. */
const INTERNAL_MAX = 5;
const PASSING: ReadonlySet<FaultCode> = new Set([
  'rate_limited',
  'timeout',
  'unavailable',
  'upstream',
  'unauthenticated',
]);

interface Entry {
  item: OutboxItem;
  /** What the storage has yet to do with it, one after another. */
  writes: number;
  /** Resolves when the storage has done it, well or badly. */
  stored: Promise<void>;
  /** Aborts when it was removed. */
  gone: AbortController;
}

export function createOutbox({ storage, call, emit, timings }: OutboxDeps): OutboxPart {
  /** By `clientId`, in the order of writing. */
  const entries = new Map<string, Entry>();
  /** Chats whose items are being sent. */
  const sending = new Set<string>();
  const closing = new AbortController();
  let me: string | undefined;
  let isLoaded = false;
  let lastMs = 0;
  /** Removed before it was known whether the storage has them. */
  const dropped = new Set<string>();

  /** The first write of an item begins at once: a storage that can has it when `send` returns. */
  const write = (entry: Entry, work: () => Promise<void>): Promise<void> => {
    const done = entry.writes++ === 0 ? work() : entry.stored.then(work);
    entry.stored = done
      .catch(() => undefined)
      .then(() => {
        entry.writes--;
      });
    return done;
  };

  const save = (entry: Entry): void => {
    const { item } = entry;
    write(entry, async () => storage.put(item)).catch((error: unknown) => emit('outbox:unsaved', { item, error }));
  };

  const discard = (entry: Entry): void => {
    const { clientId } = entry.item;
    entries.delete(clientId);
    if (!isLoaded) dropped.add(clientId);
    // What stays in the storage is sent again after a reload, which the server takes for the repetition that it is.
    write(entry, async () => storage.remove(clientId)).catch(() => undefined);
  };

  /** Another person's items on the same device wait for that person. */
  const isMine = ({ item }: Entry): boolean => me === undefined || item.userId === undefined || item.userId === me;

  const next = (chatId: string): Entry | undefined => {
    for (const entry of entries.values()) {
      if (entry.item.chatId === chatId && !entry.item.error && isMine(entry)) return entry;
    }
    return undefined;
  };

  const pump = (chatId: string): void => {
    if (me === undefined || !isLoaded || sending.has(chatId)) return;
    sending.add(chatId);
    void sendAll(chatId);
  };

  const sendAll = async (chatId: string): Promise<void> => {
    try {
      for (let entry = next(chatId); entry && !closing.signal.aborted; entry = next(chatId)) await deliver(entry);
    } finally {
      // In the same moment as the last look: what comes later finds nobody sending.
      sending.delete(chatId);
    }
  };

  const deliver = async (entry: Entry): Promise<void> => {
    const { gone } = entry;
    await entry.stored;
    const { chatId, clientId, message } = entry.item;
    for (let tries = 0; !gone.signal.aborted; tries++) {
      try {
        const sent = await call({ ...message, chatId, clientId }, gone.signal);
        if (gone.signal.aborted) return;
        discard(entry);
        emit('outbox:changed', { item: entry.item, state: 'sent', sent });
        return;
      } catch (error) {
        if (gone.signal.aborted) return;
        if (!(error instanceof AtelierError)) throw error;
        const passes = PASSING.has(error.code) || (error.code === 'internal' && tries < INTERNAL_MAX);
        if (!passes) {
          refuse(entry, error);
          return;
        }
        await pause(Math.max(error.retryAfterMs ?? 0, pauseMs(timings, tries)), gone.signal);
      }
    }
  };

  const refuse = (entry: Entry, { code, message, detail }: AtelierError): void => {
    entry.item = { ...entry.item, error: { code, message, ...(detail === undefined ? {} : { detail }) } };
    save(entry);
    emit('outbox:changed', { item: entry.item, state: 'failed' });
  };

  const add = (item: OutboxItem): Entry => {
    const entry: Entry = { item, writes: 0, stored: Promise.resolve(), gone: new AbortController() };
    entries.set(item.clientId, entry);
    lastMs = Math.max(lastMs, item.queuedAtMs);
    return entry;
  };

  const load = async (): Promise<void> => {
    const items = (await storage.load()).sort((a, b) => a.queuedAtMs - b.queuedAtMs);
    const written = new Map(entries);
    entries.clear();
    // What an earlier page has left comes before what this one has written meanwhile.
    for (const item of items) if (!written.has(item.clientId) && !dropped.has(item.clientId)) add(item);
    for (const [clientId, entry] of written) entries.set(clientId, entry);
  };
  const loading = load().finally(() => {
    isLoaded = true;
    dropped.clear();
  });
  loading.catch(() => undefined);

  return {
    loaded: () => loading,
    send(chatId, content, more = {}) {
      if (closing.signal.aborted) throw new AtelierError('unavailable', 'The client is closed');
      if (entries.size >= OUTBOX_MAX) throw new AtelierError('rate_limited', `More than ${OUTBOX_MAX} messages wait`);
      const { clientId = makeClientId(), ...rest } = more;
      const known = entries.get(clientId);
      if (known) return known.item;
      const item: OutboxItem = {
        clientId,
        chatId,
        message: { ...rest, content },
        queuedAtMs: Math.max(Date.now(), lastMs + 1),
        ...(me === undefined ? {} : { userId: me }),
      };
      const entry = add(item);
      save(entry);
      emit('outbox:changed', { item, state: 'waiting' });
      pump(chatId);
      return item;
    },
    items: (chatId) =>
      Array.from(entries.values())
        .filter((entry) => isMine(entry) && (chatId === undefined || entry.item.chatId === chatId))
        .map(({ item }) => item),
    retry(clientId) {
      const entry = entries.get(clientId);
      if (!entry?.item.error) return;
      const { error: _refusal, ...item } = entry.item;
      entry.item = item;
      save(entry);
      emit('outbox:changed', { item, state: 'waiting' });
      pump(item.chatId);
    },
    remove(clientId) {
      const entry = entries.get(clientId);
      if (!entry) return;
      entry.gone.abort();
      discard(entry);
      emit('outbox:changed', { item: entry.item, state: 'removed' });
    },
    up(userId) {
      me = userId;
      void loading
        .catch(() => undefined)
        .then(() => {
          for (const entry of entries.values()) {
            if (entry.item.userId === undefined) {
              entry.item = { ...entry.item, userId };
              save(entry);
            }
            pump(entry.item.chatId);
          }
        });
    },
    close() {
      closing.abort();
      for (const { gone } of entries.values()) gone.abort();
    },
  };
}

/** Ends early with the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
