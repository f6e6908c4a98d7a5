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
