/** How much the uploads take: measured once a day by a job, since it means a look at every one of them. */
import type { Jobs } from '../../cluster/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { dayOf } from './days.ts';
import type { AdminModels } from './model.ts';

export interface UploadSizeDeps {
  blobs: Pick<Blobs, 'list'>;
  sizes: AdminModels['sizes'];
  jobs: Jobs;
  now: () => number;
}

const KIND = 'upload-size';
const TIMEOUT_MS = 30 * 60_000;
const UPLOADS = 'uploads' as never;

/** Where an earlier run has come to. */
interface Progress {
  cursor: string;
  bytes: number;
}

export class UploadSize {
  readonly #deps: UploadSizeDeps;

  constructor(deps: UploadSizeDeps) {
    this.#deps = deps;
    deps.jobs.handle<object, Progress>(
      KIND,
      async ({ resume, signal, progress }) => {
        let { cursor, bytes } = resume ?? { cursor: undefined, bytes: 0 };
        do {
          signal.throwIfAborted();
          const page = await deps.blobs.list('', cursor === undefined ? {} : { cursor });
          for (const { sizeBytes } of page.items) bytes += sizeBytes;
          cursor = page.next ?? undefined;
          if (cursor !== undefined) await progress({ cursor, bytes });
        } while (cursor !== undefined);
        await deps.sizes.collection.updateOne({ _id: UPLOADS }, { $set: { bytes } }, { upsert: true });
      },
      { concurrency: 1, timeoutMs: TIMEOUT_MS },
    );
  }

  /** Has it measured, unless that was done today. */
  async refresh(): Promise<void> {
    await this.#deps.jobs.enqueue(KIND, {}, { key: dayOf(this.#deps.now()) });
  }

  /** Undefined before the first time. */
  async read(): Promise<number | undefined> {
    const row = await this.#deps.sizes.collection.findOne<{ bytes: number }>({ _id: UPLOADS });
    return row?.bytes;
  }
}
