/**
 * A real S3-speaking server of a test's own: OpenStack Swift with its s3api, which checks signatures, expiry and tampering
 * as S3 does. Debian has it: swift-proxy, swift-account, swift-container, swift-object and memcached.
 */
import { execFile, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { S3 } from '@aws-sdk/client-s3';
import { spawnChild } from './child.ts';
import { freePort } from './free-port.ts';
import { hasPart, pathOf } from './parts.ts';

/** For `describe.runIf` and `test.runIf`: false where this machine has no such server; throws in CI. */
export const hasS3 = (): boolean =>
  ['memcached', ...KINDS.map((kind) => `swift-${kind}-server`), PROXY].every((part) => hasPart(part));

const BUCKET = 'atelier-test';
const REGION = 'us-east-1';
const KEY_ID = 'test:tester';
/** As in proxy.conf. */
const SECRET = 'testing';
const PROXY = 'swift-proxy-server';
const KINDS = ['account', 'container', 'object'] as const;

const run = promisify(execFile);

export interface S3Server extends AsyncDisposable {
  endpoint: string;
  bucket: string;
  /** For what no blob store does. */
  client: S3;
  /** The variables of a server that keeps its uploads here, in a folder of its own. */
  env(): Record<string, string>;
  /** Nobody answers at its address from now on; what it has stored stays. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-s3-'));
  const ports = await freePorts(['account', 'container', 'object', 'proxy', 'memcached']);
  const portOf = (kind: string): number | undefined => ports[`${kind.toUpperCase()}_PORT`];
  const etc = join(directory, 'etc');
  await Promise.all(['srv/d1', 'cache', 'etc'].map((path) => mkdir(join(directory, path), { recursive: true })));
  await writeConfiguration(etc, { DIR: directory, USER: userInfo().username, ...ports });
  await buildRings(
    etc,
    KINDS.map((kind) => `${kind}:${portOf(kind)}`),
  );

  const parts: ChildProcess[] = [];
  let proxy: ChildProcess | undefined;
  const launch = (command: string, ...args: string[]): ChildProcess => spawnChild(command, args, { stdio: 'ignore' });
  const endpoint = `http://127.0.0.1:${ports['PROXY_PORT']}`;
  const client = new S3({
    region: REGION,
    endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: KEY_ID, secretAccessKey: SECRET },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const start = async (): Promise<void> => {
    proxy = launch(PROXY, join(etc, 'proxy.conf'));
    await untilAnswered(endpoint, proxy);
  };
  const stop = async (): Promise<void> => {
    if (proxy) await end(proxy);
  };
  const close = async (): Promise<void> => {
    client.destroy();
    await stop();
    await Promise.all(parts.map(end));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const { username } = userInfo();
    parts.push(launch('memcached', '-u', username, '-l', '127.0.0.1', '-p', String(ports['MEMCACHED_PORT'])));
    const servers = KINDS.map((kind) => ({
      child: launch(`swift-${kind}-server`, join(etc, `${kind}.conf`)),
      url: `http://127.0.0.1:${portOf(kind)}`,
    }));
    parts.push(...servers.map(({ child }) => child));
    await Promise.all([...servers.map(({ url, child }) => untilAnswered(url, child)), start()]);
    await client.createBucket({ Bucket: BUCKET });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    endpoint,
    bucket: BUCKET,
    client,
    env: () => ({
      S3_ENDPOINT: endpoint,
      S3_BUCKET: BUCKET,
      S3_PREFIX: randomBytes(6).toString('hex'),
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: KEY_ID,
      AWS_SECRET_ACCESS_KEY: SECRET,
    }),
    stop,
    start,
    [Symbol.asyncDispose]: close,
  };
}

/** The templates, with what stands between at signs replaced. */
async function writeConfiguration(etc: string, values: Record<string, string | number>): Promise<void> {
  const templates = new URL('swift/', import.meta.url);
  for (const name of await readdir(templates)) {
    const template = await readFile(new URL(name, templates), 'utf8');
    const text = template.replaceAll(/@(\w+)@/g, (_, key: string) => String(values[key]));
    await writeFile(join(etc, name), text);
  }
}

/** Says which server keeps what: here the one there is keeps all. In the Python that Swift is installed for. */
async function buildRings(etc: string, servers: readonly string[]): Promise<void> {
  const [, python = ''] = /^#! *(\S+)/.exec(await readFile(pathOf(PROXY), 'utf8')) ?? [];
  await run(python, ['-c', RINGS, ...servers], { cwd: etc });
}

/** As `swift-ring-builder` with create, add and rebalance, which would be nine processes. */
const RINGS = `
import sys
from swift.common.ring import RingBuilder
for kind, port in (server.split(':') for server in sys.argv[1:]):
    builder = RingBuilder(4, 1, 1)
    place = dict(ip='127.0.0.1', port=int(port), replication_ip='127.0.0.1', replication_port=int(port))
    builder.add_dev(dict(id=0, region=1, zone=1, device='d1', weight=1, meta='', **place))
    builder.rebalance()
    builder.get_ring().save(kind + '.ring.gz')
`;

async function freePorts(names: readonly string[]): Promise<Record<string, number>> {
  const ports = new Set<number>();
  while (ports.size < names.length) ports.add(await freePort());
  return Object.fromEntries([...ports].map((port, i) => [`${names[i]?.toUpperCase()}_PORT`, port]));
}

async function untilAnswered(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`A part of Swift ended with code ${child.exitCode}`);
    // What it says does not matter: it listens.
    const isThere = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await wait(50);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
