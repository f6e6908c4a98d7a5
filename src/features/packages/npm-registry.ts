/** What npm, pnpm and yarn ask a registry for, and where in its answers the files and their hashes are. */
import type { Transform } from 'node:stream';
import type { Digest } from './package-cache.ts';
import { rewriting } from './rewriting.ts';

export type NpmRequest =
  | { kind: 'packument'; name: string }
  | { kind: 'manifest'; name: string; version: string }
  | { kind: 'tarball'; name: string; pathname: string };

export interface NamedFile {
  url: URL;
  digest: Digest | undefined;
}

/** Old packages have capitals and what URLs leave as it is. */
const PART = /^(?![._]|-$)[\w\-.~!'()*]{1,214}$/;
const SCOPE = /^@[\w\-.~!'()*]{1,214}$/;
const PATH_PART = /^(?!\.{1,2}$)[@\w\-.~!'()*+]{1,256}$/;
const FILE_ENDING = /\.(tgz|tar\.gz)$/;
export const ABBREVIATED = 'application/vnd.npm.install-v1+json';

/**
 * What the path of a request names; undefined for anything but packages. Clients keep the path of the registry before a
 * tarball's own and leave it out before everything else.
 */
export function npmRequestOf(pathname: string, basePath: string): NpmRequest | undefined {
  const isWhole = basePath !== '/' && pathname.startsWith(basePath);
  const parts = partsOf(isWhole ? pathname.slice(basePath.length - 1) : pathname);
  if (!parts) return undefined;
  const dash = parts.lastIndexOf('-');
  if (dash > 0 && FILE_ENDING.test(parts.at(-1) ?? '')) {
    const name = nameOf(parts.slice(0, dash), true);
    return name === undefined ? undefined : { kind: 'tarball', name, pathname };
  }
  const name = nameOf(parts.slice(0, parts[0]?.startsWith('@') ? 2 : 1), false);
  if (name === undefined) return undefined;
  const rest = parts.slice(name.split('/').length);
  if (rest.length === 0) return { kind: 'packument', name };
  const [version = ''] = rest;
  return rest.length === 1 && /^(?!-$)[\w.+~-]{1,256}$/.test(version) ? { kind: 'manifest', name, version } : undefined;
}

export function npmPathOf(wanted: Exclude<NpmRequest, { kind: 'tarball' }>): string {
  const path = wanted.name.replace('/', '%2f');
  return wanted.kind === 'packument' ? path : `${path}/${wanted.version}`;
}

/**
 * The tarball of that path, as a packument names it. A packument can be very long and is not parsed as a whole: only
 * the objects are that the file's name stands in.
 */
export function tarballIn(packument: Buffer, { pathname }: { pathname: string }): NamedFile | undefined {
  const path = normalPath(pathname);
  const file = Buffer.from(`/${path.split('/').at(-1)}"`);
  let places = 0;
  for (let at = packument.indexOf(file); at >= 0 && places < PLACES; at = packument.indexOf(file, at + 1)) {
    places++;
    const dist = distAround(packument, at);
    if (!dist || !URL.canParse(dist.tarball)) continue;
    const url = new URL(dist.tarball);
    // Clients that keep the registry's path ask for all of it, others for what stands behind.
    const named = normalPath(url.pathname);
    if (named === path || named.endsWith(path)) return { url, digest: digestOf(dist) };
  }
  return undefined;
}

/** Turns the addresses of tarballs into those of the listener, for clients that take them as they are. */
export const withOwnTarballs = (origin: string): Transform =>
  rewriting(',', (text) =>
    text.replace(/("tarball"\s*:\s*")https?:\/\/[^/"\\,]+\//g, (_, start: string) => `${start}${origin}/`),
  );

interface Dist {
  tarball: string;
  integrity: unknown;
  shasum: unknown;
}

/** A file is named once. */
const PLACES = 100;
/** What stands before a `dist` that holds the place; a version's own is far shorter. */
const DIST_BYTES = 65_536;

function distAround(packument: Buffer, at: number): Dist | undefined {
  const before = packument.toString('latin1', Math.max(0, at - DIST_BYTES), at);
  const start = [...before.matchAll(/"dist"\s*:\s*(?=\{)/g)].at(-1);
  if (!start) return undefined;
  const from = at - before.length + start.index + start[0].length;
  const end = endOfObject(packument, from);
  if (end === undefined || end < at) return undefined;
  try {
    const { tarball, integrity, shasum } = JSON.parse(packument.toString('utf8', from, end)) as Record<string, unknown>;
    return typeof tarball === 'string' ? { tarball, integrity, shasum } : undefined;
  } catch {
    return undefined;
  }
}

/** Just behind the brace that closes the one at `from`. */
function endOfObject(json: Buffer, from: number): number | undefined {
  let depth = 0;
  let isText = false;
  const last = Math.min(json.length, from + 2 * DIST_BYTES);
  for (let at = from; at < last; at++) {
    const byte = json[at];
    if (isText) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) isText = false;
    } else if (byte === 0x22) isText = true;
    else if (byte === 0x7b) depth++;
    else if (byte === 0x7d && --depth === 0) return at + 1;
  }
  return undefined;
}

/** The strongest that is declared. */
function digestOf({ integrity, shasum }: Dist): Digest | undefined {
  const declared = typeof integrity === 'string' ? integrity.split(/\s+/) : [];
  for (const algorithm of ['sha512', 'sha384', 'sha256', 'sha1'] as const) {
    const hash = declared.find((entry) => entry.startsWith(`${algorithm}-`));
    if (hash === undefined) continue;
    const [base64 = ''] = hash.slice(algorithm.length + 1).split('?');
    return { algorithm, hex: Buffer.from(base64, 'base64').toString('hex') };
  }
  return typeof shasum === 'string' && /^[\da-f]{40}$/i.test(shasum)
    ? { algorithm: 'sha1', hex: shasum.toLowerCase() }
    : undefined;
}

function partsOf(pathname: string): string[] | undefined {
  try {
    const parts = decodeURIComponent(pathname).split('/').slice(1);
    return parts.every((part) => PATH_PART.test(part)) ? parts : undefined;
  } catch {
    return undefined;
  }
}

/** The package that the parts name: all of them, or, before a file, the last ones. */
function nameOf(parts: readonly string[], last: boolean): string | undefined {
  const chosen = last && parts.at(-2)?.startsWith('@') ? parts.slice(-2) : last ? parts.slice(-1) : parts;
  const [first = '', second] = chosen;
  if (second === undefined) return PART.test(first) ? first : undefined;
  return SCOPE.test(first) && PART.test(second) && chosen.length === 2 ? chosen.join('/') : undefined;
}

const normalPath = (pathname: string): string => pathname.replace(/%2f/gi, '/').replace(/%40/gi, '@');
