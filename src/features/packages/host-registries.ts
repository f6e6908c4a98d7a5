/**
 * The registries that this machine's own npm and pip are configured for, so that mirrors, proxies and private registries
 * work in sandboxes as they do here.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Log } from '../../observability/log.ts';
import { basic, registryOf, type Registries, type Registry } from './registry.ts';

const run = promisify(execFile);

/** Each takes half a second where the disk is slow. */
const ASK_MS = 30_000;
const ANSWER_BYTES = 1_048_576;
const NPM_REGISTRY = 'https://registry.npmjs.org/';
const PIP_INDEX = 'https://pypi.org/simple/';

const Text = z.string().nullish().catch(undefined);
const NpmConfig = z.object({
  registry: Text,
  proxy: Text,
  'https-proxy': Text,
  noproxy: z
    .union([z.array(z.string()), z.string()])
    .nullish()
    .catch(undefined),
  cafile: Text,
  ca: z
    .union([z.array(z.string()), z.string()])
    .nullish()
    .catch(undefined),
  userconfig: Text,
  globalconfig: Text,
});

/** Where npm or pip is missing, or its settings cannot be used, its own usual registry. */
export async function hostRegistries(env: NodeJS.ProcessEnv, log: Log): Promise<Registries> {
  const orUsual = async (asked: Promise<Registry>, usual: string, kind: Registry['kind']): Promise<Registry> => {
    try {
      return await asked;
    } catch (error) {
      log.warn('The settings of a package manager could not be read; its usual registry is used', {
        name: kind,
        error,
      });
      return registryOf(usual, kind);
    }
  };
  const [npm, pip] = await Promise.all([
    orUsual(npmRegistry(env), NPM_REGISTRY, 'npm'),
    orUsual(pipIndex(env), PIP_INDEX, 'pip'),
  ]);
  return { npm, pip };
}

async function npmRegistry(env: NodeJS.ProcessEnv): Promise<Registry> {
  const config = NpmConfig.parse(JSON.parse(await ask('npm', ['config', 'list', '--long', '--json'], env)));
  const registry = registryOf(config.registry ?? NPM_REGISTRY, 'npm');
  const files = [config.userconfig, config.globalconfig].filter((path) => path != null);
  const texts = await Promise.all(files.map((path) => readFile(path, 'utf8').catch(() => '')));
  const ca = [config.ca ?? []].flat().join('\n');
  return {
    ...registry,
    authorization: npmAuthorization(texts, registry.baseUrl, env) ?? registry.authorization,
    proxy: proxyOf(registry.baseUrl.protocol === 'https:' ? (config['https-proxy'] ?? config.proxy) : config.proxy),
    noProxy: [config.noproxy ?? []].flat().flatMap((hosts) => listOf(hosts)),
    ca: config.cafile ? await readFile(config.cafile, 'utf8') : ca === '' ? undefined : ca,
  };
}

/**
 * npm tells nobody its secrets, so they are read where it reads them. What is set for a longer path comes first, as for
 * npm; of equal ones what the first file says.
 */
function npmAuthorization(texts: readonly string[], baseUrl: URL, env: NodeJS.ProcessEnv): string | undefined {
  const settings = new Map<string, string>();
  for (const line of texts.flatMap((text) => text.split(/\r?\n/))) {
    const [, key, value = ''] =
      /^\s*(\/\/[^\s=]+:(?:_authToken|_auth|username|_password))\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === undefined || settings.has(key)) continue;
    settings.set(
      key,
      value.replace(/^(["'])(.*)\1$/, '$2').replace(/\$\{([^}]+)\}/g, (whole, name: string) => env[name] ?? whole),
    );
  }
  for (let path = baseUrl.pathname; ; path = path.replace(/[^/]+\/$/, '')) {
    const at = (name: string): string | undefined =>
      settings.get(`//${baseUrl.host}${path}:${name}`) ?? settings.get(`//${baseUrl.host}${path.slice(0, -1)}:${name}`);
    const token = at('_authToken');
    if (token) return `Bearer ${token}`;
    const auth = at('_auth');
    if (auth) return `Basic ${auth}`;
    const [user, password] = [at('username'), at('_password')];
    if (user && password) return basic(user, Buffer.from(password, 'base64').toString('utf8'));
    if (path === '/') return undefined;
  }
}

async function pipIndex(env: NodeJS.ProcessEnv): Promise<Registry> {
  const settings = new Map<string, string>();
  for (const line of (await ask('pip', ['config', 'list'], env)).split(/\r?\n/)) {
    const [, key, value] = /^([^=\s]+)='(.*)'$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) settings.set(key, value);
  }
  const setting = (name: string): string | undefined =>
    [`:env:.${name}`, `install.${name}`, `global.${name}`].map((key) => settings.get(key)).find(Boolean);
  const registry = registryOf(setting('index-url') ?? PIP_INDEX, 'pip');
  const cert = setting('cert');
  const { HTTPS_PROXY, https_proxy = HTTPS_PROXY, HTTP_PROXY, http_proxy = HTTP_PROXY } = env;
  return {
    ...registry,
    proxy: proxyOf(setting('proxy') ?? (registry.baseUrl.protocol === 'https:' ? https_proxy : http_proxy)),
    noProxy: listOf(env['no_proxy'] ?? env['NO_PROXY'] ?? ''),
    ca: cert ? await readFile(cert, 'utf8') : undefined,
  };
}

/** Outside of any project, whose settings are not the machine's. */
async function ask(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const options = { cwd: tmpdir(), env, timeout: ASK_MS, maxBuffer: ANSWER_BYTES };
  return (await run(command, args, options)).stdout;
}

const proxyOf = (text: string | null | undefined): URL | undefined => {
  if (!text) return undefined;
  return new URL(text.includes('://') ? text : `http://${text}`);
};

const listOf = (hosts: string): string[] =>
  hosts
    .split(/[\s,]+/)
    .map((host) => host.toLowerCase())
    .filter((host) => host !== '');
