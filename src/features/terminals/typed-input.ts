/**
 * What viewers' terminals answer by themselves to programs is kept from them: the agent answers once, and a replay or a
 * second viewer would type the answers into the shell. What keys send is kept, also where it looks alike.
 */

/** Ends a control string. */
const END = '(?:\\x07|\\x1b\\\\)';
/** Of a control string; nobody types so much of one. */
const BODY = '[^\\x07\\x1b]{0,4096}';

/** In this order: a paste is matched as a whole, so that nothing within it is. */
const PASTE = '\\x1b\\[200~[^]*?(?:\\x1b\\[201~|$)';
/** Shift, alt, ctrl and meta with F3 are `CSI 1 ; 2 R` to `CSI 1 ; 16 R`, as is a cursor in the first line. */
const MODIFIED_F3 = '\\x1b\\[1;(?:[2-9]|1[0-6])R';
const ANSWERS = [
  // Device attributes, primary to tertiary.
  '\\x1b\\[[?>=][\\d;]*c',
  `\\x1bP!\\|[\\da-fA-F]*${END}`,
  // Status; position of the cursor, with and without the page.
  '\\x1b\\[(?:[03]|\\?[\\d;]+)n',
  '\\x1b\\[\\??\\d+;\\d+(?:;\\d+)?R',
  // Modes; keyboard protocols that are on.
  '\\x1b\\[\\??\\d+;\\d+\\$y',
  '\\x1b\\[\\?\\d+u',
  '\\x1b\\[>\\d+(?:;\\d+)?m',
  // Window: state, places and sizes, title.
  '\\x1b\\[(?:[12]|[345689];\\d+;\\d+)t',
  `\\x1b\\][lL]${BODY}${END}`,
  // Settings, capabilities, name and version.
  `\\x1bP[01](?:\\$r|\\+r)${BODY}${END}`,
  `\\x1bP>\\|${BODY}${END}`,
  // Colours; the clipboard, which is the viewer's.
  `\\x1b\\](?:[45];\\d+|1\\d);rgba?:[\\da-fA-F/]+${END}`,
  `\\x1b\\]52;[a-z\\d]*;[\\w+/=]*${END}`,
];
const PATTERN = new RegExp(`(${PASTE}|${MODIFIED_F3})|${ANSWERS.join('|')}`, 'g');

/** The bytes to type. An answer that came in two pieces is not seen: terminals give one as a whole. */
export function withoutAnswers(data: string | Uint8Array): Uint8Array {
  const bytes =
    typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (!bytes.includes(0x1b)) return bytes;
  // One character is one byte.
  const text = bytes.toString('latin1');
  const kept = text.replace(PATTERN, (_match, key: string | undefined) => key ?? '');
  return kept.length === text.length ? bytes : Buffer.from(kept, 'latin1');
}
