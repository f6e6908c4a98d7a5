/** The contents of all files of a project, one after another, without holding more than a few of them. */
import { Readable } from 'node:stream';
import type { BlobReading } from './blob-reading.ts';
import type { ContentStore } from './content-store.ts';
import type { FileRecord } from './model.ts';

/** A file whose content is read when its turn has come. */
export interface FileToRead {
  file: FileRecord;
  /** Undefined if it is gone meanwhile. */
  open: () => Promise<AsyncIterable<Uint8Array> | undefined>;
}

export interface ProjectContentsDeps {
  texts: (fileIds: readonly string[]) => Promise<Map<string, string>>;
  reading: Pick<BlobReading, 'present'>;
  contents: Pick<ContentStore, 'body'>;
}

/** What is read at once. */
const WINDOW_FILES = 50;
const WINDOW_BYTES = 4 * 1_048_576;

export class ProjectContents {
  readonly #deps: ProjectContentsDeps;

  constructor(deps: ProjectContentsDeps) {
    this.#deps = deps;
  }

  /** Texts a few at a time, each time after `check`: whoever loses access in the middle gets no more. */
  async *read(all: readonly FileRecord[], check: () => Promise<unknown>): AsyncGenerator<FileToRead> {
    const { texts, reading, contents } = this.#deps;
    for (const window of windowsOf(all)) {
      await check();
      const ids = window.filter(({ kind }) => kind === 'text').map(({ _id }) => _id.toHexString());
      const byId = await texts(ids);
      for (const file of window) {
        const text = byId.get(file._id.toHexString());
        yield {
          file,
          open: async () => {
            if (file.kind === 'text') return text === undefined ? undefined : Readable.from([Buffer.from(text)]);
            return contents.body((await reading.present(file)).contentId);
          },
        };
      }
    }
  }
}

function* windowsOf(files: readonly FileRecord[]): Generator<FileRecord[]> {
  let window: FileRecord[] = [];
  let bytes = 0;
  for (const file of files) {
    const size = file.kind === 'text' ? file.sizeBytes : 0;
    if (window.length === WINDOW_FILES || (window.length > 0 && bytes + size > WINDOW_BYTES)) {
      yield window;
      window = [];
      bytes = 0;
    }
    window.push(file);
    bytes += size;
  }
  if (window.length > 0) yield window;
}
