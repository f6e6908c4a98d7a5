/** The addresses of previews: one origin for each port of each project, below the host of PREVIEW_URL. */

export interface PreviewPlace {
  slug: string;
  port: number;
}

const LABEL = /^([1-9]\d{0,4})-([a-z2-7]{16})$/;
const LAST_PORT = 65_535;
const LOCAL = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})(?=[/?#]|$)/i;

export class PreviewAddresses {
  readonly #base: URL;

  /** `previewUrl` as http://localhost:3001 or https://preview.example.net. */
  constructor(previewUrl: string) {
    this.#base = new URL(previewUrl);
  }

  get isSecure(): boolean {
    return this.#base.protocol === 'https:';
  }

  /** Whether browsers keep cookies there that are `Secure`. */
  get keepsSecureCookies(): boolean {
    return this.isSecure || /(^|\.)localhost$/.test(this.#base.hostname);
  }

  originOf({ slug, port }: PreviewPlace): string {
    return `${this.#base.protocol}//${port}-${slug}.${this.#base.host}`;
  }

  /** From a Host header: whatever stands in front of this server may have changed the port in it, but not the name. */
  placeOf(host: string | undefined): PreviewPlace | undefined {
    const [, label = '', parent] = /^([^.:]+)\.([^:]+?)\.?(?::\d{1,5})?$/.exec((host ?? '').toLowerCase()) ?? [];
    const [, port = '', slug] = LABEL.exec(label) ?? [];
    if (slug === undefined || parent !== this.#base.hostname || Number(port) > LAST_PORT) return undefined;
    return { slug, port: Number(port) };
  }

  /** The place whose origin this is, as `Origin` or at the beginning of `Referer`. */
  placeAt(url: string): PreviewPlace | undefined {
    return URL.canParse(url) ? this.placeOf(new URL(url).host) : undefined;
  }

  /** An address as programs in the sandbox know it; one of another project or place stays as it is. */
  inward(url: string, slug: string): string {
    const place = this.placeAt(url);
    if (place?.slug !== slug) return url;
    return `http://localhost:${place.port}${url.slice(new URL(url).origin.length)}`;
  }

  /** What a program of the sandbox calls localhost, as browsers reach it. */
  outward(url: string, slug: string): string {
    return url.replace(LOCAL, (all, _host: string, port: string) =>
      Number(port) >= 1 && Number(port) <= LAST_PORT ? this.originOf({ slug, port: Number(port) }) : all,
    );
  }
}

/** Public suffixes of two labels that are certain; all others are taken for names that somebody owns. */
const TWO_LABEL_SUFFIXES = new Set(
  'co.uk org.uk ac.uk com.au net.au org.au co.nz co.jp ne.jp or.jp co.kr com.br com.mx com.ar com.cn com.tw com.hk com.sg com.my co.in co.za co.il com.tr'.split(
    ' ',
  ),
);

/**
 * What is wrong with a PREVIEW_URL off development, for people; undefined if nothing is. Pages of previews are strangers'
 * programs: on the registrable domain of the server they could set its cookies, and count as the same site. Two addresses
 * that pass are never of one registrable domain. Without the list of public suffixes it errs on the safe side: it asks
 * for more distance than needed below suffixes like github.io.
 */
export function previewUrlProblem(publicUrl: string, previewUrl: string): string | undefined {
  const [own, preview] = [new URL(publicUrl), new URL(previewUrl)];
  const host = preview.hostname.replace(/\.$/, '');
  if (preview.protocol !== 'https:') return 'must be https: its cookies are kept nowhere else';
  if (preview.pathname !== '/' || preview.search !== '' || preview.hash !== '' || preview.username !== '') {
    return 'must be an origin, as https://preview.example.net';
  }
  if (!host.includes('.') || host.startsWith('[') || /^[\d.]+$/.test(host)) {
    return 'must have a name with a point: every preview has a name below it';
  }
  const domain = widestDomain(host);
  if (domain === undefined) return 'must be below a domain of your own';
  return domain === widestDomain(own.hostname.replace(/\.$/, ''))
    ? `must be on another registrable domain than PUBLIC_URL, not below ${domain}`
    : undefined;
}

/** The registrable domain, or a longer part of it than that. Undefined where the name is a public suffix itself. */
function widestDomain(host: string): string | undefined {
  const labels = host.split('.');
  const count = TWO_LABEL_SUFFIXES.has(labels.slice(-2).join('.')) ? 3 : 2;
  return labels.length < count ? undefined : labels.slice(-count).join('.');
}
