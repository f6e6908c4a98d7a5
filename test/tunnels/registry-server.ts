/** An npm registry and a pip index of a test's own, in the formats of the real ones. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { ZipFile } from 'yazl';

export interface NpmVersion {
  version: string;
  dependencies?: Record<string, string>;
  /** Of the main file. */
  source?: string;
  /** Further bytes. */
  padding?: Buffer;
}

export interface RegistryServer extends AsyncDisposable {
  url: string;
  npmUrl: string;
  pipUrl: string;
  /** What was asked for, oldest first, as `GET /npm/left-pad`. */
  asked: string[];
  lastHeaders: IncomingMessage['headers'];
  publish(name: string, ...versions: NpmVersion[]): Promise<void>;
  publishWheel(name: string, version: string, source: string): Promise<void>;
  /** Answers paths in its own way: returns the response where it did. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => ServerResponse | undefined) | undefined;
}

interface Served {
  body: Buffer;
  type: string;
  etag?: string;
}

export async function startRegistry(): Promise<RegistryServer> {
  const served = new Map<string, Served>();
  const packuments = new Map<string, Record<string, unknown>>();
  const links = new Map<string, string[]>();
  const server = await listen((request, response) => {
    registry.asked.push(`${request.method} ${request.url}`);
    registry.lastHeaders = request.headers;
    if (registry.intercept?.(request, response)) return;
    const found = served.get(decodeURIComponent(request.url ?? ''));
    if (!found) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"Not found"}');
      return;
    }
    const { body, type, etag } = found;
    response.setHeader('content-type', type);
    if (etag !== undefined) response.setHeader('etag', etag);
    if (etag !== undefined) response.setHeader('cache-control', 'max-age=0');
    if (etag !== undefined && request.headers['if-none-match'] === etag) {
      response.writeHead(304).end();
      return;
    }
    const packs = type !== 'application/octet-stream' && request.headers['accept-encoding']?.includes('gzip');
    if (packs) response.setHeader('content-encoding', 'gzip');
    response.end(packs ? gzipSync(body) : body);
  });
  const { url } = server;
  const registry: RegistryServer = {
    url,
    npmUrl: `${url}/npm/`,
    pipUrl: `${url}/pip/simple/`,
    asked: [],
    lastHeaders: {},
    intercept: undefined,

    async publish(name, ...versions) {
      const known = packuments.get(name) ?? { name, 'dist-tags': {}, versions: {} };
      for (const { version, dependencies = {}, source = '', padding } of versions) {
        const manifest = { name, version, main: 'index.js', dependencies };
        const archive = pack();
        archive.entry({ name: 'package/package.json' }, JSON.stringify(manifest));
        archive.entry({ name: 'package/index.js' }, source);
        if (padding) archive.entry({ name: 'package/padding' }, padding);
        archive.finalize();
        const body = gzipSync(await buffer(archive));
        const file = `${name.split('/').at(-1)}-${version}.tgz`;
        const path = `/npm/${name}/-/${file}`;
        served.set(path, { body, type: 'application/octet-stream' });
        const dist = {
          integrity: `sha512-${createHash('sha512').update(body).digest('base64')}`,
          shasum: createHash('sha1').update(body).digest('hex'),
          tarball: `${url}${path}`,
          signatures: [{ keyid: 'none', sig: 'none}"' }],
        };
        Object.assign(known['versions'] as object, { [version]: { ...manifest, dist } });
        Object.assign(known['dist-tags'] as object, { latest: version });
      }
      packuments.set(name, known);
      const body = Buffer.from(JSON.stringify(known));
      served.set(`/npm/${name}`, { body, type: 'application/json', etag: etagOf(body) });
    },

    async publishWheel(name, version, source) {
      const file = `${name}-${version}-py3-none-any.whl`;
      const info = `${name}-${version}.dist-info`;
      const metadata = Buffer.from(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`);
      const zip = new ZipFile();
      const files: [string, Buffer][] = [
        [`${name}.py`, Buffer.from(source)],
        [`${info}/METADATA`, metadata],
        [
          `${info}/WHEEL`,
          Buffer.from('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
        ],
      ];
      const record = [...files.map(([path]) => `${path},,`), `${info}/RECORD,,`].join('\n');
      for (const [path, content] of [...files, [`${info}/RECORD`, Buffer.from(record)] as const]) {
        zip.addBuffer(content, path);
      }
      zip.end();
      const body = await buffer(zip.outputStream);
      served.set(`/pip/files/${file}`, { body, type: 'application/octet-stream' });
      served.set(`/pip/files/${file}.metadata`, { body: metadata, type: 'application/octet-stream' });
      const anchors = links.get(name) ?? [];
      const declared = `data-core-metadata="sha256=${sha256(metadata)}"`;
      anchors.push(
        `<a href="../../files/${file}#sha256=${sha256(body)}" data-requires-python="&gt;=3.6" ${declared}>${file}</a><br/>`,
      );
      links.set(name, anchors);
      const page = Buffer.from(`<!DOCTYPE html><html><body>\n${anchors.join('\n')}\n</body></html>`);
      served.set(`/pip/simple/${name}/`, {
        body: page,
        type: 'application/vnd.pypi.simple.v1+html',
        etag: etagOf(page),
      });
    },

    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return registry;
}

/** A server of plain HTTP on a free port of 127.0.0.1. */
export async function listen(handle: RequestListener): Promise<{ url: string; port: number } & AsyncDisposable> {
  const server = createServer(handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const sha256 = (body: Buffer): string => createHash('sha256').update(body).digest('hex');
const etagOf = (body: Buffer): string => `"${sha256(body).slice(0, 16)}"`;
