/** What pip and its kin ask an index for (PEP 503 and 658), and where in its pages the files and their hashes are. */
import type { Transform } from 'node:stream';
import type { NamedFile } from './npm-registry.ts';
import type { Digest } from './package-cache.ts';
import { rewriting } from './rewriting.ts';

export type PipRequest = { kind: 'page'; name: string } | { kind: 'file'; name: string; file: string };

export const PAGE_TYPES = 'application/vnd.pypi.simple.v1+html, text/html;q=0.5';

const NAME = /^[A-Za-z0-9](?:[\w.-]{0,200}[A-Za-z0-9])?$/;
const FILE = /^(?!\.)[\w.+!~-]{1,255}$/;
const HREF = /(\shref\s*=\s*)(?:"[^"]*"|'[^']*')/i;
const LINK = /<a\b[^>]*?\shref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>/gi;

/** Undefined for anything but a package's page (`/simple/<name>/`) and the files that it links (`/files/<name>/<file>`). */
export function pipRequestOf(pathname: string): PipRequest | undefined {
  let parts: string[];
  try {
    parts = decodeURIComponent(pathname).split('/').slice(1);
  } catch {
    return undefined;
  }
  const [area, name = '', file = '', ...rest] = parts;
  if (rest.length > 0 || !NAME.test(name)) return undefined;
  if (area === 'simple' && file === '') return { kind: 'page', name: normalName(name) };
  return area === 'files' && FILE.test(file) ? { kind: 'file', name: normalName(name), file } : undefined;
}

/** Makes a page's links lead to the listener's own path, and leaves all else as it was, the hashes too. */
export const withOwnLinks = (name: string, pageUrl: URL): Transform =>
  rewriting('<', (text) =>
    text.replace(LINK, (link: string, double?: string, single?: string) => {
      const url = resolved(double ?? single ?? '', pageUrl);
      const file = url && fileOf(url);
      // What cannot be got is not offered.
      const own = file ? `/files/${name}/${encodeURIComponent(file)}${url.hash.replaceAll('"', '')}` : '#';
      return link.replace(HREF, (_, before: string) => `${before}"${own}"`);
    }),
  );

/** The file as the page names it; `<file>.metadata` is that of a wheel. */
export function fileIn(page: Buffer, { file }: { file: string }, pageUrl: URL): NamedFile | undefined {
  const isMetadata = file.endsWith('.metadata');
  const linked = isMetadata ? file.slice(0, -'.metadata'.length) : file;
  for (const [link, double, single] of page.toString('latin1').matchAll(LINK)) {
    const url = resolved(double ?? single ?? '', pageUrl);
    if (!url || fileOf(url) !== linked) continue;
    if (!isMetadata) return { url: withoutHash(url), digest: sha256Of(url.hash.slice(1)) };
    const [, declared] = /\sdata-(?:core|dist-info)-metadata\s*=\s*["']([^"']*)["']/i.exec(link) ?? [];
    if (declared === undefined) return undefined;
    const metadata = withoutHash(url);
    metadata.pathname += '.metadata';
    return { url: metadata, digest: sha256Of(declared) };
  }
  return undefined;
}

const sha256Of = (text: string): Digest | undefined => {
  const [, hex] = /(?:^|&)sha256=([\da-f]{64})(?:&|$)/i.exec(text) ?? [];
  return hex === undefined ? undefined : { algorithm: 'sha256', hex: hex.toLowerCase() };
};

function resolved(href: string, pageUrl: URL): URL | undefined {
  const text = href.replaceAll('&amp;', '&').replaceAll('&#38;', '&').trim();
  return URL.canParse(text, pageUrl.href) ? new URL(text, pageUrl) : undefined;
}

function fileOf({ pathname }: URL): string | undefined {
  try {
    const file = decodeURIComponent(pathname.split('/').at(-1) ?? '');
    return FILE.test(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

function withoutHash(url: URL): URL {
  const bare = new URL(url);
  bare.hash = '';
  return bare;
}

const normalName = (name: string): string => name.replace(/[-_.]+/g, '-').toLowerCase();
