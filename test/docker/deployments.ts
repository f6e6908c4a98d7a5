/** Whole servers with sandboxes in containers, which outlive them: what a test leaves is removed with its deployment. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { startCluster, type ClusterOptions, type TestCluster } from '../support/cluster.ts';
import { Ends } from '../support/ends.ts';
import { startServer, type TestServer } from '../support/server.ts';

const docker = new Docker();

/** What servers of one deployment share. */
interface Shared extends AsyncDisposable {
  env: Record<string, string>;
  /** Ids of its containers, also of those that have ended. */
  containers(): Promise<string[]>;
}

export type DockerServer = TestServer & Pick<Shared, 'containers'>;

/** One server in this process. Disposing it rejects where the server had errors. */
export async function startDockerServer(
  env: Record<string, string> = {},
  deps: Parameters<typeof startServer>[1] = {},
): Promise<DockerServer> {
  const ends = new Ends();
  const shared = ends.use(await openShared());
  try {
    const server = ends.use(await startServer({ ...shared.env, ...env }, deps));
    return {
      ...server,
      containers: () => shared.containers(),
      get url() {
        return server.url;
      },
      async [Symbol.asyncDispose]() {
        await ends[Symbol.asyncDispose]();
        const { errors } = server;
        if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
      },
    };
  } catch (error) {
    await ends[Symbol.asyncDispose]();
    throw error;
  }
}

/** Server processes on this machine. */
export async function startDockerCluster(
  options: ClusterOptions,
): Promise<AsyncDisposable & Pick<Shared, 'containers'> & { cluster: TestCluster }> {
  const ends = new Ends();
  const shared = ends.use(await openShared());
  try {
    const cluster = ends.use(await startCluster({ ...options, env: { ...shared.env, ...options.env } }));
    return {
      cluster,
      containers: () => shared.containers(),
      [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose](),
    };
  } catch (error) {
    await ends[Symbol.asyncDispose]();
    throw error;
  }
}

async function openShared(): Promise<Shared> {
  const sandboxDir = await mkdtemp(join(tmpdir(), 'sandboxes-'));
  const containers = async (): Promise<string[]> =>
    (await docker.listContainers({ all: true }))
      .filter(({ Mounts }) => Mounts.some(({ Source }) => Source.startsWith(sandboxDir)))
      .map(({ Id }) => Id);
  return {
    env: { SANDBOX: 'docker', SANDBOX_DIR: sandboxDir, SANDBOX_WARM: '0', SANDBOX_PER_USER: '10' },
    containers,
    async [Symbol.asyncDispose]() {
      for (const id of await containers()) await docker.getContainer(id).remove({ force: true });
      // A volume is let go of a moment after its container.
      await rm(sandboxDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}
