/** Removes attachments that nobody needs any more, and looks from time to time whether the others are still needed. */
import type { Log } from '../../observability/log.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { Collector } from '../uploads/index.ts';
import type { AttachmentStore } from './attachment-store.ts';
import { blobKeyOf, type AttachmentRecord } from './model.ts';

/** A message's attachments are looked at again after this, in case a crash has swallowed the word of its deletion. */
const LOOK_AGAIN_MS = 30 * 24 * 3_600_000;

export interface AttachmentCollectorDeps {
  store: AttachmentStore;
  blobs: Blobs;
  /** Whether the message is in its chat and carries the attachment. */
  isCarried: (use: { chatId: string; messageId: string; attachmentId: string }) => Promise<boolean>;
  log: Log;
}

export function createAttachmentCollector({
  store,
  blobs,
  isCarried,
  log,
}: AttachmentCollectorDeps): Collector<AttachmentRecord> {
  async function look(row: AttachmentRecord): Promise<void> {
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

  return new Collector({
    what: 'attachments',
    due: (limit) => store.due(limit),
    look,
    postpone: (row, ms) => store.postpone(row, ms),
    log,
  });
}
