/** Tells text, which people edit together, from everything else. */
import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../../protocol/index.ts';

const NUL = 0;

/** The text that the bytes are, if they may be a document: valid UTF-8 without NUL, and not too long. */
export function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.length > LIMITS.documentTextBytes || bytes.includes(NUL) || !isUtf8(bytes)) return undefined;
  // The mark at the beginning is a part of it: what is downloaded is what was uploaded.
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
