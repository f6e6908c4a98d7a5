/** Whole servers with sandboxes in containers, which outlive them: what a test leaves is removed with its deployment. */
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
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
  /** The files of its volumes, on all machines. */
  volumes(): Promise<string[]>;
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

export type DockerCluster = AsyncDisposable & Pick<Shared, 'containers' | 'volumes'> & { cluster: TestCluster };

/** Server processes on this machine, or `apart` as if on a machine each: they share the engine and the store of blobs. */
export async function startDockerCluster({
  apart = false,
  ...options
}: ClusterOptions & { apart?: boolean }): Promise<DockerCluster> {
  const ends = new Ends();
  const shared = ends.use(await openShared());
  try {
    const machines = apart ? ends.use(await openMachines(shared.env.SANDBOX_DIR as string, options.nodes)) : undefined;
    const cluster = ends.use(
      await startCluster({
        ...options,
        env: { ...shared.env, ...options.env },
        ...(machines ? { envOf: (n) => machines.env[n] ?? {} } : {}),
      }),
    );
    return {
      cluster,
      containers: () => shared.containers(),
      volumes: () => shared.volumes(),
      [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose](),
    };
  } catch (error) {
    await ends[Symbol.asyncDispose]();
    throw error;
  }
}

/** A folder for each node; what they keep of blobs is one. */
async function openMachines(sandboxDir: string, count: number) {
  const directory = await mkdtemp(join(tmpdir(), 'machines-'));
  await mkdir(join(directory, 'blobs'));
  const env: Record<string, string>[] = [];
  for (let n = 0; n < count; n++) {
    const DATA_DIR = join(directory, String(n));
    await mkdir(DATA_DIR);
    await symlink('../blobs', join(DATA_DIR, 'blobs'));
    env.push({ DATA_DIR, SANDBOX_DIR: join(sandboxDir, String(n)) });
  }
  return {
    env,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
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
    volumes: async () => (await readdir(sandboxDir, { recursive: true })).filter((path) => path.endsWith('.ext4')),
    async [Symbol.asyncDispose]() {
      for (const id of await containers()) await docker.getContainer(id).remove({ force: true });
      // A volume is let go of a moment after its container.
      await rm(sandboxDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}
