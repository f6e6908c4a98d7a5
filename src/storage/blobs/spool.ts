/**
 * Content on its way to a store, kept until it is whole: a little in memory, more in a file without a name. So a sender who
 * is slow costs no memory, one who fails leaves nothing in the store, and whatever is sent can be sent again.
 */
import { randomBytes } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { wrongSize } from './blob-content.ts';

/** Most blobs are smaller and need no file. */
const HELD_BYTES = 256 * 1024;

export interface SpoolOptions {
  directory: string;
  sizeBytes?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** All of the content, or a rejection with what is wrong with it. The caller disposes it. */
export async function spool(content: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<Spool> {
  const { directory, sizeBytes, signal } = options;
  const taken = new Spool(directory);
  try {
    await pipeline(
      content,
      async (chunks: AsyncIterable<Uint8Array>) => {
        for await (const chunk of chunks) {
          if (sizeBytes !== undefined && taken.sizeBytes + chunk.byteLength > sizeBytes) throw wrongSize();
          await taken.add(chunk);
        }
        if (sizeBytes !== undefined && taken.sizeBytes !== sizeBytes) throw wrongSize();
      },
      signal ? { signal } : {},
    );
    return taken;
  } catch (error) {
    await taken[Symbol.asyncDispose]();
    throw error;
  }
}

export class Spool implements AsyncDisposable {
  readonly #directory: string;
  #held: Uint8Array[] = [];
  #file: FileHandle | undefined;
  sizeBytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.sizeBytes += chunk.byteLength;
    this.#held.push(chunk);
    if (!this.#file) {
      if (this.sizeBytes <= HELD_BYTES) return;
      this.#file = await openNameless(this.#directory);
    }
    for (const each of this.#held.splice(0)) await this.#file.writeFile(each);
  }

  /** Half-open. */
  async part(start: number, end: number): Promise<Buffer> {
    if (!this.#file) return Buffer.concat(this.#held).subarray(start, end);
    const bytes = Buffer.allocUnsafe(end - start);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await this.#file.read(bytes, at, bytes.length - at, start + at);
      if (bytesRead === 0) throw new Error('The file of an upload has become shorter');
      at += bytesRead;
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held = [];
    await this.#file?.close();
  }
}

/** It goes when it is closed, even by a crash. */
async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, randomBytes(12).toString('hex'));
  const handle = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
