/** Gives out stored bytes: whole, a part, or the word that the client has them. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { dispositionOf, type ByteRange } from '../../storage/blobs/index.ts';

/** Who may see a thing changes, so caches keep it shortly. */
const CACHED_SECONDS = 300;

export interface Served {
  contentType: string;
  disposition: 'inline' | 'attachment';
  /** What it is saved as. */
  name: string;
  sizeBytes: number;
  /** Another one whenever the content is. Without quotes. */
  etag: string;
  /** Undefined when it is gone: then `missing` is thrown. */
  open: (range: ByteRange | undefined) => Promise<Readable | undefined>;
  missing: () => Error;
}

export async function serveBlob(request: Request, response: Response, served: Served): Promise<void> {
  const { contentType, disposition, name, sizeBytes, open, missing } = served;
  const etag = `"${served.etag}"`;
  const headers = {
    'Content-Type': contentType,
    'Content-Disposition': dispositionOf(disposition, name),
    // Opened by itself it may run nothing and load nothing.
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    // Compressed, it would have no ranges.
    'Cache-Control': `private, max-age=${CACHED_SECONDS}, no-transform`,
    'Accept-Ranges': 'bytes',
    ETag: etag,
  };
  response.set(headers);
  if (request.fresh) {
    response.status(304).end();
    return;
  }
  const range = rangeOf(request, sizeBytes, etag);
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
  const body = await open(range);
  if (!body) {
    // Removed this moment; what is said of it goes with it.
    for (const header of [...Object.keys(headers), 'Content-Range', 'Content-Length']) response.removeHeader(header);
    throw missing();
  }
  try {
    await pipeline(body, response);
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
