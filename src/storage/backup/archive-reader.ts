/** Reads a tar.gz, file after file, as fast as its reader goes. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { ArchiveUnusable } from './manifest.ts';

export interface ArchiveEntry {
  name: string;
  sizeBytes: number;
  pax: Record<string, string>;
  /** To be read to its end before the next one. */
  content: AsyncIterable<Uint8Array>;
}

/** What is wrong with the file itself is an `ArchiveUnusable`. */
export async function* readArchive(file: string): AsyncGenerator<ArchiveEntry> {
  const tar = extract();
  let failure: unknown;
  let wake = (): void => {};
  tar.on('drain', () => wake());
  tar.on('close', () => wake());
  tar.on('error', () => {});
  const feeding = pipeline(createReadStream(file), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      const room = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (!tar.write(chunk) && !tar.destroyed) await room;
      if (tar.destroyed) return;
    }
    tar.end(null);
  }).catch((error: unknown) => {
    failure ??= error;
    tar.destroy();
  });

  /** The tar says only that it was destroyed. */
  async function* contentOrFailure(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* content;
    } catch (error) {
      throw failure ?? error;
    }
  }

  try {
    for await (const entry of tar) {
      const { name, size, pax, type } = entry.header;
      if (type !== 'file') throw new ArchiveUnusable(`${file} holds something that is no file: ${name}`);
      const content = contentOrFailure(entry as AsyncIterable<Uint8Array>);
      yield { name, sizeBytes: size, pax: (pax ?? {}) as Record<string, string>, content };
      // What nobody wanted to read.
      entry.resume();
    }
  } catch (error) {
    throw failure ?? error;
  } finally {
    tar.destroy();
    await feeding;
  }
  if (failure) throw failure;
}

/** All of a small file. */
export async function contentOf({ content }: ArchiveEntry): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
