/** Writes a tar.gz, file after file, as fast as the disk takes it; the archive gets its name when it is whole. */
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Pack } from 'tar-stream';

export interface TarHead {
  name: string;
  sizeBytes: number;
  /** Kept beside the name. */
  pax?: Record<string, string>;
}

export class ArchiveWriter {
  readonly #file: string;
  readonly #draft: string;
  readonly #pack: Pack = pack();
  readonly #written: Promise<void>;
  #failure: unknown;

  constructor(file: string) {
    this.#file = file;
    this.#draft = `${file}.part`;
    this.#written = pipeline(
      this.#pack as unknown as AsyncIterable<Uint8Array>,
      createGzip(),
      createWriteStream(this.#draft, { mode: 0o600, flush: true }),
    );
    this.#written.catch((error: unknown) => {
      this.#failure ??= error;
      this.#pack.destroy();
    });
  }

  async add({ name, sizeBytes, pax }: TarHead, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    const head = { name, size: sizeBytes, mode: 0o600, mtime: new Date(0), ...(pax ? { pax } : {}) };
    // Called at the entry's end, and when the archive fails: nobody waits for ever.
    let settle: (error: unknown) => void = () => {};
    const added = new Promise<unknown>((resolve) => {
      settle = resolve;
    });
    this.#throwIfFailed();
    const entry = this.#pack.entry(head, (error) => settle(error));
    for await (const chunk of content) {
      if (!entry.write(chunk))
        await Promise.race([new Promise<void>((resolve) => entry.once('drain', () => resolve())), added]);
      this.#throwIfFailed();
    }
    entry.end(null);
    const error = await added;
    this.#throwIfFailed();
    if (error) throw error;
  }

  /** Resolves when the archive is on disk under its name. */
  async finish(): Promise<void> {
    this.#pack.finalize();
    await this.#written;
    await rename(this.#draft, this.#file);
    const folder = await open(dirname(this.#file), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    this.#pack.destroy();
    await this.#written.catch(() => {});
    await rm(this.#draft, { force: true });
  }
}
