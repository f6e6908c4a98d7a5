/** Chooses what sandboxes run in, by what is asked for and what this machine has. */
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

/** The driver, or why there is none and how to switch it on. */
export async function chooseDriver(choice: DriverChoice, deps: DriverDeps): Promise<SandboxDriver | { off: string }> {
  const { sandbox, sandboxDir, allowLocalSandboxes, dockerHost } = choice;
  if (sandbox === 'off') return { off: 'Sandboxes are switched off here: SANDBOX=auto switches them on' };
  if (sandbox === 'local') return local(choice, deps);
  const engine = await createEngine({ host: dockerHost });
  const problem = await engine.version().then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  if (problem === undefined) {
    if (sandbox === 'docker-exec' || Buffer.byteLength(sandboxDir) <= SANDBOX_DIR_BYTES)
      return docker(engine, choice, deps);
    return {
      off: `The path of DATA_DIR is too long for sandboxes: set SANDBOX_DIR to one of ${SANDBOX_DIR_BYTES} bytes`,
    };
  }
  // One that was asked for by name is waited for: it may only be restarting.
  if (sandbox === 'docker' || sandbox === 'docker-exec') return docker(engine, choice, deps);
  return allowLocalSandboxes ? local(choice, deps) : { off: problem };
}

/** Sockets in it are addressed by their paths, of which the kernel takes 107 bytes. */
export const SANDBOX_DIR_BYTES = 80;

function docker(engine: Engine, choice: DriverChoice, { instanceId, secret, log }: DriverDeps): SandboxDriver {
  const { sandbox, sandboxDir, sandboxImage: image } = choice;
  const isExec = sandbox === 'docker-exec';
  const create = isExec ? createDockerExecDriver : createDockerDriver;
  return createPreparedDriver({
    kind: isExec ? 'docker-exec' : 'docker',
    survives: !isExec,
    isThere: () => hasSandboxImage(engine, image),
    async prepare() {
      await engine.version();
      const name = await ensureSandboxImage({ engine, log, image });
      return create({ engine, sandboxDir, instanceId, secret, image: name, log });
    },
    log,
  });
}

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
