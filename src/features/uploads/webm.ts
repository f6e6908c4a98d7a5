/**
 * Tracks and length of a WebM file. Browsers write recordings as a stream: segments and clusters of unknown size and no
 * duration, which common readers refuse; the time of the last block says how long it is.
 */

/** Elements whose children are read as if they were their siblings: their ends do not matter, so unknown sizes do not either. */
const PARENTS = new Set([0x18538067, 0x1549a966, 0x1654ae6b, 0xae, 0x1f43b675, 0xa0]);
const SCALE = 0x2ad7b1;
const DURATION = 0x4489;
const TRACK_TYPE = 0x83;
const CLUSTER_TIME = 0xe7;
const BLOCKS = new Set([0xa3, 0xa1]);

const VIDEO = 1;
const AUDIO = 2;

export interface Recording {
  hasAudio: boolean;
  hasVideo: boolean;
  durationMs?: number;
}

/** What the part of the file that can be read says. */
export function readWebm(bytes: Uint8Array): Recording {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [nsPerTick, cluster, last, duration] = [1_000_000, 0, 0, 0];
  const tracks = new Set<number>();
  for (let at = 0; at < bytes.length;) {
    const id = readNumber(bytes, at, true);
    const size = id && readNumber(bytes, id.end, false);
    if (!id || !size) break;
    const start = size.end;
    if (PARENTS.has(id.value)) {
      at = start;
      continue;
    }
    const end = start + size.value;
    if (end > bytes.length) break;
    if (id.value === SCALE) nsPerTick = unsigned(bytes, start, end);
    else if (id.value === TRACK_TYPE) tracks.add(unsigned(bytes, start, end));
    else if (id.value === CLUSTER_TIME) cluster = unsigned(bytes, start, end);
    else if (id.value === DURATION && size.value === 4) duration = view.getFloat32(start);
    else if (id.value === DURATION && size.value === 8) duration = view.getFloat64(start);
    else if (BLOCKS.has(id.value)) {
      const track = readNumber(bytes, start, false);
      if (track && track.end + 2 <= end) last = Math.max(last, cluster + view.getInt16(track.end));
    }
    at = end;
  }
  const durationMs = ((duration > 0 ? duration : last) * nsPerTick) / 1e6;
  return { hasAudio: tracks.has(AUDIO), hasVideo: tracks.has(VIDEO), ...(durationMs > 0 ? { durationMs } : {}) };
}

/** A number whose first byte tells its length by its leading zeros; an id keeps the mark of the length. */
function readNumber(bytes: Uint8Array, at: number, isId: boolean): { value: number; end: number } | undefined {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  if (first === 0 || at + length > bytes.length) return undefined;
  let value = isId ? first : first & (0xff >> length);
  for (let i = 1; i < length; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, end: at + length };
}

function unsigned(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (const byte of bytes.subarray(start, end)) value = value * 256 + byte;
  return value;
}
