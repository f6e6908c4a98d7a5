/** Chooses what sandboxes run in, by what is asked for and what this machine has. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Log } from '../observability/log.ts';
import type { SandboxDriver } from './driver.ts';
import { createDockerExecDriver } from './drivers/docker-exec.ts';
import { createDockerDriver } from './drivers/docker.ts';
import { createLocalDriver } from './drivers/local.ts';
import { createPreparedDriver } from './drivers/prepared.ts';
import { createEngine, type Engine } from './engine/engine.ts';
import { ensureSandboxImage, hasSandboxImage } from './image/ensure-image.ts';

export interface DriverChoice {
  sandbox: 'auto' | 'docker' | 'docker-exec' | 'local' | 'off';
  sandboxDir: string;
  dockerHost?: string | undefined;
  sandboxImage?: string | undefined;
  /** Whether programs may run on this machine itself. */
  allowLocalSandboxes: boolean;
}

export interface DriverDeps {
  /** Of this deployment: others may use the same engine. */
  instanceId: string;
  /** What agents' secrets are derived from. */
  secret: string;
  log: Log;
}

/** Sockets in it are addressed by their paths, of which the kernel takes 107 bytes. */
export const SANDBOX_DIR_BYTES = 80;

/** The driver, or why there is none and how to switch it on. */
export async function chooseDriver(choice: DriverChoice, deps: DriverDeps): Promise<SandboxDriver | { off: string }> {
  const { sandbox, sandboxDir, allowLocalSandboxes, dockerHost } = choice;
  if (sandbox === 'off') return { off: 'they are switched off: SANDBOX=auto switches them on' };
  const folderProblem = await problemOf(sandboxDir);
  if (folderProblem !== undefined) return { off: folderProblem };
  if (sandbox === 'local') return local(choice, deps);
  const engine = await createEngine({ host: dockerHost });
  const engineProblem = await engine.version().then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  // One that was asked for by name is waited for: it may only be restarting.
  if (engineProblem === undefined || sandbox !== 'auto') return docker(engine, choice, deps);
  return allowLocalSandboxes ? local(choice, deps) : { off: engineProblem };
}

async function problemOf(sandboxDir: string): Promise<string | undefined> {
  if (Buffer.byteLength(sandboxDir) > SANDBOX_DIR_BYTES) {
    return `the path of their folder is too long: set SANDBOX_DIR to one of ${SANDBOX_DIR_BYTES} bytes`;
  }
  try {
    await mkdir(sandboxDir, { recursive: true });
    await access(sandboxDir, constants.W_OK);
    return undefined;
  } catch {
    return `${sandboxDir} cannot be written: set SANDBOX_DIR to a folder of this server's user`;
  }
}

function docker(engine: Engine, choice: DriverChoice, { instanceId, secret, log }: DriverDeps): SandboxDriver {
  const { sandbox, sandboxDir, sandboxImage } = choice;
  return createPreparedDriver({
    expected: sandbox === 'docker-exec' ? { kind: 'docker-exec', survives: false } : { kind: 'docker', survives: true },
    isThere: () => hasSandboxImage(engine, sandboxImage),
    async prepare() {
      await engine.version();
      const image = await ensureSandboxImage({ engine, log, image: sandboxImage });
      const options = { engine, sandboxDir, instanceId, secret, image, log };
      if (sandbox === 'docker-exec') return createDockerExecDriver(options);
      const driver = await createDockerDriver(options);
      if (sandbox === 'docker') return driver;
      try {
        await prove(driver);
        return driver;
      } catch (error) {
        const other = await createDockerExecDriver(options);
        await prove(other).catch(() => {
          throw error;
        });
        log.warn('Sandboxes end with this server: their agents cannot reach it, so they are run through the engine', {
          error,
        });
        return other;
      }
    },
    log,
  });
}

/** Whether agents reach this server, told by one that does nothing. Where some are, they did. */
async function prove(driver: SandboxDriver): Promise<void> {
  if ((await driver.find()).length > 0) return;
  const limits = { memoryBytes: 128 * MIB, cpus: 1, processes: 32, volumeBytes: MIB };
  const id = randomBytes(8).toString('hex');
  const sandbox = await driver.start({ id, kind: 'run', projectId: undefined, volume: undefined, fence: 0, limits });
  await sandbox.remove();
}

const MIB = 1_048_576;

function local({ sandboxDir }: DriverChoice, { secret, log }: DriverDeps): SandboxDriver {
  const [agent, filesHelper] = [program('main'), program('files/main')];
  return createLocalDriver({ sandboxDir, secret, agent, filesHelper, log });
}

/** A program of the agent as it lies beside this file: built, or in its sources where this runs from those. */
function program(name: string): [string, ...string[]] {
  const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  if (import.meta.url.endsWith('.ts')) {
    // Where it is run, its directory is another one.
    const options = process.execArgv.map((option) => (option.startsWith('./') ? resolve(option) : option));
    return [process.execPath, ...options, fileOf(`../../sandbox/agent/${name}.ts`)];
  }
  return [process.execPath, fileOf(`../agent/sandbox/agent/${name}.js`)];
}
