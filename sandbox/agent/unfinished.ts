/** Where a character or an escape sequence has begun and not ended, a screen can be handed over only without its beginning. */

/** Longer sequences are titles and pictures that nobody misses in a snapshot. */
const LOOK_BACK_BYTES = 4 * 1024;
const ESC = 0x1b;
const BEL = 0x07;

/** How many bytes at the end of a terminal's output belong to a character or an escape sequence that has not ended. */
export function unfinishedBytes(output: Uint8Array): number {
  const from = output.lastIndexOf(ESC);
  if (from >= 0 && output.length - from <= LOOK_BACK_BYTES && isOpen(output.subarray(from + 1))) {
    return output.length - from;
  }
  return unfinishedCharacter(output);
}

/** Whether a sequence goes on after these bytes, which follow its ESC. */
function isOpen(rest: Uint8Array): boolean {
  const [kind] = rest;
  if (kind === undefined) return true;
  switch (String.fromCharCode(kind)) {
    case '[':
      return !rest.subarray(1).some((byte) => byte >= 0x40 && byte <= 0x7e);
    // Strings end with BEL or, since this is the last ESC, not at all.
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
      return !rest.includes(BEL);
    default:
      // Intermediates until a final byte.
      return rest.every((byte) => byte >= 0x20 && byte <= 0x2f);
  }
}

function unfinishedCharacter(output: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, output.length); length++) {
    const byte = output[output.length - length] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length < wanted ? length : 0;
    }
  }
  return 0;
}
