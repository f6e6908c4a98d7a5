/** Where messages wait that the server has not acknowledged. A form of its own for each place: memory, a browser's storage. */
import type { ErrorBody } from '../protocol/fault.ts';
import type { OperationInput } from './operations.ts';

export interface OutboxItem {
  /** Says of a repetition that it is one. */
  clientId: string;
  chatId: string;
  message: Omit<OperationInput<'message:send'>, 'chatId' | 'clientId'>;
  /** Milliseconds since 1970, later than that of every item before. */
  queuedAtMs: number;
  /** Who wrote it; missing until the first connection has said who that is. */
  userId?: string;
  /** Why the server refused it. It waits for `retry` or `remove`. */
  error?: Pick<ErrorBody, 'code' | 'message' | 'detail'>;
}

/** Calls about one item come one after another. A `put` that is done when it returns outlasts the page from then on. */
export interface OutboxStorage {
  load(): Promise<OutboxItem[]>;
  /** Adds an item or replaces the one with its `clientId`. */
  put(item: OutboxItem): Promise<void>;
  remove(clientId: string): Promise<void>;
}

/** Lasts as long as the client. */
export function memoryStorage(): OutboxStorage {
  const items = new Map<string, OutboxItem>();
  return {
    load: async () => Array.from(items.values()),
    async put(item) {
      items.set(item.clientId, item);
    },
    async remove(clientId) {
      items.delete(clientId);
    },
  };
}

/** What is used of `localStorage`. */
export interface WebStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Lasts as long as the browser keeps it. Tabs may share it: what two of them send is one message. */
export function webStorage(storage: WebStorage, prefix = 'atelier-outbox:'): OutboxStorage {
  return {
    async load() {
      const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index));
      return keys.flatMap((key) => (key?.startsWith(prefix) ? parse(storage.getItem(key)) : []));
    },
    async put(item) {
      storage.setItem(prefix + item.clientId, JSON.stringify(item));
    },
    async remove(clientId) {
      storage.removeItem(prefix + clientId);
    },
  };
}

/** Nothing where something else has written there. */
function parse(text: string | null): OutboxItem[] {
  try {
    const item = JSON.parse(text ?? '') as Partial<OutboxItem> | null;
    const isItem =
      typeof item?.clientId === 'string' &&
      typeof item.chatId === 'string' &&
      typeof item.queuedAtMs === 'number' &&
      typeof item.message === 'object';
    return isItem ? [item as OutboxItem] : [];
  } catch {
    return [];
  }
}
