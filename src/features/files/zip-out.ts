/** Writes a project's files into an archive, one after another, as fast as it is read. */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { withResolvers } from '../../protocol/index.ts';

/** A file that goes into an archive. */
export interface FileToArchive {
  path: string;
  modifiedAt: Date;
  /** Its content is packed already: packing it again takes time and gains nothing. */
  isPacked: boolean;
  /** Called when its turn has come. Undefined if it is gone meanwhile: then it is not in the archive. */
  open: () => Promise<AsyncIterable<Uint8Array> | undefined>;
}

const FILE_MODE = 0o100644;

/** The archive; holds a chunk or two at a time. It fails when a content does; destroying it lets go of the content. */
export function createArchive(files: AsyncIterable<FileToArchive>): Readable {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  const closed = withResolvers();
  let content: Readable | undefined;
  const fail = (error: unknown): void => void output.destroy(error as Error);
  zip.on('error', fail);
  output.once('close', () => {
    closed.resolve();
    content?.destroy();
  });

  const add = async (): Promise<void> => {
    for await (const { path, modifiedAt, isPacked, open } of files) {
      const chunks = await open();
      if (!chunks) continue;
      content = Readable.from(chunks, { objectMode: false });
      if (output.destroyed) content.destroy();
      else zip.addReadStream(content, path, { mtime: modifiedAt, mode: FILE_MODE, compress: !isPacked });
      // The archive does not tell of failures of what it reads.
      await Promise.race([finished(content, { writable: false }), closed.promise]);
      if (output.destroyed) return;
    }
    zip.end();
  };
  add().catch(fail);
  return output;
}
