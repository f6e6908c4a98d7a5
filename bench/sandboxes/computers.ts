/** Starts what is compared: Atelier with its sandboxes, and a container of the same kind for `docker exec -it`. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';
import { LABELS, USERS } from '../../src/sandbox/engine/container-options.ts';
import type { Containers } from '../../src/sandbox/engine/containers.ts';
import { createEngine } from '../../src/sandbox/engine/engine.ts';
import { call } from '../../test/support/calls.ts';
import { seed } from '../seed.ts';
import { startNode, type ServerProcess } from '../server-process.ts';
import { closeSockets, socketOf, type Computer } from './shell.ts';

const MIB = 1_024 ** 2;
/** As the server's own defaults. */
const LIMITS = { memoryBytes: 1_024 * MIB, cpus: 1, processes: 256, volumeBytes: 2_048 * MIB };

/** From the end, where a server that runs beside this takes its own last. */
const LAST_USER = USERS.first + USERS.count - 1;

export interface AtelierServer {
  node: ServerProcess;
  /** A project that everybody edits. */
  project(): Promise<string>;
  computer(projectId: string, person?: number): Computer & { kind: 'atelier' };
  /** Ends the project's sandbox; its volume stays. */
  stopSandbox(projectId: string): Promise<void>;
  /** The engine's names of the sandboxes that run for projects, those that are ready among them. */
  containers(): Promise<string[]>;
  stop(): Promise<void>;
}

const docker = new Docker();

export async function startAtelier({ people = 1, warm = 0 } = {}): Promise<AtelierServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-bench-'));
  const sandboxDir = join(dataDir, 'sandboxes');
  const jwtSecret = randomBytes(32).toString('hex');
  const tokens = (await seed(dataDir, jwtSecret, 1, people)).map(({ token }) => token);
  const node = await startNode(['dist/main.js'], {
    PORT: '0',
    PREVIEW_PORT: '0',
    DATA_DIR: dataDir,
    JWT_SECRET: jwtSecret,
    RATE_LIMIT_SCALE: '0',
    LOG_LEVEL: 'warn',
    SANDBOX: 'docker',
    SANDBOX_DIR: sandboxDir,
    SANDBOX_WARM: String(warm),
    SANDBOX_PER_USER: '32',
  });
  const { url } = node;
  const personOf = (n: number): { url: string; token: string } => ({ url, token: tokens[n] as string });
  const all = async (): Promise<Docker.ContainerInfo[]> =>
    (await docker.listContainers({ all: true })).filter(({ Mounts }) =>
      Mounts.some(({ Source }) => Source.startsWith(sandboxDir)),
    );
  return {
    node,
    async project() {
      const owner = await socketOf(personOf(0));
      const { project } = await call(owner, 'project:create', { name: 'Bench', template: 'empty' });
      for (const token of tokens.slice(1)) {
        const userId = (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string })
          .sub;
        await call(owner, 'project:add-member', { projectId: project.id, userId, role: 'editor' });
      }
      return project.id;
    },
    computer: (projectId, person = 0) => ({ kind: 'atelier', ...personOf(person), projectId }),
    async stopSandbox(projectId) {
      await call(await socketOf(personOf(0)), 'sandbox:stop', { projectId });
    },
    async containers() {
      return (await all())
        .filter(({ Labels, State }) => Labels[LABELS.kind] === 'project' && State === 'running')
        .map(({ Id }) => Id);
    },
    async stop() {
      await closeSockets();
      await node.stop();
      for (const { Id } of await all()) await docker.getContainer(Id).remove({ force: true });
      // A volume is let go of a moment after its container.
      await rm(dataDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}

/** A container that waits for `docker exec -it`. */
export interface BareContainer {
  computer: Computer & { kind: 'exec' };
  containerId: string;
  stop(): Promise<void>;
}

/** With the options of a sandbox, but that its files are in memory. */
export async function startContainer(): Promise<BareContainer> {
  const containers = await bareContainers();
  for (let uid = LAST_USER; uid >= USERS.first; uid--) {
    const request = { id: randomBytes(8).toString('hex'), kind: 'project' as const, limits: LIMITS, uid };
    const containerId = await containers.create({ ...request, volume: undefined, agent: undefined });
    if (containerId === undefined) continue;
    await containers.start(containerId);
    return {
      containerId,
      computer: { kind: 'exec', containerId, user: `${uid}:${uid}` },
      stop: () => containers.remove(containerId),
    };
  }
  throw new Error('All users of sandboxes are taken');
}

async function bareContainers(): Promise<Containers> {
  const engine = await createEngine();
  const image = imageName(await imageInputs());
  return engine.containers({ image, instanceId: `bench-${process.pid}`, sandboxDir: tmpdir() });
}

/** What a container's programs hold: memory of their own, and that with files of which they still make use. */
export async function memoryOf(containerId: string): Promise<{ ownMib: number; withFilesMib: number }> {
  const answer = await docker.getContainer(containerId).stats({ stream: false });
  const { usage, stats } = answer.memory_stats as { usage: number; stats: Record<string, number> };
  // Of the first version of control groups, else of the second.
  const own = stats['total_rss'] ?? stats['anon'] ?? Number.NaN;
  const unused = stats['total_inactive_file'] ?? stats['inactive_file'] ?? 0;
  return { ownMib: own / MIB, withFilesMib: (usage - unused) / MIB };
}
