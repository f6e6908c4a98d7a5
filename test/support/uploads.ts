/** Files as browsers and recorders make them, and forms that carry them. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HttpAnswer, Person, World } from './server.ts';

const media = (name: string): Buffer => readFileSync(new URL(`media/${name}`, import.meta.url));

/** Made by Chromium: canvases of 3 × 2, and a second of sound or picture from its MediaRecorder, in slices of 200 ms. */
export const PNG = media('pic.png');
export const JPEG = media('pic.jpeg');
export const WEBP = media('pic.webp');
export const VOICE_WEBM = media('voice.webm');
export const VOICE_MP4 = media('voice.mp4');
export const VIDEO_WEBM = media('video.webm');
export const VIDEO_MP4 = media('video.mp4');

export const GIF = Buffer.from('R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==', 'base64');

const uint32 = (...numbers: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, i) => bytes.writeUInt32BE(number, 4 * i));
  return bytes;
};
const box = (type: string, ...content: Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  return Buffer.concat([uint32(body.length + 8), Buffer.from(type), body]);
};

/** The boxes of an AVIF of 30 × 20 that say so, without the picture. */
export const AVIF = Buffer.concat([
  box('ftyp', Buffer.from('avif\0\0\0\0avifmif1miaf')),
  box(
    'meta',
    uint32(0),
    box('hdlr', uint32(0, 0), Buffer.from('pict'), uint32(0, 0, 0), Buffer.from([0])),
    box('iprp', box('ipco', box('ispe', uint32(0, 30, 20)))),
  ),
]);

/** A second of silence at 8,000 samples a second. */
export function wav(): Buffer {
  const samples = Buffer.alloc(8_000, 128);
  const head = Buffer.alloc(44);
  head.write('RIFF');
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8_000, 24);
  head.writeUInt32LE(8_000, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

/** Fifty empty frames of MPEG-1 layer III, 128 kbit/s at 44.1 kHz. */
export function mp3(): Buffer {
  const frame = Buffer.alloc(417);
  frame.set([0xff, 0xfb, 0x90, 0x64]);
  return Buffer.concat(Array.from({ length: 50 }, () => frame));
}

/** A PNG of any size on disk: what it lacks is filled up in a chunk that viewers skip. */
export function pngOf(sizeBytes: number): Buffer {
  const end = PNG.subarray(-12);
  /** Nobody checks it. */
  const crc = uint32(0);
  const fill = sizeBytes - PNG.length - 12;
  return Buffer.concat([PNG.subarray(0, -12), uint32(fill), Buffer.from('paDd'), Buffer.alloc(fill), crc, end]);
}

/** A JPEG that was taken lying and says that it is to be turned by 90 degrees. */
export function turnedJpeg(): Buffer {
  const exif = Buffer.concat([
    Buffer.from('Exif\0\0MM\0*'),
    uint32(8),
    Buffer.from([0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]),
  ]);
  const segment = Buffer.concat([Buffer.from([0xff, 0xe1, 0, exif.length + 2]), exif]);
  return Buffer.concat([JPEG.subarray(0, 2), segment, JPEG.subarray(2)]);
}

export interface Upload {
  content: Uint8Array;
  name?: string;
  /** What the client claims. */
  type?: string;
  fields?: Record<string, string>;
  field?: string;
}

export function formOf({ content, name = 'file.bin', type = '', fields = {}, field = 'file' }: Upload): FormData {
  const form = new FormData();
  for (const [key, value] of Object.entries(fields)) form.append(key, value);
  form.append(field, new Blob([new Uint8Array(content)], { type }), name);
  return form;
}

/** Posts a form; the answer's envelope. */
export async function post(world: Pick<World, 'url'>, path: string, as: Person, body: FormData): Promise<HttpAnswer> {
  const response = await fetch(world.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${as.accessToken}` },
    body,
  });
  return { status: response.status, body: (await response.json()) as HttpAnswer['body'] };
}

export interface Uploaded {
  attachmentId: string;
  kind: string;
  mime: string;
  sizeBytes: number;
  name: string;
  url: string;
  urlExpiresAt: string;
  width?: number;
  height?: number;
  durationMs?: number;
}

/** Uploads what must succeed. */
export async function upload(world: Pick<World, 'url'>, as: Person, what: Upload): Promise<Uploaded> {
  const { status, body } = await post(world, '/api/attachments', as, formOf(what));
  if (status !== 200) throw new Error(JSON.stringify(body));
  return (body as unknown as { data: Uploaded }).data;
}

/** The files of a data directory's blobs: whole ones, and drafts. */
export async function blobFiles(dataDir: string): Promise<{ blobs: string[]; drafts: string[] }> {
  const entries = await readdir(join(dataDir, 'blobs'), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  return { blobs: files.filter((name) => name.endsWith('.b')), drafts: files.filter((name) => !name.endsWith('.b')) };
}
