/** A real Redis of a test's own, which it may kill and bring back empty. */
import { spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { spawnChild } from './child.ts';
import { freePort } from './free-port.ts';
import { hasPart } from './parts.ts';

/** For `describe.runIf` and `test.runIf`: false where this machine has no Redis; throws in CI. */
export const hasRedis = (): boolean => hasPart('redis-server');

export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Ends it at once, as a crash does; nothing is kept. */
  kill(): Promise<void>;
  /** Starts it again at the same address, empty. */
  restart(): Promise<void>;
  /** It hangs: connections stand, nothing is answered. */
  pause(): void;
  resume(): void;
}

export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  let child = await start(port);
  const kill = (): Promise<void> => stop(child);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      child = await start(port);
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    [Symbol.asyncDispose]: kill,
  };
}

/** A Redis Cluster of three shards without replicas. */
export async function startRedisCluster(): Promise<{ url: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-redis-'));
  const found = new Set<number>();
  while (found.size < 6) found.add(await freePort());
  const ports = [...found];
  const shards = await Promise.all(
    ports.slice(0, 3).map(async (port, shard) => ({
      port,
      // Each remembers the cluster in a file of its own.
      child: await start(port, {
        'cluster-enabled': 'yes',
        'cluster-port': ports[shard + 3],
        'cluster-config-file': join(directory, `${shard}.conf`),
      }),
    })),
  );
  const addresses = shards.map(({ port }) => `127.0.0.1:${port}`);
  const create = spawnSync('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'], { encoding: 'utf8' });
  if (create.status !== 0) throw new Error(`redis-cli could not make a cluster:\n${create.stdout}${create.stderr}`);
  return {
    url: `redis+cluster://${addresses.join(',')}`,
    async [Symbol.asyncDispose]() {
      await Promise.all(shards.map(({ child }) => stop(child)));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function start(port: number, more: Record<string, unknown> = {}): Promise<ChildProcess> {
  const options = {
    port,
    bind: '127.0.0.1',
    save: '',
    appendonly: 'no',
    // It would load a dump that lies in its directory.
    dir: tmpdir(),
    dbfilename: `atelier-${port}.rdb`,
    ...more,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawnChild('redis-server', args, { stdio: 'ignore' });
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  for (;;) {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}`);
    if (await answers(port)) return child;
    await wait(20);
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
