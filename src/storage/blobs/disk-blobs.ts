/**
 * Blobs as files. The segments of a key become folders (`name.d`) and a file (`name.b`); the suffixes keep a blob `a`
 * beside blobs `a/b`, and drafts out of both. A draft becomes the blob by a rename, after it is on disk, so no process
 * ever sees a part of one. On a file system that ignores case, keys that differ by case only are one blob.
 */
import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { wrongSize } from './blob-content.ts';
import { factsOf, HEAD_BYTES, headOf, isMissing, openBlob, type OpenBlob } from './blob-file.ts';
import { compareKeys, MOST_LISTED, segmentsOf } from './blob-keys.ts';
import type { BlobContent, BlobListing, Blobs, BlobStat, ByteRange, PutOptions } from './blobs.ts';

const FOLDER = '.d';
const BLOB = '.b';
const DRAFTS = 'drafts';
/** No upload takes so long: a draft of this age belongs to a process that was killed. */
const DRAFT_MS = 24 * 3_600_000;
/** A folder may be removed as empty between its making and the rename into it, hardly so often in a row. */
const PLACE_TRIES = 20;

export interface DiskBlobsOptions {
  /** Made if it is not there; several processes may share it. */
  directory: string;
}

/** Opens the directory and removes what killed processes have left half-written long ago. */
export async function createDiskBlobs({ directory }: DiskBlobsOptions): Promise<Blobs> {
  const drafts = join(directory, DRAFTS);
  await mkdir(drafts, { recursive: true, mode: 0o700 });
  await removeOldDrafts(drafts);
  return new DiskBlobs(directory, drafts);
}

class DiskBlobs implements Blobs {
  readonly #root: string;
  readonly #drafts: string;

  constructor(root: string, drafts: string) {
    this.#root = root;
    this.#drafts = drafts;
  }

  async put(key: string, content: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions): Promise<BlobStat> {
    const file = this.#fileOf(key);
    const { contentType, sizeBytes, signal } = options;
    const head = headOf(contentType);
    const draft = join(this.#drafts, `${process.pid}-${randomBytes(12).toString('hex')}`);
    try {
      const handle = await open(draft, 'wx', 0o600);
      try {
        await handle.writeFile(head);
        await pipeline(
          content instanceof Uint8Array ? [content] : content,
          async (chunks: AsyncIterable<Uint8Array>) => {
            let written = 0;
            for await (const chunk of chunks) {
              written += chunk.byteLength;
              if (sizeBytes !== undefined && written > sizeBytes) break;
              await handle.writeFile(chunk);
            }
            if (sizeBytes !== undefined && written !== sizeBytes) throw wrongSize();
          },
          signal ? { signal } : {},
        );
        await handle.sync();
        const facts = factsOf(await handle.stat({ bigint: true }));
        await this.#place(draft, file);
        return { key, contentType, ...facts };
      } finally {
        await handle.close();
      }
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  async get(key: string, range?: ByteRange): Promise<BlobContent | undefined> {
    const blob = await openBlob(this.#fileOf(key));
    if (!blob) return undefined;
    const { handle, sizeBytes } = blob;
    const { start, end } = range ?? { start: 0, end: sizeBytes };
    if (start === end && range === undefined) {
      await handle.close();
      return { stat: statOf(key, blob), body: Readable.from([]) };
    }
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || start >= end || end > sizeBytes) {
      await handle.close();
      throw new RangeError(`No bytes ${start} to ${end} in a blob of ${sizeBytes}`);
    }
    // The stream's `end` is the last byte.
    const body = handle.createReadStream({ start: HEAD_BYTES + start, end: HEAD_BYTES + end - 1 });
    return { stat: statOf(key, blob), body };
  }

  async stat(key: string): Promise<BlobStat | undefined> {
    const blob = await openBlob(this.#fileOf(key));
    await blob?.handle.close();
    return blob && statOf(key, blob);
  }

  async remove(key: string): Promise<void> {
    const file = this.#fileOf(key);
    await rm(file, { force: true });
    await syncFolder(dirname(file)).catch(ignoreMissing);
    await this.#removeEmpty(dirname(file));
  }

  async list(
    prefix: string,
    { limit = MOST_LISTED, cursor }: { limit?: number; cursor?: string } = {},
  ): Promise<{ items: BlobListing[]; next: string | null }> {
    const most = Math.max(1, Math.min(limit, MOST_LISTED));
    const items: BlobListing[] = [];
    for await (const [key, file] of walk(this.#root, '', prefix, cursor)) {
      const stats = await stat(file, { bigint: true }).catch(ignoreMissing);
      // Removed since its folder was read.
      if (!stats) continue;
      if (items.length === most) return { items, next: items.at(-1)?.key ?? null };
      const { sizeBytes, modifiedAt } = factsOf(stats);
      items.push({ key, sizeBytes, modifiedAt });
    }
    return { items, next: null };
  }

  #fileOf(key: string): string {
    const segments = segmentsOf(key);
    const name = segments.pop() ?? '';
    return join(this.#root, ...segments.map((segment) => segment + FOLDER), name + BLOB);
  }

  async #place(draft: string, file: string): Promise<void> {
    const folder = dirname(file);
    for (let tries = 1; ; tries++) {
      let made: string | undefined;
      try {
        made = await mkdir(folder, { recursive: true, mode: 0o700 });
        await rename(draft, file);
      } catch (error) {
        if (isMissing(error) && tries < PLACE_TRIES) continue;
        throw error;
      }
      // A name is durable when its folder is, and so on up to the first folder that was there before.
      const last = made === undefined ? folder : dirname(made);
      for (let each = folder; ; each = dirname(each)) {
        await syncFolder(each);
        if (each === last) return;
      }
    }
  }

  /** Up to the first folder that holds something, which the system refuses to remove. */
  async #removeEmpty(folder: string): Promise<void> {
    for (let each = folder; each !== this.#root; each = dirname(each)) {
      const isRemoved = await rmdir(each).then(
        () => true,
        () => false,
      );
      if (!isRemoved) return;
    }
  }
}

const statOf = (key: string, { sizeBytes, contentType, etag, modifiedAt }: OpenBlob): BlobStat => ({
  key,
  sizeBytes,
  contentType,
  etag,
  modifiedAt,
});

/** Keys with the prefix after a key, in the order of their bytes, each with its file. Reads only the folders it must. */
async function* walk(
  folder: string,
  path: string,
  prefix: string,
  after: string | undefined,
): AsyncGenerator<[key: string, file: string]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(ignoreMissing);
  // What is in a folder `a` has keys that begin with `a/`, which is where the folder belongs among its neighbours.
  const named = (entries ?? []).flatMap((entry) => {
    const name = nameOf(entry);
    return name === undefined ? [] : [{ key: path + name, file: join(folder, entry.name) }];
  });
  named.sort((a, b) => compareKeys(a.key, b.key));
  for (const { key, file } of named) {
    if (key.endsWith('/')) {
      const mayHold = key.startsWith(prefix) || prefix.startsWith(key);
      const isBefore = after !== undefined && !after.startsWith(key) && compareKeys(key, after) < 0;
      if (mayHold && !isBefore) yield* walk(file, key, prefix, after);
    } else if (key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0)) {
      yield [key, file];
    }
  }
}

function nameOf(entry: Dirent): string | undefined {
  if (entry.isDirectory() && entry.name.endsWith(FOLDER)) return `${entry.name.slice(0, -FOLDER.length)}/`;
  return entry.isFile() && entry.name.endsWith(BLOB) ? entry.name.slice(0, -BLOB.length) : undefined;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeOldDrafts(drafts: string): Promise<void> {
  for (const name of await readdir(drafts)) {
    const file = join(drafts, name);
    const stats = await stat(file).catch(ignoreMissing);
    if (stats && Date.now() - stats.mtimeMs > DRAFT_MS) await rm(file, { force: true });
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
  return undefined;
}
