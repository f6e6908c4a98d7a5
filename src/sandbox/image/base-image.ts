/** What the sandbox image stands on: Node's image from a registry or, where none can be reached, Debian's packages. */
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import type { Engine } from '../engine/engine.ts';

const NODE_IMAGE = 'node:22-bookworm-slim';
const SUITE = 'bookworm';
const MIRROR = 'http://deb.debian.org/debian';
const SECURITY_MIRROR = 'http://deb.debian.org/debian-security';

const run = promisify(execFile);

/** Gives the name of an image with Debian, Node and npm in /usr/local, and its headers. */
export async function baseImage(engine: Engine, log: Log): Promise<string> {
  const own = `atelier-base:${SUITE}-node${process.versions.node}`;
  for (const name of [NODE_IMAGE, own]) if (await engine.hasImage(name)) return name;
  log.info(`Fetching ${NODE_IMAGE}`);
  try {
    await engine.pullImage(NODE_IMAGE);
    return NODE_IMAGE;
  } catch (error) {
    log.info(`No registry has given ${NODE_IMAGE}: making a base from Debian's packages`, { error });
  }
  await importDebian(engine, own);
  return own;
}

async function importDebian(engine: Engine, name: string): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Fault('unavailable', `${NODE_IMAGE} cannot be fetched; without it the image is made by root only`);
  }
  const root = await mkdtemp(join(tmpdir(), 'atelier-base-'));
  try {
    await run('debootstrap', ['--variant=minbase', SUITE, root, MIRROR], { maxBuffer: Infinity }).catch((cause) => {
      const message = `${NODE_IMAGE} cannot be fetched; without it debootstrap has to be installed and to reach ${MIRROR}`;
      throw new Fault('unavailable', message, { cause });
    });
    await rm(join(root, 'var/cache/apt/archives'), { recursive: true });
    await writeFile(join(root, 'etc/apt/sources.list'), sources());
    await copyNode(join(root, 'usr/local'));
    const tar = spawn('tar', ['-C', root, '--numeric-owner', '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await engine.importImage(tar.stdout, name);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const sources = (): string =>
  [
    `deb ${MIRROR} ${SUITE} main`,
    `deb ${MIRROR} ${SUITE}-updates main`,
    `deb ${SECURITY_MIRROR} ${SUITE}-security main`,
    '',
  ].join('\n');

/** This machine's Node, its npm and its headers: Debian's Node is too old for some of what people build. */
async function copyNode(to: string): Promise<void> {
  await cp(await realpath(process.execPath), join(to, 'bin/node'));
  const npm = dirname(dirname(await realpath((await run('sh', ['-c', 'command -v npm'])).stdout.trim())));
  await cp(npm, join(to, 'lib/node_modules/npm'), { recursive: true });
  for (const command of ['npm', 'npx']) {
    await run('ln', ['-s', `../lib/node_modules/npm/bin/${command}-cli.js`, join(to, 'bin', command)]);
  }
  await cp(await headers(), join(to, 'include/node'), { recursive: true });
}

/** Beside Node, or where building a package has put them. */
async function headers(): Promise<string> {
  const places = [
    join(dirname(dirname(await realpath(process.execPath))), 'include/node'),
    join(homedir(), '.cache/node-gyp', process.versions.node, 'include/node'),
  ];
  for (const place of places) {
    const text = await readFile(join(place, 'node_version.h'), 'utf8').catch(() => undefined);
    if (text !== undefined && (await stat(join(place, 'node_api.h'))).isFile()) return place;
  }
  throw new Fault('unavailable', `Node's headers are not there (${places.join(', ')}): install them`);
}
