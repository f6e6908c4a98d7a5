/** Searches a project's paths and texts. Bounded in text, time and results, and it lets others in between. */
import { performance } from 'node:perf_hooks';
import { Types, type mongo } from 'mongoose';
import { LIMITS } from '../../protocol/index.ts';
import type { FileTree } from './file-tree.ts';
import type { FileRecord } from './model.ts';
import type { File } from './shapes.ts';
import { matchesIn, patternOf, type TextMatch } from './text-matches.ts';
import { toFile } from './views.ts';

export interface Found {
  items: (TextMatch & { fileId: string; path: string })[];
  names: File[];
  truncated: boolean;
}

export interface FileSearchDeps {
  files: mongo.Collection<FileRecord>;
  tree: Pick<FileTree, 'read'>;
  texts: (fileIds: readonly string[]) => Promise<Map<string, string>>;
}

export interface SearchQuery {
  query: string;
  caseSensitive?: boolean | undefined;
  limit?: number | undefined;
}

const DEFAULT_RESULTS = 50;
/** Texts that are in memory at once: so many, and of so many bytes (or one larger). */
const SLICE_FILES = 16;
const SLICE_BYTES = 1_048_576;
/** The event loop is kept no longer than this. */
const TURN_MS = 8;

export class FileSearch {
  readonly #deps: FileSearchDeps;

  constructor(deps: FileSearchDeps) {
    this.#deps = deps;
  }

  /** The caller may read the project. Rejects when `signal` aborts. */
  async search(projectId: string, search: SearchQuery, signal: AbortSignal): Promise<Found> {
    const { query, caseSensitive = false, limit = DEFAULT_RESULTS } = search;
    const pattern = patternOf(query, caseSensitive);
    const files = await this.#deps.tree.read(projectId, () =>
      this.#deps.files
        .find({ projectId: new Types.ObjectId(projectId), key: { $exists: true } })
        .sort({ key: 1 })
        .toArray(),
    );
    const named = files.filter(({ path }) => path.search(pattern) >= 0);
    const items: Found['items'] = [];
    const end = (truncated: boolean): Found => ({
      items,
      names: named.slice(0, limit).map(toFile),
      truncated: truncated || named.length > limit,
    });

    const startedAtMs = performance.now();
    const turn = new Turn(signal);
    let readBytes = 0;
    for (const slice of slicesOf(files.filter(({ kind, sizeBytes }) => kind === 'text' && sizeBytes > 0))) {
      const texts = await this.#deps.texts(slice.map(({ _id }) => _id.toHexString()));
      for (const { _id, path } of slice) {
        const fileId = _id.toHexString();
        const text = texts.get(fileId) ?? '';
        const options = { queryLength: query.length, previewLength: LIMITS.fileSearchPreview };
        for (const match of matchesIn(text, pattern, options)) {
          await turn.pass();
          if (!match) continue;
          if (items.length === limit) return end(true);
          items.push({ fileId, path, ...match });
        }
        readBytes += text.length;
        if (readBytes > LIMITS.fileSearchBytes || performance.now() - startedAtMs > LIMITS.fileSearchMs) {
          return end(true);
        }
      }
    }
    return end(false);
  }
}

/** Gives the event loop back from time to time. */
class Turn {
  readonly #signal: AbortSignal;
  #startedAtMs = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async pass(): Promise<void> {
    if (performance.now() - this.#startedAtMs < TURN_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#signal.throwIfAborted();
    this.#startedAtMs = performance.now();
  }
}

function* slicesOf(files: readonly FileRecord[]): Generator<FileRecord[]> {
  let slice: FileRecord[] = [];
  let bytes = 0;
  for (const file of files) {
    if (slice.length > 0 && (slice.length === SLICE_FILES || bytes + file.sizeBytes > SLICE_BYTES)) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(file);
    bytes += file.sizeBytes;
  }
  if (slice.length > 0) yield slice;
}
