/** A file's name as it may be kept and shown. */
import { LIMITS } from '../../protocol/index.ts';

/** Control characters, lone surrogates, and what reverses the direction of text: `cod\u202egpj.exe` is shown as `codexe.jpg`. */
const UNWANTED = /[\p{Cc}\p{Bidi_Control}\p{Surrogate}]/gu;

const LONGEST_SUFFIX = 20;

/** The last part of the path, readable and of bounded length, with its suffix; `file` if nothing is left. */
export function fileNameOf(path: string): string {
  const last = path.split(/[/\\]/).at(-1) ?? '';
  const name = last.normalize('NFC').replaceAll(UNWANTED, '').replaceAll(/\s+/gu, ' ').trim();
  if (name === '' || name === '.' || name === '..') return 'file';
  if (name.length <= LIMITS.fileNameCharacters) return name;
  const dot = name.lastIndexOf('.');
  const suffix = dot > 0 && name.length - dot <= LONGEST_SUFFIX ? name.slice(dot) : '';
  // The cut may have halved a character.
  return name.slice(0, LIMITS.fileNameCharacters - suffix.length).replace(/\p{Surrogate}$/u, '') + suffix;
}
