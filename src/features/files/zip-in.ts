/**
 * Reads an archive that somebody has sent. Its directory is checked as a whole before anything is unpacked, and what it
 * says of a content is checked while that is unpacked: nothing of it is believed.
 */
import { isUtf8 } from 'node:buffer';
import { open, type FileHandle } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { fromRandomAccessReaderPromise, getFileNameLowLevel, type Entry, type ZipFile } from 'yauzl';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { ArchiveReader } from './archive-reader.ts';
import { complaintOf, foldersOf, keyOf, normalizePath } from './paths.ts';

/** A file in an archive. */
export interface ArchivedFile {
  /** As the project would call it. */
  path: string;
  /** As the archive says; content of another size is refused while it is read. */
  sizeBytes: number;
}

export interface Archive {
  readonly files: readonly ArchivedFile[];
  /** Of all files together. */
  readonly totalBytes: number;
  /** The content of one of `files`, unpacked as fast as it is read. Rejects with `invalid` where it is not what the archive says. */
  content(file: ArchivedFile): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const UTF8_NAME = 0x800;
/** Of the mode that Unix writes into the upper half of a file's attributes. */
const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;
/** Signature, fixed fields: what stands before each content besides the name. */
const LOCAL_HEADER_BYTES = 30;
const SHOWN_NAME_CHARACTERS = 200;

/** What archivers of one system add, and nobody else wants. */
const LEFT_OUT = /^__MACOSX\/|(^|\/)\.DS_Store$/;

/**
 * Opens the archive and checks all that it says of its files: rejects with `invalid` (malformed, a path that may not be,
 * two files of one path, links, a bomb), `unsupported` (encrypted, or packed otherwise than deflated) or `too_large`.
 */
export async function openArchive(path: string): Promise<Archive> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    return await readDirectory(handle, size);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readDirectory(handle: FileHandle, archiveBytes: number): Promise<Archive> {
  const zip = await fromRandomAccessReaderPromise(new ArchiveReader(handle, archiveBytes), archiveBytes, {
    autoClose: false,
    decodeStrings: false,
  }).catch(refuse);
  const found = new Map<ArchivedFile, Entry>();
  /** By the form in which places are compared. */
  const files = new Map<string, string>();
  const folders = new Set<string>();
  const all: Entry[] = [];
  for await (const entry of entriesOf(zip)) {
    all.push(entry);
    if (all.length > LIMITS.zipEntries) throw tooMany();
    const name = nameOf(entry);
    const isFolder = requireKind(entry, name);
    if (LEFT_OUT.test(name)) continue;
    if (isFolder) {
      folders.add(keyOf(pathOf(name.slice(0, -1))));
      continue;
    }
    requireReadable(entry, name);
    const file = { path: pathOf(name), sizeBytes: entry.uncompressedSize };
    const key = keyOf(file.path);
    if (files.has(key)) throw wrong(name, 'is there twice, or differs from another name in case only');
    files.set(key, name);
    for (const folder of foldersOf(key)) folders.add(folder);
    found.set(file, entry);
    if (found.size > LIMITS.filesPerProject) throw tooMany();
  }
  for (const [key, name] of files) if (folders.has(key)) throw wrong(name, 'is a file and a folder');
  requireApart(all, archiveBytes);
  const totalBytes = [...found.keys()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  requireSane(totalBytes, archiveBytes);
  return {
    files: [...found.keys()],
    totalBytes,
    content(file) {
      const entry = found.get(file);
      if (!entry) throw new TypeError('Not a file of this archive');
      return unpacked(zip, entry, file);
    },
    async close() {
      zip.close();
      await handle.close();
    },
  };
}

/** What the reader finds wrong is the archive's fault. */
async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry> {
  const entries = zip.eachEntry();
  try {
    for (;;) {
      const next = await entries.next().catch(refuse);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await entries.return?.();
  }
}

/** Some archivers write UTF-8 without saying so; the specification's own default is the character set of the first PCs. */
function nameOf({ fileNameRaw, extraFields, generalPurposeBitFlag }: Entry): string {
  const flag = isUtf8(fileNameRaw) ? UTF8_NAME : 0;
  if (generalPurposeBitFlag & UTF8_NAME && !flag) throw broken('a name is not the UTF-8 that it claims to be');
  return getFileNameLowLevel(flag, fileNameRaw, extraFields, true);
}

/** Whether it is a folder; links, devices and the like are refused. */
function requireKind({ externalFileAttributes }: Entry, name: string): boolean {
  const type = (externalFileAttributes >>> 16) & FILE_TYPE;
  if (type !== 0 && type !== REGULAR && type !== DIRECTORY) throw wrong(name, 'is neither a file nor a folder');
  if (type === DIRECTORY && !name.endsWith('/')) throw wrong(name, 'is a file and a folder');
  return name.endsWith('/');
}

function requireReadable(entry: Entry, name: string): void {
  const { generalPurposeBitFlag, compressionMethod, uncompressedSize } = entry;
  if (generalPurposeBitFlag & ENCRYPTED) throw new Fault('unsupported', 'Encrypted archives are not read');
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED) {
    throw new Fault('unsupported', 'Only archives that are packed with deflate, or not at all, are read');
  }
  if (uncompressedSize > LIMITS.projectFileBytes) {
    throw new Fault('too_large', `A file may have at most ${LIMITS.projectFileBytes / 1_048_576} MiB`, {
      detail: { file: shown(name) },
    });
  }
}

function pathOf(name: string): string {
  const path = normalizePath(name);
  const complaint = complaintOf(path);
  if (complaint !== undefined) throw wrong(name, complaint);
  return path;
}

/** Contents that share their bytes unpack to many times what they are. */
function requireApart(entries: readonly Entry[], archiveBytes: number): void {
  const spans = entries
    .map(({ relativeOffsetOfLocalHeader: start, compressedSize, fileNameLength }) => ({
      start,
      end: start + LOCAL_HEADER_BYTES + fileNameLength + compressedSize,
    }))
    .sort((a, b) => a.start - b.start);
  let last = 0;
  for (const { start, end } of spans) {
    if (start < last || end > archiveBytes) throw broken('contents lie over each other, or outside');
    last = end;
  }
}

function requireSane(totalBytes: number, archiveBytes: number): void {
  if (totalBytes > LIMITS.storageQuotaBytes) throw new Fault('too_large', 'What the archive holds is too much');
  if (totalBytes > LIMITS.zipUnsuspiciousBytes && totalBytes > archiveBytes * LIMITS.zipRatio) {
    throw broken(`it unpacks to more than ${LIMITS.zipRatio} times its size`);
  }
}

async function* unpacked(zip: ZipFile, entry: Entry, { path, sizeBytes }: ArchivedFile): AsyncGenerator<Uint8Array> {
  const raw = await zip.openReadStreamPromise(entry, { decodeFileData: false }).catch(refuse);
  const body: Readable = entry.compressionMethod === DEFLATED ? pipeline(raw, createInflateRaw(), () => {}) : raw;
  let bytes = 0;
  let sum = 0;
  try {
    for await (const chunk of chunksOf(body)) {
      bytes += chunk.length;
      if (bytes > sizeBytes) throw wrong(path, 'is larger than the archive says');
      sum = crc32(chunk, sum);
      yield chunk;
    }
  } finally {
    body.destroy();
    raw.destroy();
  }
  if (bytes !== sizeBytes) throw wrong(path, 'is smaller than the archive says');
  if (sum !== entry.crc32) throw wrong(path, 'is damaged');
}

async function* chunksOf(body: Readable): AsyncGenerator<Buffer> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const next = await chunks.next().catch(refuse);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

const shown = (name: string): string => name.slice(0, SHOWN_NAME_CHARACTERS).replace(/\p{Surrogate}$/u, '');

const tooMany = (): Fault =>
  new Fault('too_large', `A project has at most ${LIMITS.filesPerProject} files`, {
    detail: { filesPerProject: LIMITS.filesPerProject },
  });

const wrong = (name: string, message: string): Fault =>
  new Fault('invalid', 'The archive cannot be used', {
    detail: [{ path: 'file', message: `${shown(name)} ${message}` }],
  });

const broken = (message: string, cause?: unknown): Fault =>
  new Fault('invalid', 'The archive cannot be read', { detail: [{ path: 'file', message }], cause });

function refuse(error: unknown): never {
  if (error instanceof Fault) throw error;
  // A disk that fails is no fault of the archive.
  if (error instanceof Error && 'syscall' in error) throw error;
  throw broken('it is no zip archive, or is damaged', error);
}
