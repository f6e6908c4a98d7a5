/** Tells that a document's text has been stored: once for many edits, on the node where they were made. */
import type { Log } from '../../observability/log.ts';
import { LIMITS } from '../../protocol/index.ts';

export interface SavedNoticesDeps {
  sizeBytes: (docId: string) => Promise<number>;
  /** At most once per `LIMITS.documentSavedMs` and document. */
  saved: (docId: string, change: { userId: string | undefined; sizeBytes: number }) => Promise<void>;
  log: Log;
}

interface Pending {
  userId: string | undefined;
  timer: NodeJS.Timeout;
}

export class SavedNotices {
  readonly #deps: SavedNoticesDeps;
  readonly #pending = new Map<string, Pending>();
  readonly #telling = new Set<Promise<void>>();

  constructor(deps: SavedNoticesDeps) {
    this.#deps = deps;
  }

  /** An update is durable. */
  note(docId: string, userId: string | undefined): void {
    const pending = this.#pending.get(docId);
    if (pending) {
      pending.userId = userId ?? pending.userId;
      return;
    }
    const timer = setTimeout(() => this.#tell(docId), LIMITS.documentSavedMs).unref();
    this.#pending.set(docId, { userId, timer });
  }

  /** Tells what waits. */
  async close(): Promise<void> {
    for (const docId of this.#pending.keys()) this.#tell(docId);
    await Promise.all(this.#telling);
  }

  #tell(docId: string): void {
    const pending = this.#pending.get(docId);
    if (!pending) return;
    clearTimeout(pending.timer);
    this.#pending.delete(docId);
    const { sizeBytes, saved, log } = this.#deps;
    const { userId } = pending;
    const task = sizeBytes(docId)
      .then((bytes) => saved(docId, { userId, sizeBytes: bytes }))
      .catch((error: unknown) => log.warn('a stored change of a file could not be told', { documentId: docId, error }))
      .finally(() => this.#telling.delete(task));
    this.#telling.add(task);
  }
}
