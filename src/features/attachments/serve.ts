/** Gives out the bytes of an attachment: whole, a part, or the word that the client has them. */
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { Fault } from '../../protocol/index.ts';
import type { Blobs, ByteRange } from '../../storage/blobs/index.ts';
import { blobKeyOf, type StoredAttachment } from './model.ts';

/** The content under an id never changes; but who may see it does, so caches keep it shortly. */
const CACHED_SECONDS = 300;

export async function serveAttachment(
  request: Request,
  response: Response,
  { attachment, blobs }: { attachment: StoredAttachment; blobs: Blobs },
): Promise<void> {
  const { _id, kind, mime, name, sizeBytes, digest } = attachment;
  const headers = {
    'Content-Type': mime,
    'Content-Disposition': dispositionOf(kind === 'file' ? 'attachment' : 'inline', name),
    // Opened by itself it may run nothing and load nothing.
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    // Compressed, it would have no ranges.
    'Cache-Control': `private, max-age=${CACHED_SECONDS}, no-transform`,
    'Accept-Ranges': 'bytes',
    ETag: `"${digest}"`,
  };
  response.set(headers);
  if (request.fresh) {
    response.status(304).end();
    return;
  }
  const range = rangeOf(request, sizeBytes, `"${digest}"`);
  if (range === 'unsatisfiable') {
    response.status(416).set('Content-Range', `bytes */${sizeBytes}`).end();
    return;
  }
  if (range) response.status(206).set('Content-Range', `bytes ${range.start}-${range.end - 1}/${sizeBytes}`);
  response.set('Content-Length', String(range ? range.end - range.start : sizeBytes));
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const blob = await blobs.get(blobKeyOf(_id), range);
  if (!blob) {
    // Removed this moment; what is said of it goes with it.
    for (const name of [...Object.keys(headers), 'Content-Range', 'Content-Length']) response.removeHeader(name);
    throw new Fault('not_found', 'There is no such attachment');
  }
  try {
    await pipeline(blob.body, response);
  } catch (error) {
    // A reader who leaves is no error.
    if (!response.destroyed) throw error;
  }
}

/** The one range that is asked for; several, malformed ones, and those of another version are answered whole. */
function rangeOf(request: Request, sizeBytes: number, etag: string): ByteRange | 'unsatisfiable' | undefined {
  const condition = request.get('If-Range');
  if (condition !== undefined && condition !== etag) return undefined;
  const ranges = request.range(sizeBytes);
  if (ranges === -1) return 'unsatisfiable';
  if (ranges === undefined || ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return undefined;
  const [range] = ranges;
  return range && { start: range.start, end: range.end + 1 };
}

/** With a plain name for old clients, and the whole one. */
function dispositionOf(how: 'inline' | 'attachment', name: string): string {
  const plain = name.replaceAll(/[^\u0020-\u007e]|["\\%]/g, '_');
  const whole = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${how}; filename="${plain}"; filename*=UTF-8''${whole}`;
}
