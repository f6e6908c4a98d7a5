/** Whether a PREVIEW_URL keeps programs of sandboxes away from this server's own pages. */

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
