/** What a preview changes in the headers of requests and answers, so that programs believe to be on localhost. */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { PreviewAddresses, PreviewPlace } from './preview-address.ts';

/** Of one connection, not of what is sent. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
/** Said by whoever stands before us, or by somebody who pretends to. `expect` is answered here. */
const NOT_INWARD = [...HOP_BY_HOP, 'forwarded', 'expect', 'http2-settings'];
/** What would reach beyond the preview's own origin: other previews' cookies, other ports of the host, shared caches. */
const NOT_OUTWARD = [...HOP_BY_HOP, 'clear-site-data', 'alt-svc', 'surrogate-control', 'cdn-cache-control'];

export const cookieName = (addresses: PreviewAddresses): string =>
  addresses.isSecure ? '__Host-atelier-preview' : 'atelier-preview';

/** All cookies of that name: other origins of the same domain may have set one of their own. */
export function cookiesNamed(request: IncomingMessage, name: string): string[] {
  return cookiesOf(request)
    .filter((cookie) => nameOf(cookie) === name)
    .map((cookie) => cookie.slice(name.length + 1));
}

/**
 * Whether a page elsewhere sends this: another project's preview must not use its visitor's cookie here. Pages of other
 * ports of the same project are its own.
 */
export function isForeign({ headers }: IncomingMessage, { slug }: PreviewPlace, addresses: PreviewAddresses): boolean {
  const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = headers;
  if (origin === undefined) return site === 'cross-site' && mode !== 'navigate';
  // A page that tells nobody where it is from has no other origin.
  if (origin === 'null') return site !== 'same-origin';
  return addresses.placeAt(origin)?.slug !== slug;
}

/** `upgrade`: the protocol that the connection is to change to. */
export function headersInward(
  request: IncomingMessage,
  place: PreviewPlace,
  addresses: PreviewAddresses,
  upgrade?: string,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const dropped = new Set([...NOT_INWARD, ...namedByConnection(request)]);
  for (const [name, values = []] of Object.entries(request.headersDistinct)) {
    if (!dropped.has(name) && !name.startsWith('x-forwarded-'))
      headers[name] = values.length === 1 ? values[0] : values;
  }
  const { origin, referer } = request.headers;
  if (origin !== undefined) headers['origin'] = addresses.inward(origin, place.slug);
  if (referer !== undefined) headers['referer'] = addresses.inward(referer, place.slug);
  const cookies = cookiesOf(request).filter((cookie) => nameOf(cookie) !== cookieName(addresses));
  if (cookies.length > 0) headers['cookie'] = cookies.join('; ');
  else delete headers['cookie'];
  // And no X-Forwarded-Host: frameworks compare it with the origin, and refuse what comes from another one.
  headers['host'] = `localhost:${place.port}`;
  if (upgrade !== undefined) return { ...headers, connection: 'Upgrade', upgrade };
  if (request.headers['transfer-encoding'] !== undefined) {
    delete headers['content-length'];
    headers['transfer-encoding'] = 'chunked';
  } else if (
    request.headers['content-length'] === undefined &&
    !['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? '')
  ) {
    headers['content-length'] = '0';
  }
  return headers;
}

export function headersOutward(
  answer: IncomingMessage,
  { slug }: PreviewPlace,
  addresses: PreviewAddresses,
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  const dropped = new Set([...NOT_OUTWARD, ...namedByConnection(answer)]);
  for (const [name, values = []] of Object.entries(answer.headersDistinct)) {
    if (!dropped.has(name)) headers[name] = values.length === 1 ? (values[0] as string) : values;
  }
  for (const name of ['location', 'content-location', 'access-control-allow-origin']) {
    const value = answer.headers[name];
    if (typeof value === 'string') headers[name] = addresses.outward(value, slug);
  }
  const cookies = (answer.headers['set-cookie'] ?? []).flatMap((cookie) => ownCookie(cookie, addresses));
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  else delete headers['set-cookie'];
  headers['cache-control'] = forOneReader(answer.headers['cache-control']);
  return headers;
}

/**
 * A cookie that a program sets: of the preview's own origin only, and of such a kind that browsers keep it in a frame of
 * another site.
 */
function ownCookie(cookie: string, addresses: PreviewAddresses): string[] {
  const [pair = '', ...attributes] = cookie.split(';').map((part) => part.trim());
  if (nameOf(pair) === cookieName(addresses)) return [];
  const dropped = addresses.keepsSecureCookies ? /^(domain|samesite|secure|partitioned)\s*(=|$)/i : /^domain\s*(=|$)/i;
  const kept = attributes.filter((attribute) => attribute !== '' && !dropped.test(attribute));
  return [[pair, ...kept, ...(addresses.keepsSecureCookies ? ['SameSite=None; Secure; Partitioned'] : [])].join('; ')];
}

/** Who may see an answer is asked for each request: caches between have no part in it. */
function forOneReader(cacheControl = ''): string {
  const kept = cacheControl
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !/^(public|private|s-maxage|proxy-revalidate)\b/i.test(part));
  return ['private', ...kept].join(', ');
}

const cookiesOf = ({ headers }: IncomingMessage): string[] =>
  (headers.cookie ?? '')
    .split(';')
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== '');

const nameOf = (cookie: string): string => cookie.split('=', 1)[0]?.trim() ?? '';

const namedByConnection = ({ headers }: IncomingMessage): string[] =>
  (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
