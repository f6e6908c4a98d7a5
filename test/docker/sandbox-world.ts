/** A whole deployment whose sandboxes are containers, which end with it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { startCluster, type ClusterOptions, type TestCluster } from '../support/cluster.ts';

export const docker = new Docker();

export interface SandboxWorld extends AsyncDisposable {
  cluster: TestCluster;
  /** The engine's names of the deployment's containers. */
  containers(): Promise<string[]>;
}

export async function startSandboxWorld(options: ClusterOptions): Promise<SandboxWorld> {
  const sandboxDir = await mkdtemp(join(tmpdir(), 'sandboxes-'));
  const cluster = await startCluster({
    ...options,
    env: { SANDBOX: 'docker', SANDBOX_DIR: sandboxDir, SANDBOX_WARM: '0', SANDBOX_VOLUME_MIB: '64', ...options.env },
  });
  const containers = async (): Promise<string[]> =>
    (await docker.listContainers({ all: true }))
      .filter(({ Mounts }) => Mounts.some(({ Source }) => Source.startsWith(sandboxDir)))
      .map(({ Id }) => Id);
  return {
    cluster,
    containers,
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]();
      for (const id of await containers()) await docker.getContainer(id).remove({ force: true });
      // A volume is let go of a moment after its container.
      await rm(sandboxDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}
