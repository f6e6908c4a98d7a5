/**
 * What a file may be called. A path is NFC, has forward slashes, and is the same on every file system: two paths that
 * differ only in case are one place. Isomorphic.
 */
import { isSeen, LIMITS, utf8Length } from '../../protocol/index.ts';

/** Control characters; those that turn the writing around, and so hide what a name ends with; lone surrogates, which would all become one character; the backslash, which some systems take for a slash. */
const UNWANTED = /[\p{Cc}\p{Bidi_Control}\p{Surrogate}\\]/u;

/** The form in which a path is kept. */
export const normalizePath = (path: string): string => path.normalize('NFC');

/** What is wrong with a path in its normal form, in words that follow its name; undefined if it is good. */
export function complaintOf(path: string): string | undefined {
  if (path === '') return 'must not be empty';
  if (path.startsWith('/')) return 'must not begin with a slash: it begins at the project';
  if (UNWANTED.test(path)) return 'must not contain control characters, changes of writing direction or backslashes';
  if (utf8Length(path, LIMITS.pathBytes) > LIMITS.pathBytes)
    return `must be at most ${LIMITS.pathBytes} bytes of UTF-8`;
  for (const segment of path.split('/')) {
    if (segment === '') return 'must not have empty parts';
    if (!isSeen(segment)) return 'must not have parts in which nothing can be seen';
    if (segment === '.' || segment === '..') return 'must not have the parts . or ..';
    if (utf8Length(segment, LIMITS.pathSegmentBytes) > LIMITS.pathSegmentBytes) {
      return `must have parts of at most ${LIMITS.pathSegmentBytes} bytes of UTF-8`;
    }
  }
  return undefined;
}

/**
 * The same for paths that a file system might take for one. Up and down again, because some letters have two small forms
 * of one capital (ς and σ) and some a capital of two letters (ß); composed again, since folding takes some letters apart.
 */
export const keyOf = (path: string): string => path.toUpperCase().toLowerCase().normalize('NFC');

/** The folders that a path lies in, the outermost first. */
export function foldersOf(path: string): string[] {
  const folders: string[] = [];
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) folders.push(path.slice(0, at));
  return folders;
}
