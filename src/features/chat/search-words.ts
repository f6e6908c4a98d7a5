/** The words of a text, as messages are found by. */
import { LIMITS } from '../../protocol/index.ts';
import type { MessageTypeName } from './shapes.ts';

/** Longer runs are cut: nobody searches for more. */
const LONGEST_WORD = 40;
/** Scripts that are written without spaces, which only a dictionary can divide. */
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;
const WORD = /[\p{L}\p{N}]+/gu;
let segmenter: Intl.Segmenter | undefined;

/** Without case and accents. */
const fold = (text: string): string => text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase();

/** The words in their order, each as often as it occurs. */
export function wordsOf(text: string): string[] {
  const folded = fold(text);
  if (!UNSPACED.test(folded)) return (folded.match(WORD) ?? []).map(cut);
  segmenter ??= new Intl.Segmenter('und', { granularity: 'word' });
  return [...segmenter.segment(folded)].flatMap(({ segment, isWordLike }) => (isWordLike ? [cut(segment)] : []));
}

/** The different words that a message is found by, at most `LIMITS.searchWords`. What is opaque has none. */
export function searchWordsOf(type: MessageTypeName, content: string): string[] {
  if (type === 'encrypted' || type === 'system') return [];
  const words = new Set<string>();
  for (const word of wordsOf(content)) {
    words.add(word);
    if (words.size === LIMITS.searchWords) break;
  }
  return [...words];
}

const cut = (word: string): string => word.slice(0, LONGEST_WORD);
