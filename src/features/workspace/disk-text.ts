/** Texts as bytes of the disk, and back. Documents have line feeds only; files keep the line ends that they have. */
import { createHash } from 'node:crypto';
import { textOf } from '../files/content-kind.ts';
import type { Eol } from './base-record.ts';

/** SHA-256 in hex. */
export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface DiskText {
  text: string;
  eol: Eol;
}

/**
 * The text of a file, if a document may have it: valid UTF-8 without NUL, at most 2 MiB. Of two ways to end lines the
 * more frequent one is the file's; where it has no lines it is `before`.
 */
export function decodeText(bytes: Uint8Array | undefined, before: Eol = 'lf'): DiskText | undefined {
  const raw = bytes && textOf(bytes);
  if (raw === undefined) return undefined;
  const all = count(raw, /\n/g);
  const crlf = count(raw, /\r\n/g);
  const eol = all === 0 ? before : crlf * 2 > all ? 'crlf' : 'lf';
  return { text: raw.replaceAll(/\r+\n/g, '\n'), eol };
}

export const encodeText = (text: string, eol: Eol): Uint8Array =>
  Buffer.from(text.replaceAll(/\r*\n/g, eol === 'crlf' ? '\r\n' : '\n'));

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
