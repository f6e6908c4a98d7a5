/** Files of this machine that last for one request: what has to be read from its end, as archives have. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { atMost } from '../uploads/index.ts';

/** No request takes so long: a file of this age belongs to a process that was killed. */
const FORGOTTEN_MS = 24 * 3_600_000;

export interface Spooled {
  path: string;
  remove(): Promise<void>;
}

export class Spool {
  readonly #directory: string;
  #ready: Promise<void> | undefined;

  /** Made when it is needed; several processes may share it. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Keeps the content; `too_large` where it is more, and then nothing of it stays. */
  async keep(
    content: AsyncIterable<Uint8Array>,
    { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
  ): Promise<Spooled> {
    this.#ready ??= this.#prepare();
    await this.#ready;
    const path = join(this.#directory, randomBytes(12).toString('hex'));
    const remove = (): Promise<void> => rm(path, { force: true });
    try {
      await pipeline(atMost(content, maxBytes), createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal });
      return { path, remove };
    } catch (error) {
      await remove();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const stats = await stat(path).catch(() => undefined);
      if (stats && Date.now() - stats.mtimeMs > FORGOTTEN_MS) await rm(path, { force: true });
    }
  }
}
