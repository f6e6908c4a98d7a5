/**
 * What registries gave, on disk, for all sandboxes. What has a declared hash is checked before it is kept, and kept for
 * good; other things are asked about again when their time is over. The files' times of change say when they were last
 * used or found right, so the directory knows all there is to know, also after a restart and for several servers.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { Fault } from '../../protocol/index.ts';
import type { UpstreamAnswer } from './upstream.ts';

/** A hash that whoever names a thing declares of it. */
export interface Digest {
  algorithm: 'sha512' | 'sha384' | 'sha256' | 'sha1';
  /** Hexadecimal. */
  hex: string;
}

export interface Wanted {
  /** Names the thing, with all that its content depends on. */
  key: string;
  digest?: Digest | undefined;
  /** Whatever is here will do. */
  atAnyAge?: boolean | undefined;
  fetch(known: { etag?: string | undefined; lastModified?: string | undefined }): Promise<UpstreamAnswer>;
  /** Called for what was fetched anew. */
  onFetched?: (sizeBytes: number) => void;
}

const Meta = z.object({
  key: z.string(),
  url: z.string(),
  etag: z.string().optional(),
  lastModified: z.string().optional(),
  contentType: z.string().optional(),
  /** Undefined: for good. */
  freshMs: z.number().optional(),
});
type Meta = z.output<typeof Meta>;

/** To be closed, unless its stream is read to its end or destroyed. */
export class Stored {
  readonly meta: Meta;
  readonly sizeBytes: number;
  readonly validatedAtMs: number;
  readonly #handle: FileHandle;
  readonly #start: number;

  constructor(handle: FileHandle, meta: Meta, start: number, file: { size: number; mtimeMs: number }) {
    this.#handle = handle;
    this.meta = meta;
    this.#start = start;
    this.sizeBytes = file.size - start;
    this.validatedAtMs = file.mtimeMs;
  }

  stream(): Readable {
    return this.#handle.createReadStream({ start: this.#start });
  }

  async bytes(): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(this.sizeBytes);
    for (let read = 0; read < bytes.length;) {
      const { bytesRead } = await this.#handle.read(bytes, read, bytes.length - read, this.#start + read);
      if (bytesRead === 0) throw new Error('A cached package is shorter than it was');
      read += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** The first line of a file in the cache. */
const HEAD_BYTES = 16_384;
/** npm's own registry says five minutes; a registry that says nothing is asked as often as that. */
const USUAL_FRESH_MS = 300_000;
const LONGEST_FRESH_MS = 3_600_000;
/** What is in use is marked at most so often: a write for each read would be too much. */
const MARK_EVERY_MS = 3_600_000;
/** What is written is looked over when so much has come. */
const TRIM_EVERY_SHARE = 1 / 16;
const TRIM_EVERY_FILES = 2_000;
/** A file takes at least a block. */
const LEAST_BYTES = 4_096;
/** Half-written files of a server that has gone. */
const ABANDONED_MS = 3_600_000;

export interface PackageCacheOptions {
  directory: string;
  maxBytes: number;
  now: () => number;
  onStale: (key: string, error: unknown) => void;
}

export class PackageCache {
  readonly #options: PackageCacheOptions;
  readonly #underWay = new Map<string, Promise<void>>();
  #newBytes = 0;
  /** The first write looks over what is there. */
  #newFiles = TRIM_EVERY_FILES;
  #trimming: Promise<void> | undefined;

  constructor(options: PackageCacheOptions) {
    this.#options = options;
  }

  /** Those who want the same thing at the same time share one request. */
  async get(wanted: Wanted): Promise<Stored> {
    const name = nameOf(wanted.key, wanted.digest);
    const found = await this.#open(name, wanted.key);
    if (found) {
      if (wanted.atAnyAge || this.#isFresh(found)) {
        await this.#mark(name, found);
        return found;
      }
      await found.close();
    }
    let fetching = this.#underWay.get(name);
    if (!fetching) {
      fetching = this.#fetch(name, wanted).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, fetching);
    }
    await fetching;
    const stored = await this.#open(name, wanted.key);
    if (!stored) throw new Fault('unavailable', 'The cache of packages has too little room');
    return stored;
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
    await this.#trimming;
  }

  #isFresh({ meta, validatedAtMs }: Stored): boolean {
    return meta.freshMs === undefined || this.#options.now() - validatedAtMs < meta.freshMs;
  }

  async #mark(name: string, { meta, validatedAtMs }: Stored): Promise<void> {
    if (meta.freshMs !== undefined || this.#options.now() - validatedAtMs < MARK_EVERY_MS) return;
    await this.#touch(name);
  }

  async #touch(name: string): Promise<void> {
    const at = new Date(this.#options.now());
    await utimes(join(this.#options.directory, name), at, at).catch(ignoreMissing);
  }

  async #fetch(name: string, wanted: Wanted): Promise<void> {
    const known = await this.#open(name, wanted.key);
    await known?.close();
    let answer: UpstreamAnswer;
    try {
      answer = await wanted.fetch(known?.meta ?? {});
    } catch (error) {
      // An index of yesterday installs more than none.
      if (!known || !(error instanceof Fault) || error.code !== 'upstream') throw error;
      this.#options.onStale(wanted.key, error);
      return this.#touch(name);
    }
    if (!answer.body) return this.#touch(name);
    const sizeBytes = await this.#write(name, wanted, answer, answer.body);
    wanted.onFetched?.(sizeBytes);
    this.#newBytes += Math.max(sizeBytes, LEAST_BYTES);
    this.#newFiles++;
    const isMuch = this.#newBytes >= this.#options.maxBytes * TRIM_EVERY_SHARE;
    if (isMuch || this.#newFiles >= TRIM_EVERY_FILES) this.#trim();
  }

  async #write(name: string, { key, digest }: Wanted, answer: UpstreamAnswer, body: Readable): Promise<number> {
    const { directory, now } = this.#options;
    const { url, etag, lastModified, contentType, maxAgeSeconds } = answer;
    const freshMs = maxAgeSeconds === undefined ? USUAL_FRESH_MS : Math.min(maxAgeSeconds * 1_000, LONGEST_FRESH_MS);
    const meta: Meta = { key, url: url.href, etag, lastModified, contentType, ...(digest ? {} : { freshMs }) };
    const head = Buffer.from(`${JSON.stringify(meta)}\n`);
    const partial = join(directory, `${name}.${randomBytes(6).toString('hex')}.part`);
    try {
      if (head.length > HEAD_BYTES) throw new Fault('upstream', "The registry's headers are too long");
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const handle = await open(partial, 'wx', 0o600);
      const hash = digest && createHash(digest.algorithm);
      let sizeBytes = 0;
      await pipeline(async function* withHead() {
        yield head;
        for await (const chunk of body as AsyncIterable<Buffer>) {
          hash?.update(chunk);
          sizeBytes += chunk.length;
          yield chunk;
        }
      }, handle.createWriteStream());
      if (digest && hash?.digest('hex') !== digest.hex) {
        throw new Fault('upstream', 'The registry gave something else than it declares');
      }
      const at = new Date(now());
      await utimes(partial, at, at);
      await rename(partial, join(directory, name));
      return sizeBytes;
    } catch (error) {
      // A body that fails before it is read says no more than that it has ended.
      const cause = body.errored ?? error;
      body.destroy();
      await rm(partial, { force: true });
      throw cause instanceof Fault ? cause : new Fault('upstream', 'The registry broke off', { cause });
    }
  }

  /** What cannot be read is not there. */
  async #open(name: string, key: string): Promise<Stored | undefined> {
    const handle = await open(join(this.#options.directory, name)).catch(ignoreMissing);
    if (!handle) return undefined;
    try {
      const [head, file] = await Promise.all([handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0), handle.stat()]);
      const end = head.buffer.subarray(0, head.bytesRead).indexOf(0x0a);
      const meta = Meta.parse(JSON.parse(head.buffer.toString('utf8', 0, Math.max(end, 0))));
      if (meta.key === key) return new Stored(handle, meta, end + 1, file);
    } catch {
      // Written by another version, or cut off with the power.
    }
    await handle.close();
    return undefined;
  }

  /** Removes what was not used for the longest time until the rest has room. */
  #trim(): void {
    // What comes meanwhile is looked over with what comes next.
    if (this.#trimming) return;
    this.#newBytes = 0;
    this.#newFiles = 0;
    this.#trimming = this.#removeOldest()
      .catch((error: unknown) => this.#options.onStale('trim', error))
      .finally(() => (this.#trimming = undefined));
  }

  async #removeOldest(): Promise<void> {
    const { directory, maxBytes, now } = this.#options;
    const files: { path: string; bytes: number; at: number }[] = [];
    for (const name of await readdir(directory)) {
      const path = join(directory, name);
      const file = await stat(path).catch(ignoreMissing);
      if (!file?.isFile()) continue;
      if (!name.endsWith('.part')) files.push({ path, bytes: Math.max(file.size, LEAST_BYTES), at: file.mtimeMs });
      else if (now() - file.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
    }
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files.sort((a, b) => a.at - b.at)) {
      if (bytes <= maxBytes) return;
      await rm(file.path, { force: true });
      bytes -= file.bytes;
    }
  }
}

const nameOf = (key: string, digest: Digest | undefined): string =>
  createHash('sha256').update(`${digest?.algorithm}:${digest?.hex}\n${key}`).digest('hex');

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  return undefined;
}
