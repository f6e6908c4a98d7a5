/** Servers whose sandboxes are containers. Those outlive a server; here they end with the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { startCluster, type ClusterOptions, type TestCluster } from '../support/cluster.ts';
import { startServer, type TestServer } from '../support/server.ts';

export const docker = new Docker();

interface SandboxDir extends AsyncDisposable {
  env: Record<string, string>;
  /** The engine's names of the containers whose sockets are there. */
  containers(): Promise<string[]>;
}

async function makeSandboxDir(): Promise<SandboxDir> {
  const sandboxDir = await mkdtemp(join(tmpdir(), 'sandboxes-'));
  const containers = async (): Promise<string[]> =>
    (await docker.listContainers({ all: true }))
      .filter(({ Mounts }) => Mounts.some(({ Source }) => Source.startsWith(sandboxDir)))
      .map(({ Id }) => Id);
  return {
    env: { SANDBOX: 'docker', SANDBOX_DIR: sandboxDir, SANDBOX_WARM: '0', SANDBOX_VOLUME_MIB: '256' },
    containers,
    async [Symbol.asyncDispose]() {
      for (const id of await containers()) await docker.getContainer(id).remove({ force: true });
      // A volume is let go of a moment after its container.
      await rm(sandboxDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}

export interface SandboxWorld extends AsyncDisposable {
  cluster: TestCluster;
  /** The engine's names of the deployment's containers. */
  containers(): Promise<string[]>;
}

/** Server processes on one machine. */
export async function startSandboxWorld(options: ClusterOptions): Promise<SandboxWorld> {
  const dir = await makeSandboxDir();
  const cluster = await startCluster({ ...options, env: { ...dir.env, ...options.env } });
  return {
    cluster,
    containers: () => dir.containers(),
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** A server in this process. */
export async function startSandboxServer(
  env: Record<string, string> = {},
  deps: Parameters<typeof startServer>[1] = {},
): Promise<TestServer> {
  const dir = await makeSandboxDir();
  const server = await startServer({ ...dir.env, ...env }, deps);
  const end = server[Symbol.asyncDispose].bind(server);
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      await end();
      await dir[Symbol.asyncDispose]();
    },
  });
}
