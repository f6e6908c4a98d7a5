/** Removes attachments that nobody needs any more, and looks from time to time whether the others are still needed. */
import type { Log } from '../../observability/log.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { AttachmentStore } from './attachment-store.ts';
import { blobKeyOf, type AttachmentRecord } from './model.ts';

const BATCH = 100;
/** A message's attachments are looked at again after this, in case a crash has swallowed the word of its deletion. */
const LOOK_AGAIN_MS = 30 * 24 * 3_600_000;
/** One that cannot be removed must not hold up the others. */
const TRY_AGAIN_MS = 3_600_000;

export interface CollectorDeps {
  store: AttachmentStore;
  blobs: Blobs;
  /** Whether the message is in its chat and carries the attachment. */
  isCarried: (use: { chatId: string; messageId: string; attachmentId: string }) => Promise<boolean>;
  log: Log;
}

export class Collector {
  readonly #deps: CollectorDeps;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;

  constructor(deps: CollectorDeps) {
    this.#deps = deps;
  }

  /** Until nothing is due. Several nodes may do it at once. */
  async collect(signal?: AbortSignal): Promise<void> {
    const { store, log } = this.#deps;
    for (;;) {
      const rows = await store.due(BATCH);
      for (const row of rows) {
        if (signal?.aborted) return;
        try {
          await this.#look(row);
        } catch (error) {
          log.warn('An attachment could not be collected', { error });
          await store.postpone(row, TRY_AGAIN_MS);
        }
      }
      if (rows.length < BATCH) return;
    }
  }

  /** In the background, one at a time; what happens meanwhile makes it begin again. */
  soon(): void {
    if (this.#closing.signal.aborted) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = this.collect(this.#closing.signal)
      .catch((error: unknown) => this.#deps.log.warn('Attachments could not be collected', { error }))
      .finally(() => {
        this.#running = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.soon();
      });
  }

  /** Ends after the attachment that is being removed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #look(row: AttachmentRecord): Promise<void> {
    const { store, blobs, isCarried } = this.#deps;
    const { _id, state, chatId, messageId } = row;
    if (state === 'used' && chatId && messageId) {
      const use = {
        chatId: chatId.toHexString(),
        messageId: messageId.toHexString(),
        attachmentId: _id.toHexString(),
      };
      if (await isCarried(use)) return store.keep(row, LOOK_AGAIN_MS);
    }
    if (!(await store.condemn(row))) return;
    await blobs.remove(blobKeyOf(_id));
    await store.forget(_id);
  }
}
