import type { Readable } from 'node:stream';
import { pack } from 'tar-stream';

/** The files as a tar, all alike whenever it is made. */
export function packFiles(files: ReadonlyMap<string, string | Buffer>): Readable {
  const tar = pack();
  for (const [name, content] of files) tar.entry({ name, mtime: new Date(0), mode: 0o644 }, content as string);
  tar.finalize();
  return tar as unknown as Readable;
}
