/**
 * What an archive says of itself. It is the last file of the archive, since only then all is known; an archive without
 * it was cut off.
 */
import { createHash, type Hash } from 'node:crypto';
import { z } from 'zod';

export const FORMAT = 1;
export const MANIFEST = 'manifest.json';

const Sum = z.string().regex(/^[0-9a-f]{64}$/);
const Count = z.int().min(0);

export const Manifest = z.object({
  format: z.literal(FORMAT),
  schemaVersion: Count,
  /** What was acknowledged before is in the archive. */
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  /** Tells whether the passwords in it go with a secret that somebody has. */
  pepperSum: z.string(),
  /** SHA-256 over the documents of each collection, one after the other. */
  collections: z.array(z.object({ name: z.string(), documents: Count, sizeBytes: Count, sha256: Sum })),
  /** SHA-256 over a line of name, type and size, and then the content, of each blob. */
  blobs: z.object({ count: Count, sizeBytes: Count, sha256: Sum }),
});
export type Manifest = z.output<typeof Manifest>;

/** The archive is no archive of ours, is damaged, or comes from a newer version; nothing was changed. */
export class ArchiveUnusable extends Error {
  override readonly name = 'ArchiveUnusable';
}

export interface BlobHead {
  key: string;
  contentType: string;
  sizeBytes: number;
}

/** Counts and sums of what goes by, the same way on writing and on reading. */
export class Tally {
  readonly #collections = new Map<string, { documents: number; sizeBytes: number; hash: Hash }>();
  readonly #blobs = { count: 0, sizeBytes: 0, hash: createHash('sha256') };

  documents(collection: string, count: number, bytes: Uint8Array): void {
    const known = this.#collections.get(collection) ?? { documents: 0, sizeBytes: 0, hash: createHash('sha256') };
    known.documents += count;
    known.sizeBytes += bytes.length;
    known.hash.update(bytes);
    this.#collections.set(collection, known);
  }

  blob({ key, contentType, sizeBytes }: BlobHead): void {
    this.#blobs.count++;
    this.#blobs.sizeBytes += sizeBytes;
    this.#blobs.hash.update(`${JSON.stringify([key, contentType, sizeBytes])}\n`);
  }

  blobBytes(bytes: Uint8Array): void {
    this.#blobs.hash.update(bytes);
  }

  /** To be asked for once. */
  get sums(): Pick<Manifest, 'collections' | 'blobs'> {
    const { count, sizeBytes, hash } = this.#blobs;
    return {
      collections: [...this.#collections].map(([name, { hash, ...counts }]) => ({
        name,
        ...counts,
        sha256: hash.digest('hex'),
      })),
      blobs: { count, sizeBytes, sha256: hash.digest('hex') },
    };
  }
}
