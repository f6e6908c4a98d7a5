/**
 * The thread in which other people's files are parsed. Parsers of media formats have had endless loops and great
 * appetites; here neither stops the server, and its owner ends the thread that takes too long.
 */
import { parentPort } from 'node:worker_threads';
import { fileTypeFromBuffer } from 'file-type';
import { imageSize } from 'image-size';
import { readMp4 } from './mp4.ts';
import { readWebm, type Recording } from './webm.ts';

export type MediaJob =
  | { what: 'type'; bytes: Uint8Array }
  | { what: 'picture'; bytes: Uint8Array }
  | { what: 'sound'; bytes: Uint8Array; mime: string };

export interface Picture {
  width: number;
  height: number;
}

/** Of a job's kind; undefined where the content is not what it should be, or cannot be read. */
export interface MediaFacts {
  /** The MIME type without parameters. */
  type: string | undefined;
  picture: Picture | undefined;
  sound: Recording | undefined;
}

/** `ready` once, then one answer for each job. */
export type MediaMessage = 'ready' | { facts: MediaFacts[MediaJob['what']] };

parentPort?.on('message', (job: MediaJob) => {
  void read(job)
    // To a parser everything is an error that it does not understand.
    .catch(() => undefined)
    .then((facts) => parentPort?.postMessage({ facts } satisfies MediaMessage));
});
parentPort?.postMessage('ready' satisfies MediaMessage);

async function read(job: MediaJob): Promise<MediaFacts[MediaJob['what']]> {
  if (job.what === 'type') return (await fileTypeFromBuffer(job.bytes))?.mime.split(';')[0];
  return job.what === 'picture' ? readPicture(job.bytes) : readSound(job.bytes, job.mime);
}

/** As it is shown: cameras store a picture lying and say how it is to be turned. */
function readPicture(bytes: Uint8Array): Picture | undefined {
  const { width, height, orientation = 1 } = imageSize(bytes);
  if (!isSize(width) || !isSize(height)) return undefined;
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

const isSize = (value: number): boolean => Number.isSafeInteger(value) && value > 0;

async function readSound(bytes: Uint8Array, mime: string): Promise<Recording | undefined> {
  const container = mime.slice(mime.indexOf('/') + 1);
  if (container === 'webm') return readWebm(bytes);
  if (container === 'mp4' || container === 'x-m4a') return readMp4(bytes);
  // Heavy, and only for formats that recorders of browsers do not write.
  const { parseBuffer } = await import('music-metadata');
  const { format } = await parseBuffer(
    bytes,
    { mimeType: mime, size: bytes.length },
    { duration: true, skipCovers: true },
  );
  const seconds = format.duration ?? 0;
  return {
    hasAudio: format.hasAudio ?? false,
    hasVideo: format.hasVideo ?? false,
    ...(seconds > 0 && Number.isFinite(seconds) ? { durationMs: seconds * 1_000 } : {}),
  };
}
