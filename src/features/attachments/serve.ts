/** Gives out the bytes of an attachment. */
import type { Request, Response } from 'express';
import { Fault } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { serveBlob } from '../uploads/index.ts';
import { blobKeyOf, type StoredAttachment } from './model.ts';

export async function serveAttachment(
  request: Request,
  response: Response,
  { attachment, blobs }: { attachment: StoredAttachment; blobs: Blobs },
): Promise<void> {
  const { _id, kind, mime, name, sizeBytes, digest } = attachment;
  await serveBlob(request, response, {
    contentType: mime,
    disposition: kind === 'file' ? 'attachment' : 'inline',
    name,
    sizeBytes,
    etag: digest,
    open: async (range) => (await blobs.get(blobKeyOf(_id), range))?.body,
    missing: () => new Fault('not_found', 'There is no such attachment'),
  });
}
