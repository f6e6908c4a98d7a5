/** A file's name as it may be kept and shown. */
import { LIMITS } from '../../protocol/index.ts';

/** Control characters, lone surrogates, and what reverses the direction of text: `cod\u202egpj.exe` is shown as `codexe.jpg`. */
const UNWANTED = /[\p{Cc}\p{Surrogate}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The last part of the path, readable and of bounded length, with its suffix; `file` if nothing is left. */
export function fileNameOf(path: string): string {
  const last = path.split(/[/\\]/).at(-1) ?? '';
  const name = last.normalize('NFC').replaceAll(UNWANTED, '').replaceAll(/\s+/gu, ' ').trim();
  if (name === '' || name === '.' || name === '..') return 'file';
  const characters = [...name];
  if (characters.length <= LIMITS.fileNameCharacters) return name;
  const dot = name.lastIndexOf('.');
  const suffix = dot > 0 ? [...name.slice(dot)] : [];
  const kept = suffix.length <= LONGEST_SUFFIX ? suffix : [];
  return [...characters.slice(0, LIMITS.fileNameCharacters - kept.length), ...kept].join('');
}

const LONGEST_SUFFIX = 20;
