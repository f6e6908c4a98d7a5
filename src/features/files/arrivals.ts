/** Takes in what is to become a file of a project: text is kept at hand, everything else is stored while it comes. */
import { LIMITS } from '../../protocol/index.ts';
import { tooLarge, withHead } from '../uploads/index.ts';
import type { StoredContent } from './blob-model.ts';
import { textOf } from './content-kind.ts';
import type { ContentStore, PutOptions } from './content-store.ts';

export type Arrived =
  | { kind: 'text'; text: string; sizeBytes: number }
  /** A text whose document has been made already, under the id that its file gets. */
  | { kind: 'document'; sizeBytes: number }
  | { kind: 'blob'; content: StoredContent };

export class Arrivals {
  readonly #contents: ContentStore;

  constructor(contents: ContentStore) {
    this.#contents = contents;
  }

  /** Reads the content to its end, or rejects and leaves nothing. It takes of its owner's space. */
  async take(ownerId: string, source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Arrived> {
    // One more than a text may have tells whether there is more.
    const { head, content } = await withHead(source, LIMITS.documentTextBytes + 1);
    const text = textOf(head);
    if (text !== undefined) {
      if (head.length > options.mostBytes) throw tooLarge(options.mostBytes);
      for await (const rest of content) void rest;
      return { kind: 'text', text, sizeBytes: head.length };
    }
    return { kind: 'blob', content: await this.#contents.put(ownerId, content, options) };
  }

  /** A text that takes the place of a blob is its new version. */
  async asBlob(ownerId: string, text: string): Promise<StoredContent> {
    const bytes = Buffer.from(text);
    async function* content(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    return this.#contents.put(ownerId, content(), { mostBytes: bytes.length });
  }

  /** It becomes no file. */
  async discard(arrived: readonly Arrived[]): Promise<void> {
    await this.#contents.release(arrived.flatMap((each) => (each.kind === 'blob' ? [each.content._id] : [])));
  }
}
