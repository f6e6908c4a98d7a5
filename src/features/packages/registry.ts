/** A registry that packages come from, and how it is reached. */
export type RegistryKind = 'npm' | 'pip';

export interface Registry {
  kind: RegistryKind;
  /** Ends in `/`; without user and password. For pip the index, as https://pypi.org/simple/. */
  baseUrl: URL;
  /** The value of an Authorization header. Goes to this registry's origin and nowhere else, and is never shown. */
  authorization?: string | undefined;
  /** An HTTP proxy that requests go through. */
  proxy?: URL | undefined;
  /** Hosts that are reached without the proxy: names, or endings of names that begin with a point. `*` is all. */
  noProxy?: readonly string[] | undefined;
  /** Certificate authorities in PEM, in place of the usual ones. */
  ca?: string | undefined;
}

export type Registries = Readonly<Partial<Record<RegistryKind, Registry>>>;

/**
 * From base URLs: one whose path ends in `/simple` is a pip index, another one an npm registry; one of each at most.
 * User and password in a URL are for the registry.
 */
export function registriesOf(baseUrls: readonly string[]): Registries {
  const registries: Partial<Record<RegistryKind, Registry>> = {};
  for (const text of baseUrls) {
    const registry = registryOf(text);
    if (registries[registry.kind]) throw new Error(`There is more than one ${registry.kind} registry`);
    registries[registry.kind] = registry;
  }
  return registries;
}

/** Throws for what is no URL of http or https. */
export function registryOf(text: string, kind?: RegistryKind): Registry {
  const baseUrl = new URL(text);
  if (!/^https?:$/.test(baseUrl.protocol)) throw new Error('A registry has an address of http or https');
  const { username, password } = baseUrl;
  baseUrl.username = '';
  baseUrl.password = '';
  baseUrl.search = '';
  baseUrl.hash = '';
  if (!baseUrl.pathname.endsWith('/')) baseUrl.pathname += '/';
  return {
    kind: kind ?? (baseUrl.pathname.endsWith('/simple/') ? 'pip' : 'npm'),
    baseUrl,
    ...(username === '' ? {} : { authorization: basic(decodeURIComponent(username), decodeURIComponent(password)) }),
  };
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
