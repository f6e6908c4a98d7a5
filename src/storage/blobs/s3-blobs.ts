/**
 * Blobs as objects of an S3 store. An object is replaced by one request when its content is there to the last byte, so
 * nobody sees a part of one. What S3 has no place for, an etag that changes even with the same content, is metadata.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import type {
  CompletedPart,
  CompleteMultipartUploadCommandInput,
  ListMultipartUploadsCommandOutput,
  PutObjectCommandInput,
  S3,
} from '@aws-sdk/client-s3';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import { checkContentType, dispositionOf, wrongSize } from './blob-content.ts';
import { isKey, mayBegin, MOST_LISTED, segmentsOf } from './blob-keys.ts';
import type { BlobContent, BlobListing, Blobs, BlobStat, ByteRange, PutOptions, UrlOptions } from './blobs.ts';
import { Gate } from './gate.ts';
import { connectS3, type S3Place } from './s3-client.ts';
import { spool, type Spool } from './spool.ts';

/** What is larger goes in parts of this size. */
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_ONCE = 2;
/** The bound of S3. */
const MOST_PARTS = 10_000;
/** Each takes as many parts of memory as it sends at once. */
const SENT_AT_ONCE = 4;
/** No upload takes so long: parts of this age belong to a process that was killed. */
const LEFT_MS = 24 * 3_600_000;
/** A store that nobody has asked for so long is asked whether it is there, when somebody wants to know. */
const STALE_MS = 10_000;

export interface S3BlobsOptions extends S3Place {
  /** Made if it is not there: where content waits until it is whole. */
  spoolDirectory: string;
  log: Log;
  now?: () => number;
}

/** Does not wait for the store: one that cannot be reached makes every operation `unavailable`. */
export async function createS3Blobs(options: S3BlobsOptions): Promise<S3Blobs> {
  await mkdir(options.spoolDirectory, { recursive: true, mode: 0o700 });
  return new S3Blobs(await connectS3(options), options);
}

export class S3Blobs implements Blobs {
  readonly #s3: S3;
  readonly #options: S3BlobsOptions;
  readonly #now: () => number;
  readonly #prefix: string;
  readonly #sending = new Gate(SENT_AT_ONCE);
  readonly #closing = new AbortController();
  readonly #tidying: Promise<void>;
  #isReachable = true;
  #askedAt = 0;
  #probing: Promise<void> | undefined;

  constructor(s3: S3, options: S3BlobsOptions) {
    const { prefix = '', now = Date.now } = options;
    this.#s3 = s3;
    this.#options = options;
    this.#now = now;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.#tidying = this.#tidy();
  }

  async put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions): Promise<BlobStat> {
    const name = this.#nameOf(key);
    const { contentType, sizeBytes, signal } = options;
    checkContentType(contentType);
    if (content instanceof Uint8Array) {
      if (sizeBytes !== undefined && content.byteLength !== sizeBytes) throw wrongSize();
      signal?.throwIfAborted();
      const { object, stat } = this.#made(key, name, contentType, content.byteLength);
      await this.#ask('put', this.#s3.putObject({ ...object, Body: content }));
      return stat;
    }
    await using taken = await spool(content, { directory: this.#options.spoolDirectory, sizeBytes, signal });
    const { object, stat } = this.#made(key, name, contentType, taken.sizeBytes);
    await this.#sending.run(async () => {
      if (taken.sizeBytes > PART_BYTES) await this.#putInParts(object, taken, stat, signal);
      else await this.#ask('put', this.#s3.putObject({ ...object, Body: await taken.part(0, taken.sizeBytes) }));
    });
    return stat;
  }

  async get(key: string, range?: ByteRange): Promise<BlobContent | undefined> {
    const name = this.#nameOf(key);
    if (range && !isRange(range)) {
      if (await this.stat(key)) throw outside(range);
      return undefined;
    }
    const found = await this.#find(
      'get',
      this.#s3.getObject({
        ...this.#at(name),
        ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
      }),
    ).catch((error: unknown) => {
      throw range && error instanceof Fault && nameOf(error.cause) === 'InvalidRange' ? outside(range) : error;
    });
    if (!found) return undefined;
    const body = this.#guarded(found.Body as Readable);
    // Of a range the store says how large the whole is; it cuts one off that goes beyond.
    const total = Number(found.ContentRange?.split('/')[1] ?? found.ContentLength ?? 0);
    if (range && (range.end > total || found.ContentLength !== range.end - range.start)) {
      body.destroy();
      if (range.end > total) throw outside(range);
      throw this.#unavailable('get', new Error('The store has not given the range that it was asked for'));
    }
    return { stat: statOf(key, { ...found, ContentLength: total }), body };
  }

  async stat(key: string): Promise<BlobStat | undefined> {
    const found = await this.#find('stat', this.#s3.headObject(this.#at(this.#nameOf(key))));
    return found && statOf(key, found);
  }

  async remove(key: string): Promise<void> {
    await this.#find('remove', this.#s3.deleteObject(this.#at(this.#nameOf(key))));
  }

  async list(
    prefix: string,
    { limit = MOST_LISTED, cursor }: { limit?: number; cursor?: string } = {},
  ): Promise<{ items: BlobListing[]; next: string | null }> {
    if (!mayBegin(prefix)) return { items: [], next: null };
    for (let after = cursor; ;) {
      const page = await this.#ask(
        'list',
        this.#s3.listObjectsV2({
          Bucket: this.#options.bucket,
          Prefix: this.#prefix + prefix,
          MaxKeys: Math.max(1, Math.min(limit, MOST_LISTED)),
          // XML has no place for some characters of keys.
          EncodingType: 'url',
          ...(after === undefined ? {} : { StartAfter: this.#prefix + after }),
        }),
      );
      const all = (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified = new Date(0) }) => ({
        key: decoded(Key).slice(this.#prefix.length),
        sizeBytes: Size,
        modifiedAt: LastModified,
      }));
      // Others may have put in what cannot be ours, as the folders that some tools make.
      const items = all.filter(({ key }) => isKey(key));
      const next = (page.IsTruncated && all.at(-1)?.key) || null;
      if (items.length > 0 || next === null) return { items, next };
      after = next;
    }
  }

  async urlFor(key: string, options: UrlOptions): Promise<string> {
    const { method, expiresInSeconds, contentType, fileName, sizeBytes } = options;
    const object = this.#at(this.#nameOf(key));
    const [{ GetObjectCommand, PutObjectCommand }, { getSignedUrl }] = await Promise.all([
      import('@aws-sdk/client-s3'),
      import('@aws-sdk/s3-request-presigner'),
    ]);
    const command =
      method === 'GET'
        ? new GetObjectCommand({
            ...object,
            ...(contentType === undefined ? {} : { ResponseContentType: contentType }),
            ...(fileName === undefined ? {} : { ResponseContentDisposition: dispositionOf('attachment', fileName) }),
          })
        : new PutObjectCommand({
            ...object,
            ...(contentType === undefined ? {} : { ContentType: contentType }),
            ...(sizeBytes === undefined ? {} : { ContentLength: sizeBytes }),
          });
    return this.#ask(
      'sign',
      getSignedUrl(this.#s3, command, {
        expiresIn: expiresInSeconds,
        // Else anybody with the address could put a page where a picture is meant.
        signableHeaders: new Set(['host', 'content-type', 'content-length']),
      }),
    );
  }

  /** As far as is known: asks the store in the background when it has not been used for a while. */
  isReachable(): boolean {
    if (this.#now() - this.#askedAt > STALE_MS && !this.#closing.signal.aborted) {
      const abortSignal = this.#closing.signal;
      this.#probing ??= this.#ask('probe', this.#s3.headBucket({ Bucket: this.#options.bucket }, { abortSignal }))
        // What went wrong is in the log, and known from now on.
        .then(ignore, ignore)
        .finally(() => {
          this.#probing = undefined;
        });
    }
    return this.#isReachable;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#tidying, this.#probing]);
    this.#s3.destroy();
  }

  #nameOf(key: string): string {
    return this.#prefix + segmentsOf(key).join('/');
  }

  #at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: name };
  }

  #made(
    key: string,
    name: string,
    contentType: string,
    sizeBytes: number,
  ): { object: PutObjectCommandInput; stat: BlobStat } {
    const ms = Math.floor(this.#now());
    const version = `${ms.toString(36)}-${randomBytes(9).toString('base64url')}`;
    return {
      object: { ...this.#at(name), ContentType: contentType, Metadata: { version } },
      stat: { key, sizeBytes, contentType, etag: version, modifiedAt: new Date(ms) },
    };
  }

  /** Until the parts are put together it may be given up, and then none of them stays. */
  async #putInParts(
    object: PutObjectCommandInput,
    taken: Spool,
    stat: BlobStat,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { UploadId = '' } = await this.#ask('put', this.#s3.createMultipartUpload(object));
    const upload = { Bucket: object.Bucket, Key: object.Key, UploadId };
    try {
      const Parts = await this.#sendParts(upload, taken, signal);
      await this.#complete({ ...upload, MultipartUpload: { Parts } }, stat);
    } catch (error) {
      // Where this fails too, they go when they are old.
      await this.#find('abort', this.#s3.abortMultipartUpload(upload)).catch(ignore);
      throw error;
    }
  }

  /** A few at a time; settles when none is under way any more. */
  async #sendParts(upload: Upload, taken: Spool, signal: AbortSignal | undefined): Promise<CompletedPart[]> {
    const partBytes = Math.max(PART_BYTES, Math.ceil(taken.sizeBytes / MOST_PARTS));
    const parts: CompletedPart[] = [];
    const failed = new AbortController();
    const abortSignal = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
    let next = 0;
    const send = async (): Promise<void> => {
      for (let start = next * partBytes; start < taken.sizeBytes; start = next * partBytes) {
        const PartNumber = ++next;
        const Body = await taken.part(start, Math.min(start + partBytes, taken.sizeBytes));
        abortSignal.throwIfAborted();
        const { ETag } = await this.#s3.uploadPart({ ...upload, PartNumber, Body }, { abortSignal });
        parts[PartNumber - 1] = { PartNumber, ETag };
      }
    };
    const sendOrStop = (): Promise<void> =>
      send().catch((error: unknown) => {
        failed.abort(error);
        throw error;
      });
    await Promise.allSettled(Array.from({ length: PARTS_AT_ONCE }, sendOrStop));
    signal?.throwIfAborted();
    if (failed.signal.aborted) throw this.#unavailable('put', failed.signal.reason);
    return parts;
  }

  async #complete(request: CompleteMultipartUploadCommandInput, { key, etag }: BlobStat): Promise<void> {
    const done = this.#s3.completeMultipartUpload(request).catch(async (error: unknown) => {
      // The answer may have been lost, and the SDK have asked in vain for what was done already.
      if (nameOf(error) !== 'NoSuchUpload' || (await this.stat(key))?.etag !== etag) throw error;
    });
    await this.#ask('put', done);
  }

  /** What the store answers, or undefined when it says that there is no such object. */
  async #find<T>(action: string, request: Promise<T>): Promise<T | undefined> {
    const missing = (error: unknown): undefined => {
      if (!['NoSuchKey', 'NoSuchUpload', 'NotFound'].includes(nameOf(error))) throw error;
    };
    return this.#ask(action, request.catch(missing));
  }

  /** What the store answers. Whatever it cannot do, for the caller it is not available. */
  async #ask<T>(action: string, request: Promise<T>): Promise<T> {
    try {
      const answer = await request;
      this.#heard(true);
      return answer;
    } catch (error) {
      throw this.#unavailable(action, error);
    }
  }

  #unavailable(action: string, error: unknown): Fault {
    const name = nameOf(error);
    // It is there, after all.
    this.#heard(name === 'InvalidRange');
    if (name !== 'InvalidRange' && !this.#closing.signal.aborted) {
      this.#options.log.warn('the object store failed', { action, error });
    }
    return new Fault('unavailable', 'The store of files does not answer as it should', { cause: error });
  }

  #heard(isReachable: boolean): void {
    this.#isReachable = isReachable;
    this.#askedAt = this.#now();
  }

  /** A body whose failure is that of any other request, and which gives its connection back when it is not read. */
  #guarded(body: Readable): Readable {
    const out = new PassThrough();
    body.on('error', (error) => out.destroy(this.#unavailable('get', error)));
    out.once('close', () => body.destroy());
    return body.pipe(out);
  }

  /** Removes the parts that killed processes have left long ago; they are invisible, but cost space. */
  async #tidy(): Promise<void> {
    const { bucket: Bucket, log } = this.#options;
    const abortSignal = this.#closing.signal;
    const before = this.#now() - LEFT_MS;
    try {
      for (let marker: Marker | undefined = {}; marker;) {
        const page: ListMultipartUploadsCommandOutput = await this.#s3.listMultipartUploads(
          { Bucket, Prefix: this.#prefix, EncodingType: 'url', ...marker },
          { abortSignal },
        );
        for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
          if (Initiated === undefined || Initiated.getTime() > before) continue;
          await this.#s3.abortMultipartUpload({ Bucket, Key: decoded(Key), UploadId }, { abortSignal });
        }
        marker = markerOf(page);
      }
    } catch (error) {
      if (!abortSignal.aborted) log.warn('the object store could not be searched for parts of old uploads', { error });
    }
  }
}

interface Upload {
  Bucket: string | undefined;
  Key: string | undefined;
  UploadId: string;
}

interface Facts {
  ContentLength?: number | undefined;
  ContentType?: string | undefined;
  ETag?: string | undefined;
  LastModified?: Date | undefined;
  Metadata?: Record<string, string> | undefined;
}

/** Of what was put by a signed address, the store's own etag and time: it is the one thing that has no version of ours. */
function statOf(key: string, { ContentLength = 0, ContentType, ETag, LastModified, Metadata }: Facts): BlobStat {
  const version = Metadata?.['version'];
  const modifiedAt = version === undefined ? LastModified : new Date(Number.parseInt(version, 36));
  return {
    key,
    sizeBytes: ContentLength,
    contentType: ContentType ?? 'application/octet-stream',
    etag: version ?? `${(ETag ?? '').replaceAll(/[^\w-]/g, '')}-${(LastModified?.getTime() ?? 0).toString(36)}`,
    modifiedAt: modifiedAt ?? new Date(0),
  };
}

/** Where a listing of uploads goes on. */
interface Marker {
  KeyMarker?: string;
  UploadIdMarker?: string;
}

const markerOf = (page: ListMultipartUploadsCommandOutput): Marker | undefined => {
  const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
  if (!IsTruncated || NextKeyMarker === undefined) return undefined;
  return {
    KeyMarker: decoded(NextKeyMarker),
    ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
  };
};

const isRange = ({ start, end }: ByteRange): boolean =>
  Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end;

const outside = ({ start, end }: ByteRange): RangeError => new RangeError(`No bytes ${start} to ${end} in this blob`);

/** Some stores write a blank as a plus sign. */
const decoded = (key: string): string => decodeURIComponent(key.replaceAll('+', ' '));

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

const ignore = (): void => {};
