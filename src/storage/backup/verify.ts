/** Reads a whole archive and compares it with what it says of itself, before anything is changed by it. */
import { mongo } from 'mongoose';
import { segmentsOf } from '../blobs/blob-keys.ts';
import { contentOf, readArchive, type ArchiveEntry } from './archive-reader.ts';
import { ArchiveUnusable, FORMAT, MANIFEST, Manifest, Tally, type BlobHead } from './manifest.ts';

/** A file of the archive, by its name. */
export type Part = { kind: 'documents'; collection: string } | ({ kind: 'blob' } & BlobHead) | { kind: 'manifest' };

/** No part is larger than one full part and one document. */
const LARGEST_PART_BYTES = 32 * 1024 * 1024;
/** Types stay as they are stored. */
const EXACTLY = { promoteValues: false, promoteLongs: false, promoteBuffers: false, bsonRegExp: true } as const;

/** Rejects with `ArchiveUnusable` unless all of it is there, whole and of this format. */
export async function verifyArchive(file: string): Promise<Manifest> {
  try {
    return await verify(file);
  } catch (error) {
    if (error instanceof ArchiveUnusable) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ArchiveUnusable(`${file} is no archive of Atelier or is damaged: ${reason}`, { cause: error });
  }
}

async function verify(file: string): Promise<Manifest> {
  const tally = new Tally();
  let manifest: Manifest | undefined;
  for await (const entry of readArchive(file)) {
    if (manifest) throw new Error('there is something behind its manifest');
    const part = partOf(entry);
    if (part.kind === 'manifest') manifest = parseManifest(await contentOf(entry));
    else if (part.kind === 'documents') {
      const bytes = await contentOf(entry);
      let count = 0;
      for (const _document of documentsOf(bytes)) count++;
      tally.documents(part.collection, count, bytes);
    } else {
      tally.blob(part);
      for await (const chunk of entry.content) tally.blobBytes(chunk);
    }
  }
  if (!manifest) throw new Error('it has no manifest; it was cut off');
  const { collections, blobs } = tally.sums;
  const byName = (list: Manifest['collections']) => JSON.stringify(list.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
  if (
    byName(collections) !== byName(manifest.collections) ||
    JSON.stringify(blobs) !== JSON.stringify(manifest.blobs)
  ) {
    throw new Error('its content is not what its manifest says');
  }
  return manifest;
}

/** What a file of the archive is; throws for what cannot be one. */
export function partOf({ name, sizeBytes, pax }: ArchiveEntry): Part {
  if (name === MANIFEST) return { kind: 'manifest' };
  const [, collection] = /^database\/([\w.-]{1,100})\/\d+\.bson$/.exec(name) ?? [];
  if (collection !== undefined && sizeBytes <= LARGEST_PART_BYTES) return { kind: 'documents', collection };
  const contentType = pax['ATELIER.type'];
  if (!name.startsWith('blobs/') || contentType === undefined) throw new Error(`it holds an unknown file: ${name}`);
  const key = name.slice('blobs/'.length);
  segmentsOf(key);
  return { kind: 'blob', key, contentType, sizeBytes };
}

/** The documents of a part, with exactly the types that they had. */
export function* documentsOf(bytes: Buffer): Generator<mongo.Document> {
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readInt32LE(at);
    if (length < 5 || at + length > bytes.length) throw new Error('a document is cut off');
    yield mongo.BSON.deserialize(bytes.subarray(at, at + length), EXACTLY);
    at += length;
  }
}

function parseManifest(bytes: Buffer): Manifest {
  const value: unknown = JSON.parse(bytes.toString());
  const format = (value as { format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > FORMAT) {
    throw new ArchiveUnusable(`The archive has format ${format}, this version of Atelier knows ${FORMAT}`);
  }
  return Manifest.parse(value);
}
