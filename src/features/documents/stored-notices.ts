/** Tells every node which documents have been stored: once for all that came within a moment, from the node that stored them. */
import { z } from 'zod';
import { ALL_NODES, type Bus } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Id } from '../../protocol/index.ts';

/** Somebody who types makes a few updates in this time; a copy of the text follows within half a second. */
const GATHER_MS = 150;
/** Ids of one notice: it stays small. */
const BATCH = 1_000;

const DocumentsStored = z.object({ type: z.literal('documents:stored'), fileIds: z.array(Id) });

export type StoredListener = (fileIds: readonly string[]) => void;

export class StoredNotices {
  readonly #bus: Pick<Bus, 'publish' | 'subscribe'>;
  readonly #log: Log;
  readonly #pending = new Set<string>();
  readonly #listeners = new Set<{ call: StoredListener }>();
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(bus: Pick<Bus, 'publish' | 'subscribe'>, log: Log) {
    this.#bus = bus;
    this.#log = log;
  }

  /** An update is durable. */
  note(fileId: string): void {
    this.#pending.add(fileId);
    this.#timer ??= setTimeout(() => this.#tell(), GATHER_MS).unref();
  }

  /** Called for documents that were stored on any node. A notice may be lost. Returns how to stop. */
  listen(call: StoredListener): () => void {
    const entry = { call };
    this.#listeners.add(entry);
    this.#unsubscribe ??= this.#bus.subscribe(ALL_NODES, (data) => this.#hear(data));
    return () => void this.#listeners.delete(entry);
  }

  /** Tells what waits. */
  close(): void {
    this.#tell();
    this.#unsubscribe?.();
    this.#listeners.clear();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const fileIds = [...this.#pending];
    this.#pending.clear();
    for (let i = 0; i < fileIds.length; i += BATCH) {
      this.#bus.publish(ALL_NODES, { type: 'documents:stored', fileIds: fileIds.slice(i, i + BATCH) });
    }
  }

  #hear(data: unknown): void {
    const notice = DocumentsStored.safeParse(data);
    if (!notice.success) return;
    for (const { call } of this.#listeners) {
      try {
        call(notice.data.fileIds);
      } catch (error) {
        this.#log.error('A listener of documents broke', { error });
      }
    }
  }
}
