/**
 * One blob as one file: a head of fixed length that carries what the file system cannot, then the content. One file, so
 * that one rename replaces both.
 */
import type { BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { checkContentType } from './blob-content.ts';

/** Fixed, so that the size of the content follows from that of the file. */
export const HEAD_BYTES = 512;

const Head = z.object({ v: z.literal(1), contentType: z.string() });

export interface OpenBlob {
  handle: FileHandle;
  sizeBytes: number;
  contentType: string;
  etag: string;
  modifiedAt: Date;
}

/** JSON, filled up with spaces and a line feed. */
export function headOf(contentType: string): Buffer {
  checkContentType(contentType);
  const text = JSON.stringify({ v: 1, contentType } satisfies z.input<typeof Head>);
  return Buffer.from(`${text.padEnd(HEAD_BYTES - 1)}\n`);
}

/** Opens a blob's file; the caller closes the handle. Undefined when there is no such file. */
export async function openBlob(file: string): Promise<OpenBlob | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const [{ buffer, bytesRead }, stats] = await Promise.all([
      handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0),
      handle.stat({ bigint: true }),
    ]);
    if (bytesRead < HEAD_BYTES) throw new Error(`${file} is damaged: it has no head`);
    const { contentType } = Head.parse(JSON.parse(buffer.toString()));
    return { handle, contentType, ...factsOf(stats) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The inode is there for two puts within one tick of the file system's clock. */
export const factsOf = (stats: BigIntStats): Pick<OpenBlob, 'sizeBytes' | 'etag' | 'modifiedAt'> => ({
  sizeBytes: Number(stats.size) - HEAD_BYTES,
  etag: `${stats.mtimeNs.toString(36)}-${stats.ino.toString(36)}`,
  modifiedAt: new Date(Number(stats.mtimeMs)),
});

/** Also when a part of the path is a file. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
