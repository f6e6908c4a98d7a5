/**
 * Tracks and length of an MP4 file, whole or in fragments. Browsers record in fragments, whose movie header says nothing
 * of the length; the fragments do.
 */
import type { Recording } from './webm.ts';

interface Box {
  type: string;
  start: number;
  end: number;
}

interface Track {
  handler: string;
  ticksPerSecond: number;
  /** In ticks. */
  end: number;
  /** Of a sample that does not say its own. */
  sampleTicks: number;
}

/** What the part of the file that can be read says; undefined where a length leads outside its box. */
export function readMp4(bytes: Uint8Array): Recording | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tracks = new Map<number, Track>();
  try {
    for (const box of boxes(view, 0, bytes.length)) {
      if (box.type === 'moov') readMovie(view, box, tracks);
      if (box.type === 'moof') readFragment(view, box, tracks);
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  const sounds = [...tracks.values()].filter(({ handler }) => handler === 'soun');
  const durationMs = Math.max(
    0,
    ...sounds.map(({ end, ticksPerSecond }) => (ticksPerSecond > 0 ? (end / ticksPerSecond) * 1_000 : 0)),
  );
  return {
    hasAudio: sounds.length > 0,
    hasVideo: [...tracks.values()].some(({ handler }) => handler === 'vide'),
    ...(durationMs > 0 ? { durationMs } : {}),
  };
}

function readMovie(view: DataView, movie: Box, tracks: Map<number, Track>): void {
  const defaults = new Map<number, number>();
  for (const box of boxes(view, movie.start, movie.end)) {
    if (box.type === 'trak') readTrack(view, box, tracks);
    if (box.type !== 'mvex') continue;
    for (const each of boxes(view, box.start, box.end)) {
      if (each.type === 'trex') defaults.set(view.getUint32(each.start + 4), view.getUint32(each.start + 12));
    }
  }
  for (const [id, ticks] of defaults) {
    const track = tracks.get(id);
    if (track) track.sampleTicks = ticks;
  }
}

function readTrack(view: DataView, trak: Box, tracks: Map<number, Track>): void {
  const track: Track = { handler: '', ticksPerSecond: 0, end: 0, sampleTicks: 0 };
  let id = 0;
  for (const box of boxes(view, trak.start, trak.end)) {
    if (box.type === 'tkhd') id = view.getUint32(box.start + (view.getUint8(box.start) === 1 ? 20 : 12));
    if (box.type !== 'mdia') continue;
    for (const { type, start } of boxes(view, box.start, box.end)) {
      if (type === 'hdlr') track.handler = text(view, start + 8);
      if (type !== 'mdhd') continue;
      const isLong = view.getUint8(start) === 1;
      track.ticksPerSecond = view.getUint32(start + (isLong ? 20 : 12));
      track.end = known(isLong ? long(view, start + 24) : view.getUint32(start + 16));
    }
  }
  tracks.set(id, track);
}

function readFragment(view: DataView, moof: Box, tracks: Map<number, Track>): void {
  for (const traf of boxes(view, moof.start, moof.end)) {
    if (traf.type !== 'traf') continue;
    let track: Track | undefined;
    let sampleTicks = 0;
    let at = 0;
    for (const { type, start, end } of boxes(view, traf.start, traf.end)) {
      if (type === 'tfhd') {
        const flags = view.getUint32(start) & 0xffffff;
        track = tracks.get(view.getUint32(start + 4));
        // Before the default come a base offset and a description, where the flags say so.
        const place = start + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0);
        sampleTicks = flags & 8 ? view.getUint32(place) : (track?.sampleTicks ?? 0);
      }
      if (type === 'tfdt') at = view.getUint8(start) === 1 ? long(view, start + 4) : view.getUint32(start + 4);
      if (type === 'trun') at += runTicks(view, start, end, sampleTicks);
    }
    if (track) track.end = Math.max(track.end, at);
  }
}

/** The length of a run of samples. */
function runTicks(view: DataView, start: number, end: number, sampleTicks: number): number {
  const flags = view.getUint32(start) & 0xffffff;
  const count = view.getUint32(start + 4);
  if (!(flags & 0x100)) return count * sampleTicks;
  const bytesEach = 4 * [0x100, 0x200, 0x400, 0x800].filter((flag) => flags & flag).length;
  let ticks = 0;
  let place = start + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
  for (let i = 0; i < count && place + bytesEach <= end; i++, place += bytesEach) ticks += view.getUint32(place);
  return ticks;
}

function* boxes(view: DataView, from: number, to: number): Generator<Box> {
  for (let at = from; at + 8 <= to;) {
    const type = text(view, at + 4);
    let size = view.getUint32(at);
    let start = at + 8;
    if (size === 1) {
      size = long(view, at + 8);
      start += 8;
    }
    const end = size === 0 ? to : at + size;
    if (end < start || end > to) return;
    yield { type, start, end };
    at = end;
  }
}

const long = (view: DataView, at: number): number => Number(view.getBigUint64(at));
/** All ones stand for a duration that is not known. */
const known = (ticks: number): number => (ticks === 0xffffffff || ticks > Number.MAX_SAFE_INTEGER ? 0 : ticks);
const text = (view: DataView, at: number): string =>
  String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
