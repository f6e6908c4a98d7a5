/** The package proxy: stock npm and pip as clients on a port, as in a sandbox, and registries in the real formats. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, request, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  createPackages,
  hostRegistries,
  registriesOf,
  type Packages,
  type PackagesDeps,
  type Registries,
  type Registry,
} from '../../src/features/packages/index.ts';
import type { AuditEntry } from '../../src/observability/audit.ts';
import { Ends } from '../support/ends.ts';
import { silentLog } from '../support/log.ts';
import { hasPart } from '../support/parts.ts';
import { randomOf } from '../support/random.ts';
import { listen, startRegistry, type RegistryServer } from './registry-server.ts';

const PROJECT = '0123456789abcdef01234567';

let ends: Ends;
let registry: RegistryServer;
let directory: string;
let audited: AuditEntry[];
let clock: number;

beforeEach(async () => {
  ends = new Ends();
  registry = ends.use(await startRegistry());
  directory = await mkdtemp(join(tmpdir(), 'atelier-packages-'));
  ends.defer(() => rm(directory, { recursive: true, force: true }));
  audited = [];
  clock = Date.now();
});
afterEach(() => ends[Symbol.asyncDispose]());

interface Proxy {
  npm: string;
  pip: string;
  packages: Packages;
}

/** The proxy behind two ports, as the sandbox's agent has them. */
async function startProxy(options: Partial<PackagesDeps> = {}): Promise<Proxy> {
  const packages = createPackages({
    cacheDir: join(directory, 'cache'),
    registries: registriesOf([registry.npmUrl, registry.pipUrl]),
    audit: { record: (entry) => void audited.push(entry), flush: async () => {} },
    log: silentLog,
    now: () => clock,
    ...options,
  });
  ends.defer(() => packages.close());
  const urls: string[] = [];
  for (const listener of ['npm', 'pip'] as const) {
    const server = createServer((socket) => packages.serve(listener, socket, { projectId: PROJECT }));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    ends.defer(() => void server.close());
  }
  return { npm: urls[0] as string, pip: urls[1] as string, packages };
}

/** The environment of a sandbox's programs, without anything of this machine's. */
function sandboxEnv(proxy: Proxy): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: directory,
    npm_config_userconfig: join(directory, '.npmrc'),
    npm_config_globalconfig: join(directory, 'npmrc'),
    npm_config_cache: join(directory, 'npm-cache'),
    npm_config_registry: `${proxy.npm}/`,
    npm_config_replace_registry_host: 'always',
    npm_config_fetch_retries: '1',
    npm_config_fetch_retry_mintimeout: '300',
    npm_config_fetch_retry_maxtimeout: '600',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_INDEX_URL: `${proxy.pip}/simple/`,
    PIP_NO_CACHE_DIR: '1',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
  };
}

async function run(
  proxy: Proxy,
  cwd: string,
  command: string,
  ...args: string[]
): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, { cwd, env: sandboxEnv(proxy), stdio: ['ignore', 'pipe', 'pipe'] });
  ends.defer(() => child.kill('SIGKILL'));
  const [[code], out, errors] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, output: out + errors };
}

async function project(name: string, dependencies: Record<string, string>): Promise<string> {
  const cwd = join(directory, name);
  await mkdir(cwd);
  await writeFile(join(cwd, 'package.json'), JSON.stringify({ name, version: '1.0.0', dependencies }));
  return cwd;
}

const tarballsAsked = (): string[] => registry.asked.filter((line) => line.endsWith('.tgz'));
const forget = (): void => void registry.asked.splice(0);

describe('npm', () => {
  test('installs a tree, again from the cache, and by a lockfile that names the registry', async () => {
    await registry.publish('leaf', { version: '1.0.0', source: 'module.exports = "leaf"' });
    await registry.publish('@scope/branch', {
      version: '2.1.0',
      dependencies: { leaf: '^1.0.0' },
      source: 'module.exports = require("leaf")',
    });
    const proxy = await startProxy();
    const cwd = await project('first', { '@scope/branch': '^2.0.0' });
    const installed = await run(proxy, cwd, 'npm', 'install');
    expect(installed).toMatchObject({ code: 0 });
    expect(await run(proxy, cwd, 'node', '-p', 'require("@scope/branch")')).toEqual({ code: 0, output: 'leaf\n' });
    expect(tarballsAsked()).toHaveLength(2);
    const lockfile = await readFile(join(cwd, 'package-lock.json'), 'utf8');
    expect(lockfile).toContain(`"resolved": "${registry.npmUrl}leaf/-/leaf-1.0.0.tgz"`);
    expect(audited.map(({ action, projectId, ok, target }) => ({ action, projectId, ok, target }))).toEqual(
      expect.arrayContaining([
        {
          action: 'sandbox.package',
          projectId: PROJECT,
          ok: true,
          target: `npm ${registry.npmUrl}leaf/-/leaf-1.0.0.tgz`,
        },
      ]),
    );
    expect(audited).toHaveLength(2);

    // Nothing of npm's own is left, nor node_modules: packuments are asked about, tarballs are not.
    forget();
    await rm(join(directory, 'npm-cache'), { recursive: true });
    await rm(join(cwd, 'node_modules'), { recursive: true });
    expect(await run(proxy, cwd, 'npm', 'ci')).toMatchObject({ code: 0 });
    expect(await run(proxy, cwd, 'node', '-p', 'require("@scope/branch")')).toEqual({ code: 0, output: 'leaf\n' });
    expect(tarballsAsked()).toEqual([]);
    expect(audited).toHaveLength(2);
  });

  test('says at once what is not there, and that other operations are not', async () => {
    const proxy = await startProxy();
    const cwd = await project('missing', { nowhere: '1.0.0' });
    const { code, output } = await run(proxy, cwd, 'npm', 'install');
    expect(code).not.toBe(0);
    expect(output).toContain('404');
    for (const [method, path] of [
      ['POST', '/-/npm/v1/security/audits'],
      ['PUT', '/leaf'],
      ['GET', '/-/v1/search?text=leaf'],
      ['GET', '/-/ping'],
      ['GET', '/'],
      ['GET', '/../../etc/passwd'],
      ['GET', '/%2e%2e%2fetc%2fpasswd'],
      ['GET', '/http://127.0.0.1/leaf'],
      ['GET', '/leaf/-/../../../secret.tgz'],
    ] as const) {
      const response = await ask(proxy.npm, method, path);
      expect([path, response.statusCode]).toEqual([path, 404]);
      expect(await text(response)).toContain('Sandboxes get packages');
    }
    expect(registry.asked.filter((line) => !line.includes('nowhere'))).toEqual([]);
  });

  test('a packument is passed unchanged to npm, and with the listener in its addresses to others', async () => {
    await registry.publish('leaf', { version: '1.0.0' });
    const proxy = await startProxy();
    const get = async (agent: string): Promise<string> =>
      (await fetch(`${proxy.npm}/leaf`, { headers: { 'user-agent': agent } })).text();
    expect(await get('npm/10.8.2 node/v20 linux x64')).toContain(`"tarball":"${registry.npmUrl}leaf/-/leaf-1.0.0.tgz"`);
    for (const agent of ['pnpm/9.1.0 npm/? node/v20 linux x64', 'yarn/1.22.22 npm/? node/v20 linux x64', '']) {
      const packument = JSON.parse(await get(agent)) as { versions: Record<string, { dist: { tarball: string } }> };
      const tarball = packument.versions['1.0.0']?.dist.tarball ?? '';
      expect(tarball).toBe(`${proxy.npm}/npm/leaf/-/leaf-1.0.0.tgz`);
      expect((await fetch(tarball)).status).toBe(200);
    }
  });

  test('what is not what was declared is refused, is not kept, and is right once the registry is', async () => {
    await registry.publish('leaf', { version: '1.0.0' });
    const proxy = await startProxy();
    registry.intercept = ({ url = '' }, response) => {
      return url.endsWith('.tgz') ? response.end('something else') : undefined;
    };
    const url = `${proxy.npm}/leaf/-/leaf-1.0.0.tgz`;
    const refused = await fetch(url);
    expect(refused.status).toBe(502);
    expect(await refused.json()).toEqual({ error: 'The registry gave something else than it declares' });
    expect(audited).toMatchObject([{ ok: false }]);
    registry.intercept = ({ url = '' }, response) => {
      if (!url.endsWith('.tgz')) return undefined;
      response.writeHead(200, { 'content-length': 1_000 });
      response.write('the beginning', () => response.destroy());
      return response;
    };
    expect((await fetch(url)).status).toBe(502);
    registry.intercept = undefined;
    expect((await fetch(url)).status).toBe(200);
    expect((await readdir(join(directory, 'cache'))).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('what many want at the same time is fetched once', async () => {
    await registry.publish('leaf', { version: '1.0.0', padding: Buffer.alloc(300_000, 7) });
    const proxy = await startProxy();
    const all = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const response = await fetch(`${proxy.npm}/leaf/-/leaf-1.0.0.tgz`);
        return (await response.arrayBuffer()).byteLength;
      }),
    );
    expect(new Set(all).size).toBe(1);
    expect(tarballsAsked()).toHaveLength(1);
    expect(registry.asked.filter((line) => line === 'GET /npm/leaf')).toHaveLength(1);
  });

  test('an index is asked about again when its time is over; one that cannot be asked serves what was there', async () => {
    await registry.publish('leaf', { version: '1.0.0' });
    const proxy = await startProxy();
    const latest = async (): Promise<string | undefined> => {
      const packument = (await (await fetch(`${proxy.npm}/leaf`)).json()) as Record<string, Record<string, string>>;
      return packument['dist-tags']?.['latest'];
    };
    expect(await latest()).toBe('1.0.0');
    clock += 1;
    expect(await latest()).toBe('1.0.0');
    expect(registry.lastHeaders['if-none-match']).toMatch(/^"/);
    await registry.publish('leaf', { version: '1.1.0' });
    clock += 1;
    expect(await latest()).toBe('1.1.0');
    registry.intercept = (_request, response) => response.writeHead(503).end();
    clock += 1;
    expect(await latest()).toBe('1.1.0');
  });

  test('the cache survives a restart, and what was not used for the longest time leaves it', async () => {
    for (const [seed, name] of ['one', 'two', 'three'].entries()) {
      await registry.publish(name, { version: '1.0.0', padding: randomBytes(seed, 400_000) });
    }
    const get = async ({ npm }: Proxy, name: string): Promise<number> =>
      (await (await fetch(`${npm}/${name}/-/${name}-1.0.0.tgz`)).arrayBuffer()).byteLength;
    const first = await startProxy();
    for (const name of ['one', 'two', 'three']) {
      clock += 10_000;
      await get(first, name);
    }
    await first.packages.close();
    forget();
    clock += 4_000_000;
    const second = await startProxy({ cacheBytes: 1_000_000 });
    // Used again, it is not the oldest any more; the first thing that is written lets the trim begin.
    await get(second, 'one');
    expect(tarballsAsked()).toEqual([]);
    await registry.publish('four', { version: '1.0.0', padding: randomBytes(4, 400_000) });
    await get(second, 'four');
    await second.packages.close();
    const files = await readdir(join(directory, 'cache'));
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(directory, 'cache', name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(1_100_000);
    forget();
    const third = await startProxy();
    await get(third, 'one');
    expect(tarballsAsked()).toEqual([]);
    await get(third, 'two');
    expect(tarballsAsked()).toHaveLength(1);
  });

  test('files and indexes have limits', async () => {
    await registry.publish('large', { version: '1.0.0', padding: randomBytes(5, 50_000) });
    const proxy = await startProxy({ fileBytes: 20_000 });
    expect((await fetch(`${proxy.npm}/large/-/large-1.0.0.tgz`)).status).toBe(413);
    const small = await startProxy({ indexBytes: 100, cacheDir: join(directory, 'other') });
    expect((await fetch(`${small.npm}/large`)).status).toBe(413);
  });

  test('a registry cannot lead to this machine, and its token goes to itself only', async () => {
    const seen: (string | undefined)[] = [];
    const inner = ends.use(
      await listen(({ headers }, response) => {
        seen.push(headers.authorization);
        response.end('secret');
      }),
    );
    const [npm] = Object.values(registriesOf([registry.npmUrl.replace('://', '://ada:pass%20word@')]));
    const proxy = await startProxy({ registries: { npm: npm as never } });
    for (const address of [
      inner.url,
      'http://localhost:9/',
      'http://169.254.169.254/',
      'http://[::1]:9/',
      'file:///etc/passwd',
    ]) {
      registry.intercept = (_request, response) => response.writeHead(302, { location: address }).end();
      const response = await fetch(`${proxy.npm}/leaf`);
      expect([address, response.status]).toEqual([address, 502]);
      expect(await response.json()).toEqual({ error: 'The registry leads to an address that is not public' });
    }
    expect(seen).toEqual([]);
    expect(registry.lastHeaders.authorization).toBe(`Basic ${Buffer.from('ada:pass word').toString('base64')}`);
    registry.intercept = ({ url }, response) =>
      url === '/npm/leaf' ? response.writeHead(302, { location: '/npm/other' }).end() : undefined;
    await registry.publish('other', { version: '1.0.0' });
    expect(await (await fetch(`${proxy.npm}/leaf`)).json()).toMatchObject({ name: 'other' });
  });

  test('a sandbox has so many connections; they end with the proxy', async () => {
    const proxy = await startProxy();
    const { hostname, port } = new URL(proxy.npm);
    const sockets = Array.from({ length: 65 }, () => connect(Number(port), hostname));
    ends.defer(() => sockets.forEach((socket) => socket.destroy()));
    const closed = sockets.map((socket) => once(socket.resume(), 'close'));
    await Promise.race(closed);
    await expect.poll(() => sockets.filter((socket) => socket.closed).length).toBe(1);
    await proxy.packages.close();
    await Promise.all(closed);
  });
});

describe.runIf(hasPart('openssl'))('behind a proxy', () => {
  test('an https registry with an authority of its own is reached through the tunnel, an http one by the proxy', async () => {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=registry.example', '-addext', 'subjectAltName=DNS:registry.example'];
    const options = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert];
    await promisify(execFile)('openssl', ['req', '-x509', ...options, ...subject]);
    const ca = await readFile(cert, 'utf8');
    await registry.publish('leaf', { version: '1.0.0' });
    const plain = new URL(registry.url);
    const secure = createTlsServer({ key: await readFile(key), cert: ca }, (socket) => {
      const upstream = connect(Number(plain.port), plain.hostname);
      socket.pipe(upstream).pipe(socket);
      for (const end of [socket, upstream]) end.on('error', () => void (socket.destroy(), upstream.destroy()));
    }).listen(0, '127.0.0.1');
    await once(secure, 'listening');
    ends.defer(() => void secure.close());

    const passed: string[] = [];
    const proxyServer = createHttpServer((request, response) => {
      passed.push(`${request.headers['proxy-authorization']} ${request.method} ${request.url}`);
      const { pathname } = new URL(request.url ?? '');
      void fetch(`${registry.url}${pathname}`).then(async (answer) => response.end(await answer.text()));
    });
    proxyServer.on('connect', (request, socket: Socket) => {
      passed.push(`${request.headers['proxy-authorization']} CONNECT ${request.url}`);
      const upstream = connect((secure.address() as AddressInfo).port, '127.0.0.1');
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
      for (const end of [socket, upstream]) end.on('error', () => void (socket.destroy(), upstream.destroy()));
    });
    proxyServer.listen(0, '127.0.0.1');
    await once(proxyServer, 'listening');
    ends.defer(() => {
      proxyServer.closeAllConnections();
      proxyServer.close();
    });
    const proxy = new URL(`http://ada:secret@127.0.0.1:${(proxyServer.address() as AddressInfo).port}`);
    const credentials = `Basic ${Buffer.from('ada:secret').toString('base64')}`;

    const [npm] = Object.values(registriesOf(['https://registry.example/npm/']));
    const tunnelled = await startProxy({ registries: { npm: { ...(npm as Registry), proxy, ca } } });
    expect((await fetch(`${tunnelled.npm}/leaf`)).status).toBe(200);
    expect(passed).toEqual([`${credentials} CONNECT registry.example:443`]);

    const [http] = Object.values(registriesOf(['http://registry.example/npm/']));
    const forwarded = await startProxy({
      registries: { npm: { ...(http as Registry), proxy } },
      cacheDir: join(directory, 'other'),
    });
    expect((await fetch(`${forwarded.npm}/leaf`)).status).toBe(200);
    expect(passed[1]).toBe(`${credentials} GET http://registry.example/npm/leaf`);

    // Without its authority it is not believed.
    const unknown = { npm: { ...(npm as Registry), proxy } };
    const unbelieved = await startProxy({ registries: unknown, cacheDir: join(directory, 'third') });
    expect((await fetch(`${unbelieved.npm}/leaf`)).status).toBe(502);
    expect(passed).toHaveLength(3);
  });
});

describe.runIf(hasPart('pip'))('pip', () => {
  test('installs a wheel by its metadata, and finds it in the cache', async () => {
    await registry.publishWheel('trunk', '1.2.0', 'VALUE = "trunk"\n');
    const proxy = await startProxy();
    for (const target of ['first', 'second']) {
      const { code, output } = await run(
        proxy,
        directory,
        'pip',
        'install',
        '--target',
        join(directory, target),
        'trunk',
      );
      expect({ code, output }).toMatchObject({ code: 0 });
      expect(await readFile(join(directory, target, 'trunk.py'), 'utf8')).toBe('VALUE = "trunk"\n');
    }
    expect(registry.asked.filter((line) => line.endsWith('.whl'))).toHaveLength(1);
    expect(audited.map(({ target }) => target)).toContain(`pip ${registry.url}/pip/files/trunk-1.2.0-py3-none-any.whl`);
  });

  test('links keep their hashes; what no page links is not there', async () => {
    await registry.publishWheel('trunk', '1.2.0', '');
    const proxy = await startProxy();
    const page = await (await fetch(`${proxy.pip}/simple/Trunk/`)).text();
    expect(page).toMatch(
      /href="\/files\/trunk\/trunk-1\.2\.0-py3-none-any\.whl#sha256=[\da-f]{64}" data-requires-python="&gt;=3\.6"/,
    );
    for (const path of ['/files/trunk/other.whl', '/simple/', '/simple/nothing/', '/files/trunk/..%2fx', '/']) {
      expect([path, (await fetch(`${proxy.pip}${path}`)).status]).toEqual([path, 404]);
    }
    registry.intercept = ({ url = '' }, response) => (url.endsWith('.whl') ? response.end('wrong') : undefined);
    expect((await fetch(`${proxy.pip}/files/trunk/trunk-1.2.0-py3-none-any.whl`)).status).toBe(502);
  });
});

describe("this machine's own registries", () => {
  test('are those of its npm and pip, with the token of the npmrc', async () => {
    const npmrc = join(directory, '.npmrc');
    await writeFile(
      npmrc,
      `registry=${registry.npmUrl}\n//${new URL(registry.url).host}/npm/:_authToken=\${REGISTRY_TOKEN}\nproxy=http://proxy.example:3128\nnoproxy=127.0.0.1\n`,
    );
    const env = {
      PATH: process.env['PATH'],
      HOME: directory,
      npm_config_userconfig: npmrc,
      REGISTRY_TOKEN: 'not-for-sandboxes',
      PIP_INDEX_URL: registry.pipUrl,
      PIP_CONFIG_FILE: '/dev/null',
    };
    const registries = await hostRegistries(env, silentLog);
    expect(registries.npm).toMatchObject({
      baseUrl: new URL(registry.npmUrl),
      authorization: 'Bearer not-for-sandboxes',
    });
    expect(registries.npm?.proxy?.href).toBe('http://proxy.example:3128/');
    expect(registries.pip?.baseUrl.href).toBe(hasPart('pip') ? registry.pipUrl : 'https://pypi.org/simple/');
    await registry.publish('leaf', { version: '1.0.0' });
    const proxy = await startProxy({ registries });
    const answer = await fetch(`${proxy.npm}/leaf`);
    expect(answer.status).toBe(200);
    expect(registry.lastHeaders.authorization).toBe('Bearer not-for-sandboxes');
    expect(JSON.stringify([...answer.headers]) + (await answer.text()) + JSON.stringify(audited)).not.toContain(
      'not-for',
    );
  });

  test('are the usual ones where a package manager is missing or says nothing', async () => {
    const registries = await hostRegistries({ PATH: directory, HOME: directory }, silentLog);
    expect(registries.npm?.baseUrl.href).toBe('https://registry.npmjs.org/');
    expect(registries.pip?.baseUrl.href).toBe('https://pypi.org/simple/');
    expect(() => registriesOf(['https://a.example', 'https://b.example'])).toThrow('more than one npm');
  });

  test('serve a package of the internet, where there is one', { timeout: 120_000 }, async ({ skip }) => {
    const registries: Registries = await hostRegistries(process.env, silentLog);
    const isThere = await fetch(new URL('is-number', registries.npm?.baseUrl)).then(
      ({ ok }) => ok,
      () => false,
    );
    if (!isThere && !process.env['CI']) skip('This machine reaches no npm registry');
    const proxy = await startProxy({ registries });
    const cwd = await project('real', { 'is-number': '7.0.0' });
    expect(await run(proxy, cwd, 'npm', 'install')).toMatchObject({ code: 0 });
    expect(await run(proxy, cwd, 'node', '-p', 'require("is-number")(5)')).toEqual({ code: 0, output: 'true\n' });
  });
});

/** With the path as it is. */
async function ask(url: string, method: string, path: string): Promise<IncomingMessage> {
  const asked = request(url, { method, path }).end(method === 'GET' ? undefined : '{}');
  return ((await once(asked, 'response')) as [IncomingMessage])[0];
}

/** Bytes that do not pack. */
function randomBytes(seed: number, count: number): Buffer {
  const random = randomOf(seed);
  return Buffer.from(Array.from({ length: count }, () => random(256)));
}
