/** Where bytes are kept that are no rows: uploads, pictures, built pages. One form keeps files; others may keep objects. */
import type { Readable } from 'node:stream';

export interface BlobStat {
  key: string;
  sizeBytes: number;
  contentType: string;
  /** Another one whenever the content is replaced. Plain characters, without quotes. */
  etag: string;
  modifiedAt: Date;
}

export interface BlobContent {
  stat: BlobStat;
  /** Of one version, also when the blob is replaced or removed meanwhile. To be read to its end or destroyed. */
  body: Readable;
}

export interface BlobListing {
  key: string;
  sizeBytes: number;
  modifiedAt: Date;
}

/** Half-open: `end` is the first byte that is not wanted. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface PutOptions {
  contentType: string;
  /** If known: content of another size is refused. */
  sizeBytes?: number;
  signal?: AbortSignal;
}

export interface UrlOptions {
  method: 'GET' | 'PUT';
  expiresInSeconds: number;
  /** Of the answer; or of what is put, which must then be sent with just this type. */
  contentType?: string;
  /** Of `GET`: the name that a browser saves it under. */
  fileName?: string;
  /** Of `PUT`: content of another size is refused. */
  sizeBytes?: number;
}

/**
 * Keys are paths of segments between slashes (`blob-keys.ts` says which); anything else is `Fault('invalid')`. Several
 * processes may use one store at once.
 */
export interface Blobs {
  /**
   * Stores a blob whole and durably, in place of what was there. Content is taken as fast as it can be written. If the
   * content fails, has another size than said, or `signal` aborts, it rejects and what was there stays.
   */
  put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions): Promise<BlobStat>;
  /** The blob or a part of it, or undefined if there is none. A range that does not lie within it is a `RangeError`. */
  get(key: string, range?: ByteRange): Promise<BlobContent | undefined>;
  stat(key: string): Promise<BlobStat | undefined>;
  /** Does nothing when there is none. */
  remove(key: string): Promise<void>;
  /** A page (at most 1,000) of the keys that begin with `prefix`, in the order of their bytes; `next` is the next page's `cursor`. */
  list(
    prefix: string,
    page?: { limit?: number; cursor?: string },
  ): Promise<{ items: BlobListing[]; next: string | null }>;
  /** A URL by which anybody may get or put this one blob for a while; only of stores that clients can reach themselves. */
  urlFor?(key: string, options: UrlOptions): Promise<string>;
}
