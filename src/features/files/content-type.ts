/** What a file is called on the web, and whether a browser may show it by itself. */
import mime from 'mime';

const UNKNOWN = 'application/octet-stream';
const TEXT = 'text/plain';

/** What a browser could run, or take for a page, if it were asked to from an address of ours. */
const ACTIVE = /html|\bxml\b|svg|script|wasm|\bcss\b|manifest/;
/** What it only draws or plays. */
const SHOWN = /^(image|audio|video)\/|^text\/plain$/;

/** What packing again makes no smaller. */
const PACKED =
  /^(image|audio|video)\/|zip|compressed|gzip|7z|rar|brotli|zstd|woff|pdf|officedocument|epub|java-archive/;
const UNPACKED_PICTURE = /svg|bmp|tiff|x-icon|vnd\.microsoft\.icon|wav/;

/** By the path, as stores and other servers should name it. */
export function contentTypeOf(path: string, kind: 'text' | 'blob'): string {
  const type = mime.getType(path) ?? (kind === 'text' ? TEXT : UNKNOWN);
  // Files of TypeScript share their suffix with a kind of video.
  if (kind === 'text' && !/^(text|application|image\/svg|model)/.test(type)) return `${TEXT}; charset=utf-8`;
  return isTextual(type) ? `${type}; charset=utf-8` : type;
}

export interface Presentation {
  contentType: string;
  disposition: 'inline' | 'attachment';
}

/** How a file is given out by this server: what is active is not named, and is saved instead of shown. */
export function presentationOf(path: string, kind: 'text' | 'blob'): Presentation {
  const contentType = contentTypeOf(path, kind);
  const bare = contentType.split(';', 1)[0] ?? '';
  if (!ACTIVE.test(bare)) return { contentType, disposition: SHOWN.test(bare) ? 'inline' : 'attachment' };
  return { contentType: kind === 'text' ? `${TEXT}; charset=utf-8` : UNKNOWN, disposition: 'attachment' };
}

/** Of a blob: its content is as small as it gets. */
export function isPacked(path: string): boolean {
  const type = mime.getType(path) ?? '';
  return PACKED.test(type) && !UNPACKED_PICTURE.test(type);
}

const isTextual = (type: string): boolean => type.startsWith('text/') || /\b(json|javascript|xml)\b/.test(type);
