/**
 * Packages for sandboxes that have no network: what npm, pnpm, yarn and pip ask their registry for comes here over the
 * sandbox's link, and is fetched from the registries that this server allows, once for all sandboxes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, STATUS_BY_CODE, toFault } from '../../protocol/index.ts';
import { ABBREVIATED, npmPathOf, npmRequestOf, tarballIn, withOwnTarballs, type NamedFile } from './npm-registry.ts';
import { PackageCache, type Stored } from './package-cache.ts';
import { fileIn, PAGE_TYPES, pipRequestOf, withOwnLinks } from './pip-index.ts';
import type { Registries, Registry, RegistryKind } from './registry.ts';
import { Slots } from './slots.ts';
import { Upstream } from './upstream.ts';

export { hostRegistries } from './host-registries.ts';
export { registriesOf, type Registries, type Registry, type RegistryKind } from './registry.ts';

export interface PackagesDeps {
  /** Made when it is needed. Several servers may share it. */
  cacheDir: string;
  registries: Registries;
  audit: Audit;
  log: Log;
  now: () => number;
  /** Of the cache on disk; somewhat more for a while. */
  cacheBytes?: number;
  fileBytes?: number;
  indexBytes?: number;
}

export interface Packages {
  /** Serves a connection that a program of the project's sandbox has opened to the listener of that name. */
  serve(listener: RegistryKind, stream: Duplex, sandbox: { projectId: string }): void;
  /** Ends its connections; resolves when the cache is written. */
  close(): Promise<void>;
}

const ABBREVIATED_FIRST = `${ABBREVIATED}, application/json;q=0.8`;
const MIB = 1_048_576;
const CACHE_BYTES = 10_240 * MIB;
/** Above are only data and whole browsers. */
const FILE_BYTES = 256 * MIB;
/** The longest packuments, of packages that publish every night, have about half of it. */
const INDEX_BYTES = 64 * MIB;
const FILE_MS = 600_000;
const INDEX_MS = 120_000;
/** npm opens 15 at a time, yarn up to 50. */
const CONNECTIONS_PER_PROJECT = 64;
/** Things of one project that are fetched at the same time, so that the others have their turn. */
const FETCHES_PER_PROJECT = 16;
/** Indexes that are searched for a file at the same time: each is in memory meanwhile. */
const SEARCHES = 4;
/** A connection without a request. */
const IDLE_MS = 60_000;

interface Asked {
  projectId: string;
  pathname: string;
  /** Where the client believes the registry to be. */
  origin: string;
  isNpm: boolean;
  accept: string;
}

/** What goes back: as it is stored, or rewritten on its way. */
type Found = { stored: Stored; rewrite?: Transform };

interface Connection {
  listener: RegistryKind;
  projectId: string;
  /** Under way. */
  requests: number;
}

export function createPackages(deps: PackagesDeps): Packages {
  const { registries, audit, log, now, fileBytes = FILE_BYTES, indexBytes = INDEX_BYTES } = deps;
  const upstreams = new Map(Object.values(registries).map((registry) => [registry.kind, new Upstream(registry)]));
  const cache = new PackageCache({
    directory: deps.cacheDir,
    maxBytes: deps.cacheBytes ?? CACHE_BYTES,
    now,
    onStale: (target, error) =>
      log.warn('A registry could not be asked; what is in the cache is used', { name: target, error }),
  });
  const fetches = new Slots(FETCHES_PER_PROJECT);
  const searches = new Slots(SEARCHES);
  const streams = new Map<string, Set<Duplex>>();
  const connections = new WeakMap<object, Connection>();

  /** A packument, a version of one, or a page of the index. */
  function index(registry: Registry, path: string, accept: string, atAnyAge = false): Promise<Stored> {
    const url = new URL(path, registry.baseUrl);
    return cache.get({
      key: `${url.href} ${accept}`,
      atAnyAge,
      fetch: ({ etag, lastModified }) =>
        upstreamOf(registry).get({ url, accept, etag, lastModified, maxBytes: indexBytes, deadlineMs: INDEX_MS }),
    });
  }

  async function file(registry: Registry, named: NamedFile | undefined, projectId: string): Promise<Stored> {
    if (!named) throw new Fault('not_found', 'The registry names no such file');
    const { url, digest } = named;
    const target = `${registry.kind} ${url.origin}${url.pathname}`;
    try {
      return await cache.get({
        key: url.href,
        digest,
        fetch: ({ etag, lastModified }) =>
          upstreamOf(registry).get({
            url,
            accept: '*/*',
            etag,
            lastModified,
            maxBytes: fileBytes,
            deadlineMs: FILE_MS,
          }),
        onFetched: (sizeBytes) =>
          audit.record({ action: 'sandbox.package', projectId, target, ok: true, detail: { sizeBytes } }),
      });
    } catch (error) {
      audit.record({ action: 'sandbox.package', projectId, target, ok: false, detail: { code: toFault(error).code } });
      throw error;
    }
  }

  async function npm(registry: Registry, asked: Asked): Promise<Found> {
    const wanted = npmRequestOf(asked.pathname, registry.baseUrl.pathname);
    if (!wanted) throw notServed();
    if (wanted.kind === 'tarball') {
      const path = npmPathOf({ kind: 'packument', name: wanted.name });
      const named = await search(
        (atAnyAge) => index(registry, path, ABBREVIATED_FIRST, atAnyAge),
        (packument) => tarballIn(packument, wanted),
      );
      return { stored: await file(registry, named && atRegistry(named, registry), asked.projectId) };
    }
    const isAbbreviated = wanted.kind === 'packument' && asked.accept.includes(ABBREVIATED);
    const stored = await index(registry, npmPathOf(wanted), isAbbreviated ? ABBREVIATED_FIRST : 'application/json');
    return asked.isNpm ? { stored } : { stored, rewrite: withOwnTarballs(asked.origin) };
  }

  async function pip(registry: Registry, asked: Asked): Promise<Found> {
    const wanted = pipRequestOf(asked.pathname);
    if (!wanted) throw notServed();
    const page = (atAnyAge: boolean): Promise<Stored> => index(registry, `${wanted.name}/`, PAGE_TYPES, atAnyAge);
    if (wanted.kind === 'page') {
      const stored = await page(false);
      return { stored, rewrite: withOwnLinks(wanted.name, new URL(stored.meta.url)) };
    }
    const named = await search(page, (bytes, { meta }) => fileIn(bytes, wanted, new URL(meta.url)));
    return { stored: await file(registry, named, asked.projectId) };
  }

  /** What is once named stays so: only a file that an older index does not name makes it be asked about. */
  async function search(
    indexOf: (atAnyAge: boolean) => Promise<Stored>,
    find: (bytes: Buffer, stored: Stored) => NamedFile | undefined,
  ): Promise<NamedFile | undefined> {
    for (const atAnyAge of [true, false]) {
      const stored = await indexOf(atAnyAge);
      const named = await searches.run('', async () => {
        try {
          return find(await stored.bytes(), stored);
        } finally {
          await stored.close();
        }
      });
      if (named) return named;
    }
    return undefined;
  }

  function upstreamOf({ kind }: Registry): Upstream {
    return upstreams.get(kind) as Upstream;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = connections.get(request.socket) as Connection;
    const { listener, projectId } = connection;
    connection.requests++;
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') throw notServed();
      const registry = registries[listener];
      if (!registry) throw new Fault('unavailable', `This server has no ${listener} registry`);
      const asked = {
        projectId,
        pathname: (request.url ?? '').replace(/[?#].*$/s, ''),
        origin: originOf(request),
        isNpm: request.headers['user-agent']?.startsWith('npm/') ?? false,
        accept: request.headers.accept ?? '',
      };
      const found = await fetches.run(projectId, () => (listener === 'npm' ? npm : pip)(registry, asked));
      await send(request, response, found);
    } catch (error) {
      const fault = toFault(error);
      // Whoever asked may have gone meanwhile.
      if (response.headersSent || response.destroyed) {
        response.destroy();
        return;
      }
      if (fault.code === 'internal') log.error('A package could not be served', { error });
      if (fault.code === 'upstream') log.warn('A package could not be fetched', { error, projectId });
      refuse(request, response, fault);
    } finally {
      connection.requests--;
    }
  }

  const server = createServer((request, response) => {
    response.on('error', () => {});
    void answer(request, response);
  });
  server.on('clientError', (_error, socket) => socket.destroy());

  return {
    serve(listener, stream, { projectId }) {
      const open = streams.get(projectId) ?? new Set();
      stream.on('error', () => stream.destroy());
      if (open.size >= CONNECTIONS_PER_PROJECT) {
        stream.destroy();
        return;
      }
      streams.set(projectId, open.add(stream));
      const connection = { listener, projectId, requests: 0 };
      connections.set(stream, connection);
      const idle = setTimeout(() => {
        if (connection.requests > 0) idle.refresh();
        else stream.destroy();
      }, IDLE_MS).unref();
      stream.on('data', () => idle.refresh());
      stream.once('close', () => {
        clearTimeout(idle);
        open.delete(stream);
        if (open.size === 0) streams.delete(projectId);
      });
      server.emit('connection', stream);
    },
    async close() {
      for (const open of streams.values()) for (const stream of open) stream.destroy();
      for (const upstream of upstreams.values()) upstream.close();
      server.close();
      await cache.close();
    },
  };
}

async function send(request: IncomingMessage, response: ServerResponse, { stored, rewrite }: Found): Promise<void> {
  const { contentType, etag, freshMs } = stored.meta;
  const isKnown = etag !== undefined && request.headers['if-none-match'] === etag;
  response.statusCode = isKnown ? 304 : 200;
  if (contentType !== undefined) response.setHeader('content-type', contentType);
  if (etag !== undefined) response.setHeader('etag', etag);
  if (freshMs !== undefined) response.setHeader('cache-control', 'max-age=60');
  if (!isKnown && !rewrite) response.setHeader('content-length', stored.sizeBytes);
  if (isKnown || request.method === 'HEAD') {
    await stored.close();
    response.end();
  } else if (rewrite) await pipeline(stored.stream(), rewrite, response);
  else await pipeline(stored.stream(), response);
}

/** What names the registry by another scheme, or npm's own where this is a mirror of it, is asked of the registry. */
function atRegistry({ url, digest }: NamedFile, { baseUrl }: Registry): NamedFile {
  const isMeant = url.hostname === baseUrl.hostname || url.hostname === 'registry.npmjs.org';
  return { url: isMeant ? new URL(url.pathname + url.search, baseUrl) : url, digest };
}

/** npm shows `error`, pip the status. A body that may still come is not waited for. */
function refuse(request: IncomingMessage, response: ServerResponse, { code, message }: Fault): void {
  const body = Buffer.from(JSON.stringify({ error: message }));
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  response.writeHead(STATUS_BY_CODE[code], hasBody ? { ...headers, connection: 'close' } : headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Only the sandbox's own loopback: what a program says of it ends up in what it gets. */
function originOf({ headers: { host = '' } }: IncomingMessage): string {
  return `http://${/^(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}$/.test(host) ? host : '127.0.0.1'}`;
}

const notServed = (): Fault =>
  new Fault('not_found', 'Sandboxes get packages and nothing else: install from the registry by name and version');
