/** What the sandbox image is built from, and the name that follows from it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { lockedPackages, type PackageLock } from './locked-packages.ts';

/** The project's folder, seen from here and from what is built of here. */
export const PROJECT_DIR = fileURLToPath(new URL('../../../', import.meta.url));

/** The agent's, and the commands that people find in their sandboxes. */
const PACKAGES = ['@xterm/addon-serialize', '@xterm/headless', 'node-pty', 'tsx', 'typescript'];

/** Of a person's npm settings, those that say where packages come from, and who may have them. */
const REGISTRY_SETTING = /^\s*(@[^=\s]+:registry|\/\/[^=\s]+|(https?-)?proxy|noproxy|strict-ssl)\s*=/;

/** By their paths in what is sent to the engine. */
export type ContextFiles = ReadonlyMap<string, string | Buffer>;

/** All that decides what the image has in it. The agent has to be built. */
export async function imageInputs(): Promise<ContextFiles> {
  const files = new Map<string, string | Buffer>();
  const read = (path: string): Promise<Buffer> => readFile(join(PROJECT_DIR, path));
  for (const file of ['Dockerfile', 'listening-ports.c']) files.set(file, await read(`sandbox/${file}`));
  const lock = JSON.parse((await read('package-lock.json')).toString()) as PackageLock;
  const locked = lockedPackages(lock, PACKAGES);
  files.set('package.json', locked.manifest);
  files.set('package-lock.json', locked.lock);
  const agent = (await readdir(join(PROJECT_DIR, 'dist/agent'), { recursive: true })).filter((file) =>
    file.endsWith('.js'),
  );
  for (const file of agent.sort()) {
    files.set(`agent/${file.split(sep).join('/')}`, await read(`dist/agent/${file}`));
  }
  return files;
}

/** The same for the same inputs: an image that is there need not be built. */
export function imageName(inputs: ContextFiles): string {
  const hash = createHash('sha256');
  for (const [path, content] of inputs) {
    hash.update(`${path}\0${Buffer.byteLength(content)}\0`).update(content);
  }
  return `atelier-sandbox:${hash.digest('hex').slice(0, 16)}`;
}

/** How this machine reaches its package registry; used while the image is built, and not kept in it. */
export async function registrySettings(): Promise<ContextFiles> {
  const setting = async (key: string): Promise<string> => {
    const { stdout } = await promisify(execFile)('npm', ['config', 'get', key], {
      shell: process.platform === 'win32',
    });
    return stdout.trim();
  };
  const content = async (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const [registry, userConfig, caFile] = await Promise.all(['registry', 'userconfig', 'cafile'].map(setting));
  const lines = (await content(userConfig ?? '')).split('\n').filter((line) => REGISTRY_SETTING.test(line));
  const authorities = [process.env['NODE_EXTRA_CA_CERTS'], caFile === 'null' ? undefined : caFile];
  const found = await Promise.all([...new Set(authorities)].filter((path) => path !== undefined).map(content));
  return new Map([
    ['registry/npmrc', [`registry=${registry}`, ...lines, ''].join('\n')],
    ['registry/ca.crt', found.join('\n')],
  ]);
}
