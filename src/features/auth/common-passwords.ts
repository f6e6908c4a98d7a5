/**
 * Which passwords are refused because everybody tries them first: a list of some 3,500, and what patterns give (runs of
 * one character or a short unit, sequences, walks over the keyboard, the commonest words with the usual endings).
 */
import { COMMON_PASSWORDS } from './common-password-list.ts';

const LEAST_LENGTH = 8;
/** A repeated unit of this length is no better than the unit: `abcabcabc`. */
const LONGEST_UNIT = 4;

const ROWS = ['1234567890', 'qwertyuiop', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', 'yxcvbnm', 'zxcvbnm'];
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '01234567890';

const WORDS = (
  'password passwort passw0rd p@ssword p@ssw0rd pass admin welcome qwerty abc letmein monkey dragon master login hello ' +
  'secret love iloveyou football baseball summer winter spring autumn test user guest root default changeme shadow ' +
  'sunshine princess superman batman michael jordan computer internet google facebook london liverpool arsenal chelsea'
).split(' ');
const FIRST_YEAR = 1950;
const LAST_YEAR = 2030;
const ENDINGS = (
  '1 2 3 7 11 12 13 21 22 23 69 77 99 00 01 007 111 123 321 666 777 1234 4321 12345 123456 1234567 12345678 123456789 ' +
  '! !! 1! 12! 123! @1 @12 @123 @1234 #1 #123 . $ _123 -123'
).split(' ');

let known: Set<string> | undefined;

/** Whether a password of at least eight characters is too common, whatever its case. */
export function isCommonPassword(password: string): boolean {
  const text = password.normalize('NFKC').toLowerCase();
  known ??= collect();
  return known.has(text) || repeatsUnit(text) || isWalk(text) || isYearEnding(text, known);
}

function collect(): Set<string> {
  const all = new Set(COMMON_PASSWORDS.split(/\s+/).filter(Boolean));
  const years = Array.from({ length: LAST_YEAR - FIRST_YEAR + 1 }, (_, i) => String(FIRST_YEAR + i));
  for (const word of WORDS) {
    for (const ending of ['', ...ENDINGS, ...years]) {
      if (word.length + ending.length >= LEAST_LENGTH) all.add(word + ending);
    }
  }
  return all;
}

/** A listed password of letters with a year behind it. */
function isYearEnding(text: string, listed: Set<string>): boolean {
  const [, word, year] = /^(\p{L}{8,})(\d{4})$/u.exec(text) ?? [];
  return word !== undefined && Number(year) >= FIRST_YEAR && Number(year) <= LAST_YEAR && listed.has(word);
}

/** One to four characters again and again, perhaps broken off at the end. */
function repeatsUnit(text: string): boolean {
  for (let unit = 1; unit <= LONGEST_UNIT; unit++) {
    if (
      text ===
      text
        .slice(0, unit)
        .repeat(Math.ceil(text.length / unit))
        .slice(0, text.length)
    )
      return true;
  }
  return false;
}

/** Part of the alphabet, of the digits or of a row of keys, forwards or backwards, going on from its start at its end. */
function isWalk(text: string): boolean {
  return [ALPHABET, DIGITS, ...ROWS].some((row) => {
    const around = row.repeat(Math.ceil(text.length / row.length) + 1);
    return around.includes(text) || Array.from(around).reverse().join('').includes(text);
  });
}
