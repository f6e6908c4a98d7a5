/** Which sessions lost a connection because its client did not read: their next `hello` says so, on whatever node, once. */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { ALL_NODES, type Bus } from '../cluster/index.ts';
import { Id, LIMITS } from '../protocol/index.ts';

export type PreviousClose = 'slow_consumer';

const REMEMBERED = 10_000;

const Notice = z.object({ type: z.enum(['connection:slow', 'connection:slow-told']), sessionId: Id });
type Notice = z.output<typeof Notice>;

export class PreviousCloses {
  readonly #bus: Bus;
  readonly #closes = new LRUCache<string, PreviousClose>({ max: REMEMBERED, ttl: LIMITS.previousCloseMs });
  readonly #unsubscribe: () => void;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#unsubscribe = bus.subscribe(ALL_NODES, (data) => {
      const { data: notice } = Notice.safeParse(data);
      if (notice?.type === 'connection:slow') this.#closes.set(notice.sessionId, 'slow_consumer');
      else if (notice) this.#closes.delete(notice.sessionId);
    });
  }

  remember(sessionId: string): void {
    this.#closes.set(sessionId, 'slow_consumer');
    this.#tell({ type: 'connection:slow', sessionId });
  }

  /** How the session's connection ended before, if it is worth telling; forgets it on every node. */
  take(sessionId: string): PreviousClose | undefined {
    const close = this.#closes.get(sessionId);
    if (close === undefined) return undefined;
    this.#closes.delete(sessionId);
    this.#tell({ type: 'connection:slow-told', sessionId });
    return close;
  }

  close(): void {
    this.#unsubscribe();
  }

  #tell(notice: Notice): void {
    this.#bus.relay(ALL_NODES, notice);
  }
}
